//! The ops of a graph, forward beside backward: one file each. Shapes are row-major, one row for each sample.

pub mod flatten;
pub mod linear;
pub mod relu;
pub mod sigmoid;
pub mod tanh;

pub use linear::Linear;

use super::spread::spread;
use crate::error::ShapeError;
use crate::kernels::{Activation, Isa, elementwise};

/// Elements in a piece of an element-wise pass: a smaller pass costs less than waking a second thread.
const GRAIN: usize = 16 * 1024;

/// `y = activation(y)`, in pieces spread over the current rayon pool.
fn activate(isa: Isa, activation: Activation, y: &mut [f32]) -> Result<(), ShapeError> {
    spread(y, GRAIN, &|y: &mut [f32]| {
        elementwise::activate(isa, activation, y);
        Ok(())
    })
}

/// `d = d · activation'`, from the output `y`, in pieces spread over the current rayon pool.
fn activate_backward(isa: Isa, activation: Activation, y: &[f32], d: &mut [f32]) -> Result<(), ShapeError> {
    if y.len() != d.len() {
        return Err(ShapeError::Length { what: "the gradient of an activation", expected: y.len(), got: d.len() });
    }
    spread((d, y), GRAIN, &|(d, y): (&mut [f32], &[f32])| elementwise::activate_backward(isa, activation, y, d))
}

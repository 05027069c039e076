//! The ops of a graph, forward beside backward: one file each. Shapes are row-major, one row for each sample.

pub mod add;
pub mod batch_norm;
pub mod conv2d;
pub mod dropout;
pub mod flatten;
pub mod global_avg_pool;
pub mod linear;
pub mod log_softmax;
pub mod pool2d;
pub mod relu;
pub mod sigmoid;
pub mod tanh;

pub use batch_norm::BatchNorm;
pub use conv2d::Conv2d;
pub use linear::Linear;
pub use pool2d::Pool2d;

use super::spread::{Cut, spread};
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

/// Numbered parts of a buffer, `width` elements each.
struct Parts<'a> {
    parts: &'a mut [f32],
    width: usize,
    first: usize,
}

impl Cut for Parts<'_> {
    fn units(&self) -> usize {
        self.parts.len() / self.width
    }

    fn cut(self, at: usize) -> (Self, Self) {
        let Self { parts, width, first } = self;
        let (left, right) = parts.split_at_mut(at * width);
        (Self { parts: left, width, first }, Self { parts: right, width, first: first + at })
    }
}

/// Does `work` for each `width` elements of `parts`, which are numbered from 0, on whichever threads are free.
fn numbered(
    parts: &mut [f32],
    width: usize,
    work: &(impl Fn(usize, &mut [f32]) -> Result<(), ShapeError> + Sync),
) -> Result<(), ShapeError> {
    spread(Parts { parts, width: width.max(1), first: 0 }, 1, &|Parts { parts, width, first }| {
        parts.chunks_exact_mut(width).enumerate().try_for_each(|(i, part)| work(first + i, part))
    })
}

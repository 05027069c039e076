//! `y = 1 / (1 + exp(−x))`, element by element and in place.

use crate::error::ShapeError;
use crate::kernels::{Activation, Isa};

/// Writes `1 / (1 + exp(−x))` over `x`. Linear layers do this on the way out instead where they can.
///
/// # Errors
/// None: any length will do.
pub fn forward(isa: Isa, y: &mut [f32]) -> Result<(), ShapeError> {
    super::activate(isa, Activation::Sigmoid, y)
}

/// Turns `d`, the gradient of the output, into that of the input: `d · y · (1 − y)`, from the output `y`.
///
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn backward(isa: Isa, y: &[f32], d: &mut [f32]) -> Result<(), ShapeError> {
    super::activate_backward(isa, Activation::Sigmoid, y, d)
}

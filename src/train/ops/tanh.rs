//! `y = tanh(x)`, element by element and in place.

use crate::error::ShapeError;
use crate::kernels::{Activation, Isa};

/// Writes `tanh(x)` over `x`. Linear layers do this on the way out instead where they can.
///
/// # Errors
/// None: any length will do.
pub fn forward(isa: Isa, y: &mut [f32]) -> Result<(), ShapeError> {
    super::activate(isa, Activation::Tanh, y)
}

/// Turns `d`, the gradient of the output, into that of the input: `d · (1 − y²)`, from the output `y`.
///
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn backward(isa: Isa, y: &[f32], d: &mut [f32]) -> Result<(), ShapeError> {
    super::activate_backward(isa, Activation::Tanh, y, d)
}

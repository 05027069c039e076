//! `y = x − ln Σ exp(x)`, row by row and in place.

use crate::error::ShapeError;
use crate::kernels::{Isa, softmax};

/// Writes the log-softmax of each row over it.
///
/// # Shapes
/// `y [rows, classes]`.
/// # Errors
/// [`ShapeError::Length`] if `y` is not a whole number of rows.
pub fn forward(isa: Isa, classes: usize, y: &mut [f32]) -> Result<(), ShapeError> {
    softmax::log_softmax(isa, y, classes)
}

/// Turns `d`, the gradient of the output, into that of the input: `d − exp(y)·Σ d`.
///
/// # Shapes
/// `y` and `d [rows, classes]`.
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn backward(classes: usize, y: &[f32], d: &mut [f32]) -> Result<(), ShapeError> {
    if y.len() != d.len() {
        return Err(ShapeError::Length { what: "the gradient of a log-softmax", expected: y.len(), got: d.len() });
    }
    for (y, d) in y.chunks_exact(classes).zip(d.chunks_exact_mut(classes)) {
        let sum: f32 = d.iter().sum();
        for (y, d) in y.iter().zip(d) {
            *d -= y.exp() * sum;
        }
    }
    Ok(())
}

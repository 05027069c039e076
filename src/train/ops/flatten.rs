//! The same elements in one dimension: nothing to compute, a copy at most.

use crate::error::ShapeError;

/// Copies `x` to `y`; not called where the plan gave both the same memory.
///
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn forward(x: &[f32], y: &mut [f32]) -> Result<(), ShapeError> {
    if x.len() != y.len() {
        return Err(ShapeError::Length { what: "a flattened tensor", expected: x.len(), got: y.len() });
    }
    y.copy_from_slice(x);
    Ok(())
}

/// Copies `d_y` to `d_x`; not called where the plan gave both the same memory.
///
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn backward(d_y: &[f32], d_x: &mut [f32]) -> Result<(), ShapeError> {
    forward(d_y, d_x)
}

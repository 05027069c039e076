//! `y = activation(a + b)`: where a residual branch joins its trunk.

use crate::error::ShapeError;
use crate::kernels::{Activation, Isa, elementwise};
use crate::train::pieces::{Piece, Pieces};

/// `y = activation(a + b)`.
///
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn forward(isa: Isa, [a, b]: [&[f32]; 2], activation: Activation, y: &mut [f32]) -> Result<(), ShapeError> {
    Pieces::new(y.len(), [(a, 1), (b, 1)], [(y, 1)])?.spread(&|piece: Piece<'_, 2, 1>| {
        let ([a, b], [y]) = (piece.read, piece.write);
        elementwise::add(isa, activation, a, b, y)
    })
}

/// `y = activation(y + b)`: the sum over one of its addends, or a gradient added to others.
///
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn assign(isa: Isa, b: &[f32], activation: Activation, y: &mut [f32]) -> Result<(), ShapeError> {
    Pieces::new(y.len(), [(b, 1)], [(y, 1)])?.spread(&|piece: Piece<'_, 1, 1>| {
        let ([b], [y]) = (piece.read, piece.write);
        elementwise::add_assign(isa, activation, y, b)
    })
}

//! The mean of each plane.

use crate::error::ShapeError;
use crate::kernels::{Isa, pool};
use crate::train::pieces::{Piece, Pieces};

/// `y` = the means of planes of `len` elements.
///
/// # Shapes
/// `x [planes, len]`, `y [planes]`.
/// # Errors
/// [`ShapeError`] if a buffer does not fit these sizes.
pub fn forward(isa: Isa, len: usize, x: &[f32], y: &mut [f32]) -> Result<(), ShapeError> {
    Pieces::new(y.len(), [(x, len)], [(y, 1)])?.spread(&|piece: Piece<'_, 1, 1>| {
        let ([x], [y]) = (piece.read, piece.write);
        pool::global_avg_pool(isa, len, x, y)
    })
}

/// `d_x` = each element's share of the gradient by its plane's mean.
///
/// # Shapes
/// As [`forward`].
/// # Errors
/// As [`forward`].
pub fn backward(len: usize, d_y: &[f32], d_x: &mut [f32]) -> Result<(), ShapeError> {
    Pieces::new(d_y.len(), [(d_y, 1)], [(d_x, len)])?.spread(&|piece: Piece<'_, 1, 1>| {
        let ([d_y], [d_x]) = (piece.read, piece.write);
        pool::global_avg_pool_backward(len, d_y, d_x)
    })
}

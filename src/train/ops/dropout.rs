//! Elements are lost at random in training; those that stay are larger by as much as keeps the mean.

use crate::error::ShapeError;
use crate::kernels::Isa;
use crate::kernels::dropout::{Key, apply_in_place};
use crate::train::pieces::{Piece, Pieces};

/// `x = x/(1 − p)` where an element is kept, 0 elsewhere, in place. The gradient is the same function of the gradient, with the same `key`:
/// the very elements are drawn again.
///
/// # Errors
/// [`ShapeError::Number`] for a `p` that is not at least 0 and below 1.
pub fn apply(isa: Isa, key: Key, p: f32, x: &mut [f32]) -> Result<(), ShapeError> {
    Pieces::new(x.len(), [], [(x, 1)])?.spread(&|piece: Piece<'_, 0, 1>| {
        let [x] = piece.write;
        apply_in_place(isa, key, piece.first as u64, 1.0 - p, x)
    })
}

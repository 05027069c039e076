//! A batch of raw pixels becomes rows of floats, in pieces spread over the pool.

use super::spread::{Cut, Workers, spread};
use crate::data::{Dataset, Normalize, batch};
use crate::error::ShapeError;
use crate::kernels::Isa;

/// Pixels in a piece: a smaller piece costs less than waking a second thread.
const GRAIN: usize = 16 * 1024;

/// Writes the normalised pixels of the samples `indices` to `out [indices, pixels]`. Does not allocate.
pub(super) fn gather(
    isa: Isa,
    data: &Dataset,
    normalize: &Normalize,
    indices: &[u32],
    out: &mut [f32],
    workers: &Workers,
) -> Result<(), ShapeError> {
    let pixels = data.pixels();
    let expected = indices.len().checked_mul(pixels).ok_or(ShapeError::Overflow)?;
    if out.len() != expected {
        return Err(ShapeError::Length { what: "the batch", expected, got: out.len() });
    }
    spread(Rows { indices, out, pixels }, (GRAIN / pixels).max(1), &|rows: Rows<'_>| {
        workers.note();
        batch::fill(isa, data, normalize, rows.indices, rows.out)
    })
}

/// Samples to copy and the rows that they go to.
struct Rows<'a> {
    indices: &'a [u32],
    out: &'a mut [f32],
    pixels: usize,
}

impl Cut for Rows<'_> {
    fn units(&self) -> usize {
        self.indices.len()
    }

    fn cut(self, at: usize) -> (Self, Self) {
        let Self { pixels, .. } = self;
        let (indices, rest) = self.indices.split_at(at);
        let (out, out_rest) = self.out.split_at_mut(at * pixels);
        (Self { indices, out, pixels }, Self { indices: rest, out: out_rest, pixels })
    }
}

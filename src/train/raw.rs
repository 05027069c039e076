//! Raw pixels of a batch that are fetched by whoever learns from them: what a core has copied it has near.

use super::gather::gather_pixels;
use super::spread::Workers;
use crate::data::{Dataset, batch};
use crate::error::ShapeError;
use crate::kernels::Isa;

/// The samples of a batch, still in the data set.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) isa: Isa,
    pub(super) data: &'a Dataset,
    pub(super) indices: &'a [u32],
    /// Scale and offset that make numbers of pixels.
    pub(super) affine: [f32; 2],
    pub(super) workers: &'a Workers,
}

impl Raw<'_> {
    /// Copies samples `from..to` to `out [to − from, pixels]` on this thread. Does not allocate.
    pub(super) fn fetch(&self, (from, to): (usize, usize), out: &mut [u8]) -> Result<(), ShapeError> {
        let got = self.indices.len();
        let indices = self.indices.get(from..to);
        let indices = indices.ok_or(ShapeError::TooShort { what: "the samples of a batch", needed: to, got })?;
        self.workers.note();
        batch::fill_pixels(self.isa, self.data, indices, out)
    }

    /// Copies all of them to `out [samples, pixels]`, on all threads. Does not allocate.
    pub(super) fn fetch_all(&self, out: &mut [u8]) -> Result<(), ShapeError> {
        gather_pixels(self.isa, self.data, self.indices, out, self.workers)
    }
}

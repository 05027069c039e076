//! A batch of raw pixels becomes rows of floats, in pieces spread over the pool.

use super::spread::{Cut, Workers, spread};
use crate::data::augment::{Augmenter, Scratch};
use crate::data::{Augment, Dataset, Normalize, batch};
use crate::error::ShapeError;
use crate::kernels::Isa;
use crate::kernels::columns::Columns;
use std::sync::{Mutex, PoisonError};

/// Pixels in a piece: a smaller piece costs less than waking a second thread.
const GRAIN: usize = 16 * 1024;
/// The same with augmentation, which takes some 10 microseconds for a digit.
const AUGMENTED_GRAIN: usize = 4 * 1024;
/// The same of pixels that are only copied; their pieces are equal.
const COPIED_GRAIN: usize = 64 * 1024;

/// How training images are changed, with room for each thread of a pool.
#[derive(Debug)]
pub(super) struct Augmentation {
    augmenter: Augmenter,
    scratch: Vec<Mutex<Scratch>>,
}

impl Augmentation {
    /// For the images of `data`, on `threads` threads; `None` where they stay as they are.
    pub(super) fn new(
        augment: &Augment,
        seed: u64,
        data: &Dataset,
        threads: usize,
    ) -> Result<Option<Self>, ShapeError> {
        if augment.is_none() {
            return Ok(None);
        }
        let augmenter = Augmenter::new(augment, seed, data.rows(), data.cols())?;
        let scratch = (0..threads.max(1)).map(|_| Mutex::new(augmenter.scratch())).collect();
        Ok(Some(Self { augmenter, scratch }))
    }
}

/// How a network is shown images.
#[derive(Clone, Copy, Debug)]
pub(super) enum View<'a> {
    /// As they are.
    Plain,
    /// Changed as in this epoch.
    Augmented(&'a Augmentation, u32),
    /// All moved by so many pixels down and to the right.
    Moved([isize; 2]),
    /// Some of their pixels alone.
    Columns(Columns<'a>),
}

/// Writes the normalised pixels of the samples `indices` to `out [indices, pixels]`, or as many columns as are shown. Does not allocate.
pub(super) fn gather(
    isa: Isa,
    data: &Dataset,
    normalize: &Normalize,
    view: View<'_>,
    indices: &[u32],
    out: &mut [f32],
    workers: &Workers,
) -> Result<(), ShapeError> {
    let pixels = if let View::Columns(columns) = view { columns.count() } else { data.pixels() };
    let expected = indices.len().checked_mul(pixels).ok_or(ShapeError::Overflow)?;
    if out.len() != expected {
        return Err(ShapeError::Length { what: "the batch", expected, got: out.len() });
    }
    let grain = if matches!(view, View::Augmented(..)) { AUGMENTED_GRAIN } else { GRAIN };
    spread(Rows { indices, out, pixels }, (grain / pixels.max(1)).max(1), &|rows: Rows<'_>| {
        workers.note();
        let (Augmentation { augmenter, scratch }, epoch) = match view {
            View::Plain => return batch::fill(isa, data, normalize, rows.indices, rows.out),
            View::Moved(by) => return batch::fill_moved(isa, data, normalize, rows.indices, rows.out, by),
            View::Columns(columns) => {
                return batch::fill_columns(isa, data, normalize, columns, rows.indices, rows.out);
            }
            View::Augmented(augmentation, epoch) => (augmentation, epoch),
        };
        // Each thread has its own, so that none waits; which one it is changes no result.
        let own = rayon::current_thread_index().unwrap_or(0) % scratch.len();
        let mut scratch = scratch[own].lock().unwrap_or_else(PoisonError::into_inner);
        batch::fill_augmented(isa, data, normalize, rows.indices, rows.out, augmenter.epoch(epoch), &mut scratch)
    })
}

/// Copies the raw pixels of the samples `indices` to `out [indices, pixels]`. Does not allocate.
pub(super) fn gather_pixels(
    isa: Isa,
    data: &Dataset,
    indices: &[u32],
    out: &mut [u8],
    workers: &Workers,
) -> Result<(), ShapeError> {
    let pixels = data.pixels();
    let expected = indices.len().checked_mul(pixels).ok_or(ShapeError::Overflow)?;
    if out.len() != expected {
        return Err(ShapeError::Length { what: "the batch", expected, got: out.len() });
    }
    let grain = indices.len().div_ceil(expected.div_ceil(COPIED_GRAIN).max(1));
    spread(Rows { indices, out, pixels }, grain, &|rows: Rows<'_, u8>| {
        workers.note();
        batch::fill_pixels(isa, data, rows.indices, rows.out)
    })
}

/// Samples to copy and the rows that they go to.
struct Rows<'a, T = f32> {
    indices: &'a [u32],
    out: &'a mut [T],
    pixels: usize,
}

impl<T: Send> Cut for Rows<'_, T> {
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

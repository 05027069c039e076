//! Tensors that are cut between samples, together, to be spread over the current rayon pool.

use super::spread::{Cut, spread};
use crate::error::ShapeError;

/// Elements in a piece: a smaller piece costs less than waking a second thread.
const GRAIN: usize = 16 * 1024;

/// The same units (samples, rows, single elements) of `R` tensors to read and `W` to write, each with its elements of a unit.
pub(super) struct Pieces<'a, const R: usize, const W: usize> {
    read: [(&'a [f32], usize); R],
    write: [(&'a mut [f32], usize); W],
    first: usize,
    units: usize,
}

/// A piece: `read` and `write` of some consecutive units, of which the first is unit `first` of the whole.
pub(super) struct Piece<'a, const R: usize, const W: usize> {
    pub(super) read: [&'a [f32]; R],
    pub(super) write: [&'a mut [f32]; W],
    pub(super) first: usize,
    pub(super) units: usize,
}

impl<'a, const R: usize, const W: usize> Pieces<'a, R, W> {
    /// `units` of each; lengths are checked.
    pub(super) fn new(
        units: usize,
        read: [(&'a [f32], usize); R],
        write: [(&'a mut [f32], usize); W],
    ) -> Result<Self, ShapeError> {
        let lens =
            read.iter().map(|(x, width)| (x.len(), *width)).chain(write.iter().map(|(y, width)| (y.len(), *width)));
        for (got, width) in lens {
            let expected = units.checked_mul(width).ok_or(ShapeError::Overflow)?;
            if got != expected {
                return Err(ShapeError::Length { what: "a tensor of a batch", expected, got });
            }
        }
        Ok(Self { read, write, first: 0, units })
    }

    /// Does `work` on pieces of about [`GRAIN`] elements of the widest tensor, on whichever threads are free. Cuts depend on the sizes alone.
    pub(super) fn spread(
        self,
        work: &(impl Fn(Piece<'_, R, W>) -> Result<(), ShapeError> + Sync),
    ) -> Result<(), ShapeError> {
        let widths = self.read.iter().map(|x| x.1).chain(self.write.iter().map(|y| y.1));
        let widest = widths.max().unwrap_or(1).max(1);
        spread(self, (GRAIN / widest).max(1), &|pieces: Pieces<'_, R, W>| {
            let Pieces { read, write, first, units } = pieces;
            work(Piece { read: read.map(|x| x.0), write: write.map(|y| y.0), first, units })
        })
    }
}

impl<const R: usize, const W: usize> Cut for Pieces<'_, R, W> {
    fn units(&self) -> usize {
        self.units
    }

    fn cut(self, at: usize) -> (Self, Self) {
        let Self { read, mut write, first, units } = self;
        let left_read = read.map(|(x, width)| (&x[..at * width], width));
        let right_read = read.map(|(x, width)| (&x[at * width..], width));
        let mut right_write = write.each_mut().map(|(_, width)| (Default::default(), *width));
        for ((y, width), right) in write.iter_mut().zip(&mut right_write) {
            let (left, rest) = core::mem::take(y).split_at_mut(at * *width);
            (*y, right.0) = (left, rest);
        }
        let right = Self { read: right_read, write: right_write, first: first + at, units: units - at };
        (Self { read: left_read, write, first, units: at }, right)
    }
}

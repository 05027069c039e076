//! The shape of a batch normalisation, checked once.

use crate::error::{ShapeError, length};

/// Planes of a batch, `[n, c, plane]`: `n` samples of `c` channels of `plane` elements, the pixels of an image or 1 after a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes {
    pub(super) n: usize,
    pub(super) c: usize,
    pub(super) plane: usize,
}

impl Planes {
    /// Of the sizes `[n, c, plane]`. `n` may be 0.
    ///
    /// # Errors
    /// [`ShapeError::Range`] without channels or with planes of no elements, [`ShapeError::Overflow`] if a batch would not fit in memory.
    pub const fn new([n, c, plane]: [usize; 3]) -> Result<Self, ShapeError> {
        if c == 0 {
            return Err(ShapeError::Range { what: "the channels of a batch norm", min: 1, max: i64::MAX, got: 0 });
        }
        if plane == 0 {
            return Err(ShapeError::Range { what: "the elements of its planes", min: 1, max: i64::MAX, got: 0 });
        }
        // A sample is checked without the batch: an empty one may not hide it.
        match c.checked_mul(plane) {
            Some(sample) if sample.checked_mul(n).is_some() => Ok(Self { n, c, plane }),
            _ => Err(ShapeError::Overflow),
        }
    }

    /// Samples.
    #[must_use]
    pub const fn samples(&self) -> usize {
        self.n
    }

    /// Elements of a plane.
    #[must_use]
    pub const fn plane(&self) -> usize {
        self.plane
    }

    /// Channels.
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.c
    }

    /// Elements of a channel in the whole batch, of which its statistics are taken: `n · plane`.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.n * self.plane
    }

    /// Elements of the batch.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.n * self.c * self.plane
    }

    /// Whether the batch has no samples.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Checks the length of a buffer of the batch.
    pub(super) fn check(&self, what: &'static str, got: usize) -> Result<(), ShapeError> {
        length(what, self.len(), got)
    }

    /// Checks the length of a buffer of one number a channel.
    pub(super) fn check_channels(&self, what: &'static str, got: usize) -> Result<(), ShapeError> {
        length(what, self.c, got)
    }
}

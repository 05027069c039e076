//! Work that is cut in pieces of a fixed size and spread over the current rayon pool.

use crate::error::ShapeError;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which workers of the pool did a piece: proof that more than one ran.
#[derive(Debug, Default)]
pub(super) struct Workers(AtomicU64);

impl Workers {
    /// Takes note of the current thread; those beyond the 64th count as one.
    pub(super) fn note(&self) {
        let bit = 1 << rayon::current_thread_index().unwrap_or(0).min(63);
        // Read first: the line stays shared between the cores once every worker is known.
        if self.0.load(Ordering::Relaxed) & bit == 0 {
            self.0.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// How many there were.
    pub(super) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed).count_ones()
    }
}

/// Something that can be cut in two at a number of units.
pub(super) trait Cut: Sized + Send {
    /// How many units it has.
    fn units(&self) -> usize;
    /// The first `at` units, and the rest.
    fn cut(self, at: usize) -> (Self, Self);
}

/// Does `work` on pieces of `grain` units (the last may be smaller), on whichever threads are free.
///
/// Where the cuts are depends on the size alone, so the results do not depend on the threads. Does not allocate.
pub(super) fn spread<P: Cut>(
    piece: P,
    grain: usize,
    work: &(impl Fn(P) -> Result<(), ShapeError> + Sync),
) -> Result<(), ShapeError> {
    let pieces = piece.units().div_ceil(grain.max(1));
    if pieces <= 1 {
        return work(piece);
    }
    let (left, right) = piece.cut(pieces / 2 * grain);
    let (left, right) = rayon::join(|| spread(left, grain, work), || spread(right, grain, work));
    left.and(right)
}

/// Elements of a gradient from which its sum over rows, the bias's gradient, takes longer than handing it over to another thread.
const BESIDE: usize = 32 * 1024;

/// Does both: the small work beside the large one, if it is over `len` elements that make it worth handing over. The error of the large
/// one comes first.
pub(super) fn beside(
    len: usize,
    large: impl FnOnce() -> Result<(), ShapeError> + Send,
    small: impl FnOnce() -> Result<(), ShapeError> + Send,
) -> Result<(), ShapeError> {
    if len < BESIDE {
        let small = small();
        return large().and(small);
    }
    let (large, small) = rayon::join(large, small);
    large.and(small)
}

/// A slice to change beside one to read, of equal length.
impl<T: Send, U: Sync> Cut for (&mut [T], &[U]) {
    fn units(&self) -> usize {
        self.0.len()
    }

    fn cut(self, at: usize) -> (Self, Self) {
        let (a, b) = self.0.split_at_mut(at);
        let (c, d) = self.1.split_at(at);
        ((a, c), (b, d))
    }
}

/// A slice to change by itself.
impl<T: Send> Cut for &mut [T] {
    fn units(&self) -> usize {
        self.len()
    }

    fn cut(self, at: usize) -> (Self, Self) {
        self.split_at_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_everything_once_at_fixed_places() {
        for (len, grain) in [(0, 4), (1, 4), (4, 4), (5, 4), (103, 10), (64, 1)] {
            let source: Vec<usize> = (0..len).collect();
            let mut out = vec![usize::MAX; len];
            let work = |(out, source): (&mut [usize], &[usize])| {
                assert!(out.len() <= grain && source.first().is_none_or(|first| first % grain == 0));
                out.copy_from_slice(source);
                Ok(())
            };
            spread((&mut out[..], &source[..]), grain, &work).unwrap();
            assert_eq!(out, source);
        }
    }

    #[test]
    fn an_error_of_any_piece_comes_back() {
        let (mut out, source) = ([0u8; 9], [0u8, 0, 0, 0, 0, 0, 0, 1, 0]);
        let work =
            |(_, source): (&mut [u8], &[u8])| if source.contains(&1) { Err(ShapeError::Overflow) } else { Ok(()) };
        assert_eq!(spread((&mut out[..], &source[..]), 2, &work), Err(ShapeError::Overflow));
    }
}

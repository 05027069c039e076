//! The order of samples in an epoch: a pure function of (seed, epoch).

use super::random::{Random, shuffle};
use crate::error::ShapeError;

/// Writes the samples of `base` into `out` in the random order of `epoch`: the same for the same (seed, epoch, length), whatever
/// ran before, so that a resumed run continues alike. Does not allocate.
///
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn permutation(seed: u64, epoch: u64, out: &mut [u32], base: &[u32]) -> Result<(), ShapeError> {
    if out.len() != base.len() {
        return Err(ShapeError::Length { what: "the order of an epoch", expected: base.len(), got: out.len() });
    }
    out.copy_from_slice(base);
    shuffle(&mut Random::new(seed, "shuffle", epoch), out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(seed: u64, epoch: u64, n: u32) -> Vec<u32> {
        let base: Vec<u32> = (0..n).collect();
        let mut out = vec![u32::MAX; base.len()];
        permutation(seed, epoch, &mut out, &base).unwrap();
        out
    }

    /// The numbers come from a second implementation, in Python: a seed must mean the same for ever.
    #[test]
    fn values_are_pinned() {
        assert_eq!(order(1, 0, 10), [9, 4, 8, 6, 2, 3, 0, 5, 1, 7]);
        assert_eq!(order(1, 1, 10), [7, 2, 6, 5, 4, 3, 1, 8, 9, 0]);
        assert_eq!(order(2, 0, 10), [5, 2, 6, 9, 3, 4, 0, 7, 1, 8]);
        let whole = order(3, 5, 60_000);
        assert_eq!(whole[..4], [1759, 27_448, 929, 38_822]);
        assert_eq!(whole[59_999], 47_401);
    }

    #[test]
    fn lengths_must_agree() {
        let error = permutation(1, 0, &mut [0; 3], &[0; 4]).unwrap_err();
        assert_eq!(error, ShapeError::Length { what: "the order of an epoch", expected: 4, got: 3 });
        assert!(order(1, 0, 0).is_empty());
        assert_eq!(order(1, 0, 1), [0]);
    }

    proptest! {
        /// Every sample of the base comes exactly once, whatever was in `out` before.
        #[test]
        fn is_a_permutation(seed: u64, epoch: u64, base in prop::collection::vec(any::<u32>(), 0..200)) {
            let mut out = base.clone();
            out.reverse();
            permutation(seed, epoch, &mut out, &base).unwrap();
            let mut again = vec![0; base.len()];
            permutation(seed, epoch, &mut again, &base).unwrap();
            prop_assert_eq!(&out, &again);
            let mut sorted = base.clone();
            sorted.sort_unstable();
            out.sort_unstable();
            prop_assert_eq!(out, sorted);
        }
    }
}

//! Work that threads share, halved until it is in parts.

/// Into how many parts work is cut, and how much of it is worth cutting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    count: usize,
    least: usize,
}

impl Parts {
    /// `count` parts, of work of at least `least` at a time.
    pub(crate) const fn new(count: usize, least: usize) -> Self {
        Self { count, least }
    }

    /// Where a side of `len` is cut, that stands for `work`, and what becomes of either half: at the multiple of `unit` that is nearest to their
    /// share of the parts, of which an odd number is not halved evenly. None if it stays whole.
    pub(crate) const fn halve(self, work: usize, len: usize, unit: usize) -> Option<(usize, [Self; 2])> {
        let Self { count, least } = self;
        if count < 2 || work < least || unit == 0 {
            return None;
        }
        let first = count / 2;
        let middle = len / count * first + (len % count * first).div_ceil(count); // no product of the whole length, which might not fit
        let at = (middle + unit / 2) / unit * unit;
        if at == 0 || at >= len {
            return None;
        }
        Some((at, [Self::new(first, least), Self::new(count - first, least)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Lengths of the parts of `len`.
    fn lens(parts: Parts, len: usize, unit: usize) -> Vec<usize> {
        match parts.halve(len, len, unit) {
            None => Vec::from([len]),
            Some((at, [left, right])) => [lens(left, at, unit), lens(right, len - at, unit)].concat(),
        }
    }

    #[test]
    fn parts_are_as_many_and_as_even_as_units_allow() {
        for count in 1..20 {
            for len in [1, 7, 32, 100, 784, 1000] {
                let parts = lens(Parts::new(count, 0), len, 1);
                assert_eq!((parts.len(), parts.iter().sum::<usize>()), (count.min(len), len), "{len} in {count}");
                let (least, most) = (parts.iter().min().unwrap(), parts.iter().max().unwrap());
                assert!(most - least <= 1 || len < count, "{len} in {count}: {parts:?}");
            }
        }
        assert_eq!(lens(Parts::new(2, 0), 200, 32), [96, 104]);
        assert_eq!(lens(Parts::new(3, 0), 784, 32), [256, 256, 272]);
        assert_eq!(lens(Parts::new(4, 0), 40, 32), [32, 8], "and no empty one");
        assert_eq!(lens(Parts::new(8, 300), 784, 1).len(), 4, "of less than 300 nothing is cut");
        assert_eq!(Parts::new(3, 0).halve(0, usize::MAX, 64).unwrap().0 % 64, 0);
    }
}

//! Rows of a slice at a fixed distance, checked once where the loop begins and not again inside it.

use core::marker::PhantomData;

/// `count` rows of `width` elements, `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Band<'a, T> {
    start: *const T,
    count: usize,
    width: usize,
    stride: usize,
    borrow: PhantomData<&'a [T]>,
}

impl<'a, T> Band<'a, T> {
    /// The first rows of `data`. Panics if it is too short for them.
    #[inline(always)]
    pub(crate) fn new(data: &'a [T], count: usize, width: usize, stride: usize) -> Self {
        let span = match count.checked_sub(1) {
            Some(before) => before.checked_mul(stride).and_then(|before| before.checked_add(width)),
            None => Some(0),
        };
        assert!(span.is_some_and(|span| span <= data.len()));
        Self { start: data.as_ptr(), count, width, stride, borrow: PhantomData }
    }

    /// Row `i`. Panics unless it is below `count`: in a loop up to `count` the compiler sees that it is.
    #[inline(always)]
    pub(crate) fn row(&self, i: usize) -> &'a [T] {
        assert!(i < self.count);
        // SAFETY: `new` checked that row `count - 1`, the last to begin, ends inside the slice that `'a` borrows.
        unsafe { core::slice::from_raw_parts(self.start.add(i * self.stride), self.width) }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    #[cfg_attr(panic = "abort", ignore = "panics cannot be caught")]
    fn rows_lie_where_they_should_and_never_past_the_end() {
        let data: [f32; 10] = core::array::from_fn(|i| i as f32);
        let band = Band::new(&data, 3, 2, 4);
        assert_eq!([band.row(0), band.row(1), band.row(2)], [[0.0, 1.0], [4.0, 5.0], [8.0, 9.0]]);
        assert!(catch_unwind(|| Band::new(&[0.0; 10], 3, 2, 4).row(3)).is_err());
        for (count, width, stride) in [(3, 3, 4), (4, 2, 4), (1, 11, 0), (usize::MAX, 1, 2), (2, usize::MAX, 1)] {
            assert!(catch_unwind(|| Band::new(&[0.0; 10], count, width, stride)).is_err(), "{count} {width} {stride}");
        }
        let none = Band::<f32>::new(&[], 0, 5, 7);
        assert!(catch_unwind(|| none.row(0)).is_err());
    }
}

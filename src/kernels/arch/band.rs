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

/// Calls `each` with `K` elements of `src` and as many of `dst`, `count` times, every time a stride of its own further. Returns false, and
/// does nothing, if one of them is too short.
#[inline(always)]
pub(crate) fn side_by_side<const K: usize, A, B>(
    (src, src_stride): (&[A], usize),
    (dst, dst_stride): (&mut [B], usize),
    count: usize,
    mut each: impl FnMut(&[A; K], &mut [B; K]),
) -> bool {
    let Some(before) = count.checked_sub(1) else {
        return true;
    };
    let span = |stride: usize| before.checked_mul(stride).and_then(|before| before.checked_add(K));
    let inside = span(src_stride).is_some_and(|span| span <= src.len())
        && span(dst_stride).is_some_and(|span| span <= dst.len());
    if !inside {
        return false;
    }
    let (mut from, mut to) = (src.as_ptr(), dst.as_mut_ptr());
    for _ in 0..count {
        // SAFETY: both spans were found inside their slices, so that `K` elements lie at each of the `count` places. The references end
        // with the call, before the next ones begin, and `dst` is borrowed as `&mut` all the while.
        unsafe { each(&*from.cast(), &mut *to.cast()) };
        // The last ones may be behind the end, and are not read.
        (from, to) = (from.wrapping_add(src_stride), to.wrapping_add(dst_stride));
    }
    true
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

    #[test]
    fn pairs_of_pieces_lie_side_by_side_or_not_at_all() {
        let src: [i8; 9] = core::array::from_fn(|i| i as i8);
        let mut dst = [0_i16; 12];
        assert!(side_by_side::<2, _, _>((&src, 3), (&mut dst, 5), 3, |from, to| *to = from.map(i16::from)));
        assert_eq!(dst, [0, 1, 0, 0, 0, 3, 4, 0, 0, 0, 6, 7]);
        let untouched = dst;
        for (src_stride, dst_stride, count) in
            [(4, 5, 3), (3, 6, 3), (usize::MAX, 1, 2), (1, usize::MAX, 3), (1, 1, usize::MAX)]
        {
            let done = side_by_side::<2, _, _>((&src, src_stride), (&mut dst, dst_stride), count, |_, to| *to = [9; 2]);
            assert!(!done && dst == untouched, "{src_stride} {dst_stride} {count}");
        }
        assert!(side_by_side::<2, i8, i16>((&[], 3), (&mut [], 5), 0, |_, _| unreachable!()));
    }
}

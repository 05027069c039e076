//! The one disjoint split of a matrix into tiles, so that threads can write different columns of the same rows.

use crate::view::MatMut;
use core::marker::PhantomData;

/// A rectangle of a matrix that nothing else can reach: rows of `cols` elements, `row_stride` apart.
///
/// Two tiles of one matrix may lie side by side in the same rows, which two slices could not.
pub(crate) struct Tile<'a, T = f32> {
    start: *mut T,
    rows: usize,
    cols: usize,
    row_stride: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: a tile is the only way to its elements for as long as `'a` lasts, as a `&'a mut [T]` would be, which may be sent where `T` may.
unsafe impl<T: Send> Send for Tile<'_, T> {}

impl<'a, T> Tile<'a, T> {
    /// The whole of a matrix.
    #[inline(always)]
    pub(crate) fn whole(matrix: MatMut<'a, T>) -> Self {
        let (data, rows, cols, row_stride) = matrix.into_parts();
        Self { start: data.as_mut_ptr(), rows, cols, row_stride, borrow: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// Columns `from..to` of row `row`.
    #[inline(always)]
    pub(crate) fn row_mut(&mut self, row: usize, from: usize, to: usize) -> &mut [T] {
        assert!(row < self.rows && from <= to && to <= self.cols);
        if from == to {
            return &mut []; // rows of nothing may start anywhere
        }
        // SAFETY: `MatMut` checked that `rows` rows of `cols` elements lie in its slice, a tile only ever shrinks, and the assert
        // keeps the range inside the tile, which no other tile overlaps; `&mut self` makes this the only live borrow of it.
        unsafe { core::slice::from_raw_parts_mut(self.start.add(row * self.row_stride + from), to - from) }
    }

    /// The same where the tile has them: no panic is linked.
    #[inline(always)]
    pub(crate) fn get_row_mut(&mut self, row: usize, from: usize, to: usize) -> Option<&mut [T]> {
        let inside = row < self.rows && from <= to && to <= self.cols;
        inside.then(|| self.row_mut(row, from, to))
    }

    /// Columns `from..to` of `M` rows from `row`.
    #[inline(always)]
    pub(crate) fn rows_mut<const M: usize>(&mut self, row: usize, from: usize, to: usize) -> [&mut [T]; M] {
        assert!(row + M <= self.rows && from <= to && to <= self.cols);
        core::array::from_fn(|i| -> &mut [T] {
            if from == to {
                return &mut [];
            }
            // SAFETY: as in `row_mut`, as `row + i` is below `rows`; rows are `row_stride >= cols` apart, so no two of these overlap.
            unsafe { core::slice::from_raw_parts_mut(self.start.add((row + i) * self.row_stride + from), to - from) }
        })
    }

    /// The same tile for a shorter time.
    #[inline(always)]
    pub(crate) fn reborrow(&mut self) -> Tile<'_, T> {
        Tile { start: self.start, rows: self.rows, cols: self.cols, row_stride: self.row_stride, borrow: PhantomData }
    }

    /// Rows before `row`, and the others.
    #[cfg(feature = "train")]
    #[inline(always)]
    pub(crate) fn split_rows(self, row: usize) -> (Self, Self) {
        assert!(row <= self.rows);
        // The wrapping product is only formed, never read, when no row is left.
        let rest = self.start.wrapping_add(row * self.row_stride);
        (Self { rows: row, ..self }, Self { start: rest, rows: self.rows - row, ..self })
    }

    /// Columns before `col`, and the others.
    #[cfg(feature = "train")]
    #[inline(always)]
    pub(crate) fn split_cols(self, col: usize) -> (Self, Self) {
        assert!(col <= self.cols);
        let rest = self.start.wrapping_add(col);
        (Self { cols: col, ..self }, Self { start: rest, cols: self.cols - col, ..self })
    }
}

#[cfg(all(test, feature = "train"))]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    #[test]
    fn quarters_of_a_matrix_cover_it_once_and_leave_the_gap_between_rows_alone() {
        let mut data = vec![0.0; 5 * 7];
        let whole = Tile::whole(MatMut::with_row_stride(&mut data, 5, 6, 7).unwrap());
        let (top, bottom) = whole.split_rows(2);
        let (a, b) = top.split_cols(4);
        let (c, d) = bottom.split_cols(0);
        for (value, mut tile) in [(1.0, a), (2.0, b), (3.0, c), (4.0, d)] {
            for row in 0..tile.rows() {
                let cols = tile.cols();
                for x in tile.row_mut(row, 0, cols) {
                    *x += value;
                }
            }
        }
        for (i, x) in data.iter().enumerate() {
            let want = match (i / 7, i % 7) {
                (_, 6) => 0.0,
                (0..2, 0..4) => 1.0,
                (0..2, _) => 2.0,
                _ => 4.0,
            };
            assert_eq!(*x, want, "element {i}");
        }
    }
}

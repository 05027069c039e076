//! Where finished sums go.

use crate::kernels::arch::split::Tile;
use crate::kernels::requantize::Requantize;
use crate::kernels::simd::{MAX_LANES, Simd};

/// The output of a product, which takes its sums a piece of a row at a time.
pub(in crate::kernels) trait Sink {
    /// The sums of row `row`, from column `col` on.
    fn put<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[i32]);
    /// The sums of `N · LANES` columns of `M` rows from row `row` on, from column `col` on.
    #[inline(always)]
    fn put_registers<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        row: usize,
        col: usize,
        sums: [[S::I32; N]; M],
    ) {
        self.put_part(simd, row, (col, N * S::LANES), sums);
    }
    /// The same of `at = (col, cols)`, `cols` columns from `col` on, where the last register is not full: `(N − 1) · LANES < cols < N · LANES`.
    /// Register by register, unless a sink knows better.
    #[inline(always)]
    fn put_part<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        row: usize,
        (col, cols): (usize, usize),
        sums: [[S::I32; N]; M],
    ) {
        for i in 0..M {
            for j in 0..N {
                let (mut one, at) = ([0; MAX_LANES], j * S::LANES);
                simd.store_i32(sums[i][j], &mut one);
                self.put(simd, row + i, col + at, &one[..S::LANES.min(cols - at)]);
            }
        }
    }
    /// Asks for the place of a tile, so that it arrives while the tile sums.
    fn prefetch<S: Simd, const M: usize>(&mut self, simd: S, row: usize, col: usize);
}

/// The sums themselves.
pub(in crate::kernels) struct Sums<'c>(pub(in crate::kernels) Tile<'c, i32>);

impl Sink for Sums<'_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[i32]) {
        let Some(out) = self.0.get_row_mut(row, col, col + sums.len()) else {
            return debug_assert!(false, "{} sums from column {col} on", sums.len());
        };
        if S::LANES == 1 {
            return copy(sums, out);
        }
        // By registers: a copy of unknown length would be a call.
        let mut out = out.chunks_exact_mut(S::LANES);
        let mut sums = sums.chunks_exact(S::LANES);
        for (out, sums) in (&mut out).zip(&mut sums) {
            simd.store_i32(simd.load_i32(sums), out);
        }
        let (out, sums) = (out.into_remainder(), sums.remainder());
        if !out.is_empty() {
            simd.store_i32_partial(simd.load_i32_partial(sums), out);
        }
    }
    #[inline(always)]
    fn put_registers<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        row: usize,
        col: usize,
        sums: [[S::I32; N]; M],
    ) {
        let out = self.0.rows_mut::<M>(row, col, col + N * S::LANES);
        for i in 0..M {
            for j in 0..N {
                simd.store_i32(sums[i][j], &mut out[i][j * S::LANES..]);
            }
        }
    }
    #[inline(always)]
    fn put_part<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        row: usize,
        (col, cols): (usize, usize),
        sums: [[S::I32; N]; M],
    ) {
        let out = self.0.rows_mut::<M>(row, col, col + cols);
        for i in 0..M {
            for j in 0..N - 1 {
                simd.store_i32(sums[i][j], &mut out[i][j * S::LANES..]);
            }
            simd.store_i32_partial(sums[i][N - 1], &mut out[i][(N - 1) * S::LANES..]);
        }
    }
    #[inline(always)]
    fn prefetch<S: Simd, const M: usize>(&mut self, simd: S, row: usize, col: usize) {
        let cols = self.0.cols();
        for row in self.0.rows_mut::<M>(row, col, cols) {
            simd.prefetch(row, 0);
        }
    }
}

/// Copies sums four at a time, as they mostly come: `memcpy` takes longer for so few, and a copy inlined in every kernel more flash.
#[inline(never)]
fn copy(sums: &[i32], out: &mut [i32]) {
    let ((fours, rest), (to, behind)) = (sums.as_chunks::<4>(), out.as_chunks_mut::<4>());
    for (to, four) in to.iter_mut().zip(fours) {
        *to = *four;
    }
    for (to, sum) in behind.iter_mut().zip(rest) {
        *to = *sum;
    }
}

/// Requantized to bytes, a channel a column.
pub(in crate::kernels) struct Bytes<'c, 'r>(pub(in crate::kernels) Tile<'c, i8>, pub(in crate::kernels) Requantize<'r>);

impl Sink for Bytes<'_, '_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[i32]) {
        let Some(out) = self.0.get_row_mut(row, col, col + sums.len()) else {
            return debug_assert!(false, "{} sums from column {col} on", sums.len());
        };
        self.1.part(simd, col, sums, out);
    }
    #[inline(always)]
    fn put_registers<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        row: usize,
        col: usize,
        sums: [[S::I32; N]; M],
    ) {
        self.1.registers(simd, col, sums, self.0.rows_mut::<M>(row, col, col + N * S::LANES));
    }
    #[inline(always)]
    fn put_part<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        row: usize,
        (col, cols): (usize, usize),
        sums: [[S::I32; N]; M],
    ) {
        self.1.part_registers(simd, col, sums, self.0.rows_mut::<M>(row, col, col + cols));
    }
    #[inline(always)]
    fn prefetch<S: Simd, const M: usize>(&mut self, simd: S, row: usize, col: usize) {
        let cols = self.0.cols();
        for row in self.0.rows_mut::<M>(row, col, cols) {
            simd.prefetch(row, 0);
        }
    }
}

//! Products of two operands that are both contiguous along `k`: every element a dot product, straight from memory.
//! The way of a layer `x·Wᵀ` on few samples, where packing the weights would cost as much as using them.

use super::tile::Finish;
use crate::kernels::Epilogue;
use crate::kernels::arch::split::Tile;
use crate::kernels::element::Element;
use crate::kernels::simd::{Kernel, Simd};
use crate::view::Mat;

/// Rows of a tile: 4 x 3 sums + 3 loads + 1 load fill AVX2's 16 registers, 7 loads for 12 multiply-adds.
const DM: usize = 4;
/// Columns of a tile; with the 32 registers of AVX-512 five: 4 x 5 sums and 9 loads for 20 multiply-adds, and ten columns in two tiles.
const fn widest(lanes: usize) -> usize {
    if lanes == 16 { 5 } else { 3 }
}
/// Columns of B that stay in the second cache while every row of A passes: 48 x 784 floats are 150 KB.
const BLOCK: usize = 48;

/// `c = epilogue(a · bt ᵀ)`, `a` and `bt` row-major.
pub(super) struct Dot<'c, 'a, 'e, T> {
    pub(super) c: Tile<'c>,
    pub(super) a: Mat<'a>,
    /// B, transposed: one row for each column of C.
    pub(super) bt: Mat<'a, T>,
    pub(super) epilogue: Epilogue<'e>,
    /// Two sums for each element: one row alone has too few independent ones to keep the multipliers busy.
    pub(super) unrolled: bool,
}

impl<T: Element> Kernel for Dot<'_, '_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        self.products(simd);
        if Finish::is_needed(&self.epilogue) {
            let (m, n) = (self.c.rows(), self.c.cols());
            simd.outline(Finish { c: self.c, rows: (0, m), cols: (0, n), epilogue: self.epilogue });
        }
    }
}

impl<T: Element> Dot<'_, '_, '_, T> {
    #[inline(always)]
    fn products<S: Simd>(&mut self, simd: S) {
        let (m, n) = (self.c.rows(), self.c.cols());
        if self.unrolled {
            for i in 0..m {
                let mut j = 0;
                while j + 6 <= n {
                    self.tile::<S, 1, 6, 2>(simd, i, j); // of 3, 4, 5, 6 and 8 columns the fastest, in f16 by far
                    j += 6;
                }
                while j + 2 <= n {
                    self.tile::<S, 1, 2, 2>(simd, i, j);
                    j += 2;
                }
                while j < n {
                    self.tile::<S, 1, 1, 2>(simd, i, j);
                    j += 1;
                }
            }
            return;
        }
        for block in (0..n).step_by(BLOCK) {
            let end = (block + BLOCK).min(n);
            let mut i = 0;
            while i < m {
                let height = (m - i).min(DM);
                let mut j = block;
                while j < end {
                    let width = (end - j).min(widest(S::LANES));
                    if const { widest(S::LANES) == 5 } && width > 3 {
                        match (height, width) {
                            (4, 5) => self.tile::<S, 4, 5, 1>(simd, i, j),
                            (4, _) => self.tile::<S, 4, 4, 1>(simd, i, j),
                            (3, 5) => self.tile::<S, 3, 5, 1>(simd, i, j),
                            (3, _) => self.tile::<S, 3, 4, 1>(simd, i, j),
                            (2, 5) => self.tile::<S, 2, 5, 1>(simd, i, j),
                            (2, _) => self.tile::<S, 2, 4, 1>(simd, i, j),
                            (_, 5) => self.tile::<S, 1, 5, 1>(simd, i, j),
                            _ => self.tile::<S, 1, 4, 1>(simd, i, j),
                        }
                    } else {
                        match (height, width) {
                            (4, 3) => self.tile::<S, 4, 3, 1>(simd, i, j),
                            (4, 2) => self.tile::<S, 4, 2, 1>(simd, i, j),
                            (4, _) => self.tile::<S, 4, 1, 1>(simd, i, j),
                            (3, 3) => self.tile::<S, 3, 3, 1>(simd, i, j),
                            (3, 2) => self.tile::<S, 3, 2, 1>(simd, i, j),
                            (3, _) => self.tile::<S, 3, 1, 1>(simd, i, j),
                            (2, 3) => self.tile::<S, 2, 3, 1>(simd, i, j),
                            (2, 2) => self.tile::<S, 2, 2, 1>(simd, i, j),
                            (2, _) => self.tile::<S, 2, 1, 1>(simd, i, j),
                            (_, 3) => self.tile::<S, 1, 3, 1>(simd, i, j),
                            (_, 2) => self.tile::<S, 1, 2, 1>(simd, i, j),
                            _ => self.tile::<S, 1, 1, 1>(simd, i, j),
                        }
                    }
                    j += width;
                }
                i += height;
            }
        }
    }

    /// `M` rows from `i` by `N` columns from `j`; each element has `U` registers of partial sums.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const N: usize, const U: usize>(&mut self, simd: S, i: usize, j: usize) {
        let k = self.a.cols();
        let (mut a, mut b): ([&[f32]; M], [&[T]; N]) = ([&[]; M], [&[]; N]);
        for r in 0..M {
            a[r] = &self.a.data()[(i + r) * self.a.row_stride()..][..k];
        }
        for c in 0..N {
            b[c] = &self.bt.data()[(j + c) * self.bt.row_stride()..][..k];
        }
        let mut acc = [[[simd.splat(0.0); U]; N]; M];
        let mut p = 0;
        while p + U * S::LANES <= k {
            for u in 0..U {
                let at = p + u * S::LANES..p + (u + 1) * S::LANES;
                let mut column = [simd.splat(0.0); N];
                for c in 0..N {
                    column[c] = T::load(simd, &b[c][at.clone()]);
                }
                for r in 0..M {
                    let row = simd.load(&a[r][at.clone()]);
                    for c in 0..N {
                        acc[r][c][u] = simd.mul_add(row, column[c], acc[r][c][u]);
                    }
                }
            }
            p += U * S::LANES;
        }
        while p < k {
            let end = (p + S::LANES).min(k);
            for r in 0..M {
                for c in 0..N {
                    let (row, column) = if end - p == S::LANES {
                        (simd.load(&a[r][p..end]), T::load(simd, &b[c][p..end]))
                    } else {
                        (simd.load_partial(&a[r][p..end]), T::load_partial(simd, &b[c][p..end]))
                    };
                    acc[r][c][0] = simd.mul_add(row, column, acc[r][c][0]);
                }
            }
            p = end;
        }
        let mut sums = [[0.0; N]; M];
        for r in 0..M {
            for c in 0..N {
                for u in 1..U {
                    acc[r][c][0] = simd.add(acc[r][c][0], acc[r][c][u]);
                }
                sums[r][c] = simd.sum(acc[r][c][0]);
            }
        }
        for r in 0..M {
            let out = self.c.row_mut(i + r, j, j + N);
            for c in 0..N {
                out[c] = if self.epilogue.accumulate { out[c] + sums[r][c] } else { sums[r][c] };
            }
        }
    }
}

//! Packing: panels of A and strips of B copied to the order in which the tiles read them.

use super::tile::{MR, NV};
use crate::kernels::simd::Simd;
use crate::view::Mat;

/// `rows` rows cut into panels of at most [`MR`], as even as possible: 200 is 30 panels of 6 and 4 of 5, never 33 and a 2.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    pub(super) count: usize,
    low: usize,
    pub(super) taller: usize, // the first panels have one row more
}

impl Panels {
    #[inline(always)]
    pub(super) const fn of(rows: usize) -> Self {
        let count = rows.div_ceil(MR);
        if count == 0 {
            return Self { count: 0, low: 0, taller: 0 };
        }
        Self { count, low: rows / count, taller: rows % count }
    }

    /// First row of panel `i`; of `count`, the number of rows.
    #[inline(always)]
    pub(super) const fn start(&self, i: usize) -> usize {
        i * self.low + if i < self.taller { i } else { self.taller }
    }

    /// Panels `from..to` alone.
    #[cfg(feature = "train")]
    #[inline(always)]
    pub(super) const fn range(&self, from: usize, to: usize) -> Self {
        let count = to - from;
        let taller = self.taller.saturating_sub(from);
        Self { count, low: self.low, taller: if taller < count { taller } else { count } }
    }

    #[inline(always)]
    pub(super) const fn height(&self, i: usize) -> usize {
        self.low + (i < self.taller) as usize
    }
}

/// Packs rows `row..row + height`, columns `k.0..k.1` of A as `[kc][height]`.
#[inline(always)]
pub(super) fn panel_a<S: Simd>(simd: S, a: Mat<'_>, row: usize, height: usize, k: (usize, usize), dst: &mut [f32]) {
    let kc = k.1 - k.0;
    let dst = &mut dst[..kc * height];
    // Registers are stored whole, the next row overwriting what is too much of one, as long as they end inside the panel.
    let whole = |p: usize| S::LANES >= height && (p + S::LANES) * height + (S::LANES - height) <= kc * height;
    if a.col_stride() == 1 {
        let rows = &a.data()[row * a.row_stride() + k.0..];
        let mut p = 0;
        while whole(p) {
            simd.transpose(height, &rows[p..], a.row_stride(), &mut dst[p * height..], height);
            p += S::LANES;
        }
        while p < kc {
            for i in 0..height {
                dst[p * height + i] = rows[i * a.row_stride() + p];
            }
            p += 1;
        }
    } else {
        for p in 0..kc {
            let src = &a.data()[(k.0 + p) * a.col_stride() + row..];
            if whole(p) && src.len() >= S::LANES {
                simd.store(simd.load(src), &mut dst[p * height..]);
            } else {
                dst[p * height..][..height].copy_from_slice(&src[..height]);
            }
        }
    }
}

/// Packs rows `k.0..k.1`, `cols <= NV · LANES` columns from `col` of B as `[kc][NV · LANES]`, zeros in the columns that are not there.
#[inline(always)]
pub(super) fn strip_b<S: Simd>(simd: S, b: Mat<'_>, col: usize, cols: usize, k: (usize, usize), dst: &mut [f32]) {
    let nr = NV * S::LANES;
    let kc = k.1 - k.0;
    let dst = &mut dst[..kc * nr];
    if b.col_stride() == 1 {
        for (p, out) in dst.chunks_exact_mut(nr).enumerate() {
            let src = &b.data()[(k.0 + p) * b.row_stride() + col..][..cols];
            if cols == nr {
                for j in 0..NV {
                    simd.store(simd.load(&src[j * S::LANES..]), &mut out[j * S::LANES..]);
                }
            } else {
                out[..cols].copy_from_slice(src);
                out[cols..].fill(0.0);
            }
        }
    } else {
        let columns = &b.data()[col * b.col_stride() + k.0..];
        for j in (0..nr).step_by(S::LANES) {
            let here = cols.saturating_sub(j).min(S::LANES);
            let mut p = 0;
            if here == S::LANES {
                while p + S::LANES <= kc {
                    simd.transpose(
                        here,
                        &columns[j * b.col_stride() + p..],
                        b.col_stride(),
                        &mut dst[p * nr + j..],
                        nr,
                    );
                    p += S::LANES;
                }
            }
            while p < kc {
                let out = &mut dst[p * nr + j..][..S::LANES];
                for i in 0..here {
                    out[i] = columns[(j + i) * b.col_stride() + p];
                }
                out[here..].fill(0.0);
                p += 1;
            }
        }
    }
}

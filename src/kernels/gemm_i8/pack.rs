//! Packing: panels of `x` and strips of the weights, widened to 16 bits and paired in the order in which the tiles read them.

use super::packed::NV;
use crate::kernels::simd::Simd;
use crate::view::Mat;

/// Steps of `k`: pairs, an odd `k` filled up with a zero.
pub(super) const fn pairs(k: usize) -> usize {
    k.div_ceil(2)
}

/// Packs `H` rows of `k`, `stride` apart, as `[pairs][H][2]`. A register more of `dst` is overwritten.
#[inline(always)]
pub(super) fn panel<S: Simd, const H: usize>(simd: S, rows: &[i8], stride: usize, k: usize, dst: &mut [i16]) {
    let mut p = 0;
    if S::LANES >= H {
        while p + 2 * S::LANES <= k {
            simd.interleave_pairs::<H>(&rows[p..], stride, &mut dst[p * H..], 2 * H);
            p += 2 * S::LANES;
        }
    }
    for (p, dst) in (p..k).step_by(2).zip(dst[p * H..].chunks_exact_mut(2 * H)) {
        for i in 0..H {
            let row = &rows[i * stride..][..k];
            dst[2 * i] = row[p].into();
            dst[2 * i + 1] = row.get(p + 1).copied().unwrap_or(0).into();
        }
    }
}

/// Packs `cols` weight rows from `col` as `[pairs][NV · LANES][2]`, filled up with zeros.
#[inline(always)]
pub(super) fn strip<S: Simd>(simd: S, w: Mat<'_, i8>, col: usize, cols: usize, dst: &mut [i16]) {
    let (k, stride, width) = (w.cols(), w.row_stride(), 2 * NV * S::LANES);
    for part in 0..NV {
        let from = part * S::LANES;
        let (rows, dst) = (cols.saturating_sub(from).min(S::LANES), &mut dst[2 * from..]);
        let mut p = 0;
        if rows == S::LANES {
            let src = &w.data()[(col + from) * stride..];
            while p + 2 * S::LANES <= k {
                simd.interleave_all(&src[p..], stride, &mut dst[p / 2 * width..], width);
                p += 2 * S::LANES;
            }
        }
        for p in (p..k).step_by(2) {
            let dst = &mut dst[p / 2 * width..][..2 * S::LANES];
            dst.fill(0);
            for j in 0..rows {
                let row = &w.data()[(col + from + j) * stride..][..k];
                dst[2 * j] = row[p].into();
                dst[2 * j + 1] = row.get(p + 1).copied().unwrap_or(0).into();
            }
        }
    }
}

//! Packing: panels of `x` and strips of the weights, in pairs of 16 bits or quads of bytes, in the order in which the tiles read them.

use super::step::{Quads, Step};
use super::tile::NV;
use crate::kernels::cut::Panels;
use crate::kernels::simd::{MAX_LANES, Simd};
use crate::view::Mat;

/// Steps of `k`: pairs, an odd `k` filled up with a zero.
pub(super) const fn pairs(k: usize) -> usize {
    k.div_ceil(2)
}

/// Packs the rows from `row` on that `panels` cover, in words of `D`.
#[inline(always)]
pub(super) fn group<D: Step, S: Simd>(simd: S, x: Mat<'_, i8>, row: usize, panels: Panels, dst: &mut [i32]) {
    let (k, stride) = (x.cols(), x.row_stride());
    for i in 0..panels.count {
        let start = panels.start(i);
        let (rows, dst) = (&x.data()[(row + start) * stride..], &mut dst[start * k.div_ceil(D::DEPTH)..]);
        match panels.height(i) {
            5 => panel::<D, S, 5>(simd, rows, stride, k, dst),
            4 => panel::<D, S, 4>(simd, rows, stride, k, dst),
            3 => panel::<D, S, 3>(simd, rows, stride, k, dst),
            2 => panel::<D, S, 2>(simd, rows, stride, k, dst),
            _ => panel::<D, S, 1>(simd, rows, stride, k, dst),
        }
    }
}

#[inline(always)]
fn panel<D: Step, S: Simd, const H: usize>(simd: S, rows: &[i8], stride: usize, k: usize, dst: &mut [i32]) {
    if D::DEPTH == Quads::DEPTH {
        quad_panel::<S, H>(simd, rows, stride, k, dst);
    } else {
        pair_panel::<S, H>(simd, rows, stride, k, dst);
    }
}

/// Packs `H` rows of `k`, `stride` apart, as `[quads][H][4]`, shifted by 128 where the set multiplies bytes without sign. A register more
/// of `dst` is overwritten.
#[inline(always)]
fn quad_panel<S: Simd, const H: usize>(simd: S, rows: &[i8], stride: usize, k: usize, dst: &mut [i32]) {
    let bytes: &mut [i8] = bytemuck::cast_slice_mut(&mut *dst);
    let mut p = 0;
    if S::LANES >= H {
        while p + 4 * S::LANES <= k {
            simd.interleave_quads::<H>(&rows[p..], stride, &mut bytes[p * H..], 4 * H);
            p += 4 * S::LANES;
        }
    }
    for (p, dst) in (p..k).step_by(4).zip(bytes[p * H..].chunks_exact_mut(4 * H)) {
        for i in 0..H {
            let row = &rows[i * stride..][p..k];
            for j in 0..4 {
                dst[4 * i + j] = row.get(j).copied().unwrap_or(0); // multiplied by weights of zero
            }
        }
    }
    if S::UNSIGNED {
        for word in &mut dst[..k.div_ceil(4) * H] {
            *word ^= 0x8080_8080_u32 as i32;
        }
    }
}

/// Packs the weight rows from `col` on, `nr` or as many as there are, as `[quads][nr][4]`, filled up with zeros.
pub(super) fn quads(w: Mat<'_, i8>, col: usize, nr: usize, strip: &mut [i32]) {
    let (k, strip) = (w.cols(), bytemuck::cast_slice_mut::<i32, i8>(strip));
    strip.fill(0);
    for (lane, row) in (col..w.rows()).take(nr).enumerate() {
        let row = &w.data()[row * w.row_stride()..][..k];
        for (p, quad) in row.chunks(4).enumerate() {
            strip[4 * (p * nr + lane)..][..quad.len()].copy_from_slice(quad);
        }
    }
}

/// Packs `H` rows of `k`, `stride` apart, as `[pairs][H][2]`. A register more of `dst` is overwritten.
#[inline(always)]
fn pair_panel<S: Simd, const H: usize>(simd: S, rows: &[i8], stride: usize, k: usize, dst: &mut [i32]) {
    let dst: &mut [i16] = bytemuck::cast_slice_mut(dst);
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
pub(super) fn strip<S: Simd>(simd: S, w: Mat<'_, i8>, col: usize, cols: usize, dst: &mut [i32]) {
    let dst: &mut [i16] = bytemuck::cast_slice_mut(dst);
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
        } else if const { S::LANES > 1 } && rows > 0 {
            // Fewer rows than lanes are brought together first, zeros below them.
            let mut block = [0; 2 * MAX_LANES * MAX_LANES];
            while p + 2 * S::LANES <= k {
                for (j, row) in block.chunks_exact_mut(2 * S::LANES).enumerate().take(rows) {
                    row.copy_from_slice(&w.data()[(col + from + j) * stride + p..][..2 * S::LANES]);
                }
                simd.interleave_all(&block, 2 * S::LANES, &mut dst[p / 2 * width..], width);
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

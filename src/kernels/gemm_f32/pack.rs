//! Packing: panels of A and strips of B copied to the order in which the tiles read them.

use super::tile::strip_cols;
use crate::kernels::arch::band::Band;
use crate::kernels::cut::Panels;
use crate::kernels::element::Element;
use crate::kernels::simd::Simd;
use crate::view::Mat;

/// Packs rows `row..row + H`, columns `k.0..k.1` of A as `[kc][H]`.
#[inline(always)]
fn panel_a<S: Simd, const H: usize>(simd: S, a: Mat<'_>, row: usize, k: (usize, usize), dst: &mut [f32]) {
    let kc = k.1 - k.0;
    let dst = &mut dst[..kc * H];
    // Registers are stored whole, the next row overwriting what is too much of one, as long as they end inside the panel.
    let whole = |p: usize| S::LANES >= H && (p + S::LANES) * H + (S::LANES - H) <= kc * H;
    let mut p = 0;
    if a.col_stride() == 1 {
        let rows = &a.data()[row * a.row_stride() + k.0..];
        while whole(p) {
            let mut registers = [simd.splat(0.0); H];
            for i in 0..H {
                registers[i] = simd.load(&rows[i * a.row_stride() + p..]);
            }
            simd.transpose(registers, &mut dst[p * H..], H);
            p += S::LANES;
        }
        while p < kc {
            for i in 0..H {
                dst[p * H + i] = rows[i * a.row_stride() + p];
            }
            p += 1;
        }
    } else {
        while p < kc {
            let src = &a.data()[(k.0 + p) * a.col_stride() + row..];
            if whole(p) && src.len() >= S::LANES {
                simd.store(simd.load(src), &mut dst[p * H..]);
            } else {
                dst[p * H..][..H].copy_from_slice(&src[..H]);
            }
            p += 1;
        }
    }
}

/// Packs rows `k.0..k.1`, `cols` columns from `col` of B as a strip. Columns that are not there hold anything.
#[inline(always)]
pub(super) fn strip_b<S: Simd, T: Element>(
    simd: S,
    b: Mat<'_, T>,
    col: usize,
    cols: usize,
    k: (usize, usize),
    dst: &mut [f32],
) {
    let nr = strip_cols(S::LANES);
    let kc = k.1 - k.0;
    let dst = &mut dst[..kc * nr];
    if b.col_stride() == 1 {
        let rows = b.data().get(k.0 * b.row_stride() + col..).unwrap_or_default();
        let rows = Band::new(rows, kc, cols, b.row_stride());
        let full = cols / S::LANES;
        for (p, out) in dst.chunks_exact_mut(nr).enumerate() {
            let src = rows.row(p);
            for j in 0..full {
                simd.store(T::load(simd, &src[j * S::LANES..]), &mut out[j * S::LANES..]);
            }
            if full * S::LANES < cols {
                simd.store(T::load_partial(simd, &src[full * S::LANES..]), &mut out[full * S::LANES..]);
            }
        }
    } else {
        let mut j = 0;
        while j < cols {
            let here = (cols - j).min(S::LANES);
            let columns = &b.data()[(col + j) * b.col_stride() + k.0..];
            let dst = &mut dst[j..];
            let stride = b.col_stride();
            match here {
                9.. if const { S::LANES == 16 } => columns_b::<S, T, 16>(simd, columns, stride, here, kc, dst),
                8.. => columns_b::<S, T, 8>(simd, columns, stride, here, kc, dst),
                7 => columns_b::<S, T, 7>(simd, columns, stride, here, kc, dst),
                6 => columns_b::<S, T, 6>(simd, columns, stride, here, kc, dst),
                5 => columns_b::<S, T, 5>(simd, columns, stride, here, kc, dst),
                4 => columns_b::<S, T, 4>(simd, columns, stride, here, kc, dst),
                3 => columns_b::<S, T, 3>(simd, columns, stride, here, kc, dst),
                2 => columns_b::<S, T, 2>(simd, columns, stride, here, kc, dst),
                _ => columns_b::<S, T, 1>(simd, columns, stride, here, kc, dst),
            }
            j += S::LANES;
        }
    }
}

/// Packs `kc` values of `H` columns, each contiguous, `stride` apart, to `H` places of each row of a strip. Where there are but `count`
/// of them, the last stands in for those that are not there.
#[inline(always)]
fn columns_b<S: Simd, T: Element, const H: usize>(
    simd: S,
    columns: &[T],
    stride: usize,
    count: usize,
    kc: usize,
    dst: &mut [f32],
) {
    let nr = strip_cols(S::LANES);
    let mut p = 0;
    // Every row is written a register wide: a whole number of registers before its end, or the next row would be overwritten.
    while H <= S::LANES && p + S::LANES <= kc {
        let mut registers = [simd.splat(0.0); H];
        for i in 0..H {
            registers[i] = T::load(simd, &columns[i.min(count - 1) * stride + p..]);
        }
        simd.transpose(registers, &mut dst[p * nr..], nr);
        p += S::LANES;
    }
    while p < kc {
        for i in 0..H {
            dst[p * nr + i] = columns[i.min(count - 1) * stride + p].single();
        }
        p += 1;
    }
}

/// Packs all `panels` of the rows from `row`, one after the other.
#[inline(always)]
pub(super) fn panels_a<S: Simd>(simd: S, a: Mat<'_>, row: usize, panels: Panels, k: (usize, usize), dst: &mut [f32]) {
    let kc = k.1 - k.0;
    for i in 0..panels.count {
        let (start, height) = (panels.start(i), panels.height(i));
        let dst = &mut dst[start * kc..];
        match height {
            6 => panel_a::<S, 6>(simd, a, row + start, k, dst),
            5 => panel_a::<S, 5>(simd, a, row + start, k, dst),
            4 => panel_a::<S, 4>(simd, a, row + start, k, dst),
            3 => panel_a::<S, 3>(simd, a, row + start, k, dst),
            2 => panel_a::<S, 2>(simd, a, row + start, k, dst),
            _ => panel_a::<S, 1>(simd, a, row + start, k, dst),
        }
    }
}

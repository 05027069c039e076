//! The packed way: groups of rows of `x`, strips of the weights, register tiles of 32-bit sums.

use super::MAX_K;
use super::pack::{self, pairs};
use super::sink::Sink;
use crate::kernels::cut::{Panels, even};
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};
use crate::view::Mat;

/// Rows of the tallest tile.
pub(in crate::kernels) const MR: usize = 5;
/// Registers in a row of a tile: 5 x 2 sums, 2 loads and 1 broadcast leave AVX2 three for products, which measured faster than one.
pub(in crate::kernels) const NV: usize = 2;

/// 16-bit elements of `x` in a group of rows: 320 KiB of a 512 KiB second cache.
const GROUP: usize = 160 << 10;
/// 16-bit elements of the weights that are kept packed for the next group: 4 MB of the third cache.
const KEPT: usize = 2 << 20;
/// Elements in a cache line.
const LINE: usize = 32;

/// `k` in whole pairs; not 0, so that sizes can be divided by it.
const fn whole(k: usize) -> usize {
    if k == 0 { 2 } else { 2 * pairs(if k <= MAX_K { k } else { MAX_K }) } // more is refused
}

/// Panels of `x` in a group.
const fn group_len(m: usize, k: usize) -> usize {
    let most = GROUP / (MR * whole(k));
    even(m.div_ceil(MR), if most == 0 { 1 } else { most }, 1)
}

/// Columns whose strips are kept.
const fn kept_columns(n: usize, k: usize) -> usize {
    let unit = NV * MAX_LANES;
    let most = KEPT / whole(k) / unit * unit;
    even(n, if most == 0 { unit } else { most }, unit)
}

pub(super) const fn scratch_len(m: usize, n: usize, k: usize) -> usize {
    let (panels, group) = (m.div_ceil(MR), group_len(m, k));
    let cols = if panels <= group { NV * MAX_LANES } else { kept_columns(n, k) };
    let rows = if group.saturating_mul(MR) < m { group * MR } else { m };
    (rows + cols) * whole(k) + 2 * MAX_LANES + LINE
}

/// `c = x · wᵀ`.
pub(super) struct Packed<'a, 's, C> {
    pub(super) c: C,
    pub(super) x: Mat<'a, i8>,
    pub(super) w: Mat<'a, i8>,
    pub(super) scratch: &'s mut [i16],
}

impl<C: Sink> Kernel for Packed<'_, '_, C> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let (m, n, k) = (self.x.rows(), self.w.rows(), self.x.cols());
        let (nr, all) = (NV * S::LANES, Panels::of(m, MR));
        let strip_len = nr * 2 * pairs(k);
        let group = group_len(m, k).max(1);
        // Where all panels meet a strip at once, it is packed, used and forgotten: one place for all strips stays in the first cache.
        let one = group >= all.count;
        let nc = if one { n } else { kept_columns(n, k) };
        let start = self.scratch.as_ptr().align_offset(2 * LINE).min(LINE - 1);
        let strips = if one { 1 } else { nc.div_ceil(nr) };
        let (kept, packed) = self.scratch[start..].split_at_mut(strips * strip_len);
        for jc in (0..n).step_by(nc.max(1)) {
            let nc = nc.min(n - jc);
            for first in (0..all.count).step_by(group) {
                let panels = all.range(first, (first + group).min(all.count));
                let row = all.start(first);
                pack_group(simd, self.x, row, panels, packed);
                for (s, jr) in (0..nc).step_by(nr).enumerate() {
                    let (col, cols) = (jc + jr, nr.min(nc - jr));
                    let strip = &mut kept[if one { 0 } else { s * strip_len }..][..strip_len];
                    if first == 0 {
                        pack::strip(simd, self.w, col, cols, strip);
                    }
                    for (from, to) in [(0, panels.taller), (panels.taller, panels.count)] {
                        if from >= to {
                            continue;
                        }
                        let part = Part { c: &mut self.c, x: packed, strip, k, row, at: (col, cols) };
                        let range = (panels.start(from), panels.start(to));
                        match (panels.height(from), cols > S::LANES) {
                            (5, true) => simd.outline(Column::<C, 5, NV>(part, range)),
                            (4, true) => simd.outline(Column::<C, 4, NV>(part, range)),
                            (3, true) => simd.outline(Column::<C, 3, NV>(part, range)),
                            (2, true) => simd.outline(Column::<C, 2, NV>(part, range)),
                            (_, true) => simd.outline(Column::<C, 1, NV>(part, range)),
                            (5, _) => simd.outline(Column::<C, 5, 1>(part, range)),
                            (4, _) => simd.outline(Column::<C, 4, 1>(part, range)),
                            (3, _) => simd.outline(Column::<C, 3, 1>(part, range)),
                            (2, _) => simd.outline(Column::<C, 2, 1>(part, range)),
                            _ => simd.outline(Column::<C, 1, 1>(part, range)),
                        }
                    }
                }
            }
        }
    }
}

/// Packs the rows from `row` on that `panels` cover.
#[inline(always)]
fn pack_group<S: Simd>(simd: S, x: Mat<'_, i8>, row: usize, panels: Panels, dst: &mut [i16]) {
    let (k, stride) = (x.cols(), x.row_stride());
    for i in 0..panels.count {
        let start = panels.start(i);
        let (rows, dst) = (&x.data()[(row + start) * stride..], &mut dst[start * 2 * pairs(k)..]);
        match panels.height(i) {
            5 => pack::panel::<S, 5>(simd, rows, stride, k, dst),
            4 => pack::panel::<S, 4>(simd, rows, stride, k, dst),
            3 => pack::panel::<S, 3>(simd, rows, stride, k, dst),
            2 => pack::panel::<S, 2>(simd, rows, stride, k, dst),
            _ => pack::panel::<S, 1>(simd, rows, stride, k, dst),
        }
    }
}

/// One strip of weights, and the packed rows that it meets.
struct Part<'p, C> {
    c: &'p mut C,
    x: &'p [i16],
    strip: &'p [i16],
    k: usize,
    /// The row of `c` of the first packed one.
    row: usize,
    /// First column, and how many.
    at: (usize, usize),
}

/// Rows `.1.0..1.1` in panels `M` high times the strip, of which `N` registers count.
struct Column<'p, C, const M: usize, const N: usize>(Part<'p, C>, (usize, usize));

impl<C: Sink, const M: usize, const N: usize> Kernel for Column<'_, C, M, N> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self(part, (from, to)) = self;
        let (col, cols) = part.at;
        let width = 2 * pairs(part.k);
        for row in (from..to).step_by(M) {
            part.c.prefetch::<S, M>(simd, part.row + row, col);
            let acc = tile::<S, M, N>(simd, &part.x[row * width..][..M * width], part.strip);
            if cols == N * S::LANES {
                for i in 0..M {
                    part.c.put_registers(simd, part.row + row + i, col, acc[i]);
                }
                continue;
            }
            for i in 0..M {
                let mut sums = [0; NV * MAX_LANES];
                for j in 0..N {
                    simd.store_i32(acc[i][j], &mut sums[j * S::LANES..]);
                }
                part.c.put(simd, part.row + row + i, col, &sums[..cols]);
            }
        }
    }
}

/// `acc[i][j] = Σₚ x[p][i][0] · w[p][j][0] + x[p][i][1] · w[p][j][1]`.
#[inline(always)]
fn tile<S: Simd, const M: usize, const N: usize>(simd: S, x: &[i16], strip: &[i16]) -> [[S::I32; N]; M] {
    let mut acc = [[simd.splat_i32(0); N]; M];
    for (x, w) in x.as_chunks().0.as_chunks::<M>().0.iter().zip(strip.chunks_exact(2 * NV * S::LANES)) {
        let mut row = [simd.load_i16(w); N];
        for j in 1..N {
            row[j] = simd.load_i16(&w[2 * j * S::LANES..]);
        }
        for i in 0..M {
            let x = simd.splat_pair(x[i]);
            for j in 0..N {
                acc[i][j] = simd.dot_pairs(x, row[j], acc[i][j]);
            }
        }
    }
    acc
}

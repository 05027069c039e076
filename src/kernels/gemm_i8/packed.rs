//! The packed way: groups of rows of `x`, strips of the weights, register tiles of 32-bit sums.

use super::MAX_K;
use super::pack::{self, pairs};
use super::sink::Sink;
use super::step::Pairs;
use super::tile::{MR, NV, Part, Rest};
use crate::kernels::cut::{Panels, even};
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};
use crate::view::Mat;

/// Words of `x` in a group of rows: 320 KiB of a 512 KiB second cache.
pub(super) const GROUP: usize = 80 << 10;
/// Words of the weights that are kept packed for the next group: 4 MB of the third cache.
const KEPT: usize = 1 << 20;
/// Words in a cache line.
pub(super) const LINE: usize = 16;

/// Words of a row; not 0, so that sizes can be divided by it.
const fn whole(k: usize) -> usize {
    if k == 0 { 1 } else { pairs(if k <= MAX_K { k } else { MAX_K }) } // more is refused
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
    (rows + cols) * whole(k) + MAX_LANES + LINE
}

/// `c = x · wᵀ`.
pub(super) struct Packed<'a, 's, C> {
    pub(super) c: C,
    pub(super) x: Mat<'a, i8>,
    pub(super) w: Mat<'a, i8>,
    pub(super) scratch: &'s mut [i32],
}

impl<C: Sink> Kernel for Packed<'_, '_, C> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let (m, n, k) = (self.x.rows(), self.w.rows(), self.x.cols());
        let (nr, all) = (NV * S::LANES, Panels::of(m, MR));
        let strip_len = nr * pairs(k);
        let group = group_len(m, k).max(1);
        // Where all panels meet a strip at once, it is packed, used and forgotten: one place for all strips stays in the first cache.
        let one = group >= all.count;
        let nc = if one { n } else { kept_columns(n, k) };
        let start = self.scratch.as_ptr().align_offset(4 * LINE).min(LINE - 1);
        let strips = if one { 1 } else { nc.div_ceil(nr) };
        let (kept, packed) = self.scratch[start..].split_at_mut(strips * strip_len);
        for jc in (0..n).step_by(nc.max(1)) {
            let nc = nc.min(n - jc);
            for first in (0..all.count).step_by(group) {
                let panels = all.range(first, (first + group).min(all.count));
                let row = all.start(first);
                pack::group::<Pairs, S>(simd, self.x, row, panels, packed);
                for (s, jr) in (0..nc).step_by(nr).enumerate() {
                    let (col, cols) = (jc + jr, nr.min(nc - jr));
                    let strip = &mut kept[if one { 0 } else { s * strip_len }..][..strip_len];
                    if first == 0 {
                        pack::strip(simd, self.w, col, cols, strip);
                    }
                    let part = Part {
                        c: &mut self.c,
                        x: packed,
                        strip,
                        start: &[0; NV * MAX_LANES],
                        rest: [Rest::default(); NV],
                        steps: pairs(k),
                        row,
                        at: (col, cols),
                    };
                    part.run::<Pairs, S>(simd, panels);
                }
            }
        }
    }
}

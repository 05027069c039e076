//! The packed way on one thread: loops over blocks of `k`, groups of panels of A and strips of B.

use super::blocks::{Blocks, Left, Strip, k_blocks, k_step};
use super::pack;
use super::tile::{MR, strip_cols};
use crate::kernels::Epilogue;
use crate::kernels::arch::split::Tile;
use crate::kernels::cut::{Panels, even};
use crate::kernels::element::Element;
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};
use crate::view::Mat;

/// Floats of A in a group of panels: 320 KiB of a 512 KiB second cache.
const GROUP: usize = 80 << 10;
/// Columns of B whose strips are kept for the next group: 1024 x 640 floats are 2.6 MB of the third cache.
const NC: usize = 1024;
/// Columns of C up to which rows of A are read where they are, as packing them would not be repaid: any number where strips of B are wide,
/// and hold the loop back no more than packed panels would.
const fn narrow(lanes: usize) -> usize {
    if lanes == 16 { usize::MAX } else { 400 }
}

/// Floats in a cache line.
pub(super) const LINE: usize = 16;

/// The scratch from the start of a cache line on: strips are loaded most often, and a load across two lines takes two.
pub(super) fn aligned(scratch: &mut [f32]) -> &mut [f32] {
    let start = scratch.as_ptr().align_offset(LINE * size_of::<f32>());
    scratch.get_mut(start.min(LINE - 1)..).unwrap_or_default()
}

/// Panels of A in a group, for blocks of `step` of `k`: groups are as even as possible.
const fn group_len(m: usize, step: usize) -> usize {
    let most = GROUP / (MR * if step == 0 { 1 } else { step });
    even(m.div_ceil(MR), if most == 0 { 1 } else { most }, 1)
}

/// Elements of scratch for an `m x k` by `k x n` product, before it is [`aligned`]: enough for any instruction set.
pub(super) const fn scratch_len(m: usize, n: usize, k: usize) -> usize {
    let (step, group) = (k_step(k), group_len(m, k_step(k)));
    let n = if m.div_ceil(MR) <= group { strip_cols(MAX_LANES) } else { even(n, NC, strip_cols(MAX_LANES)) };
    let rows = if group * MR < m { group * MR } else { m };
    (rows + n) * step + LINE
}

/// An operand.
#[derive(Clone, Copy)]
pub(super) enum Side<'a, T = f32> {
    /// Packed on the way.
    Matrix(Mat<'a, T>),
    /// A alone, row-major: read where it is.
    InPlace(Mat<'a, T>),
    /// Packed before, for several threads: all blocks of `k`, each with all panels of A or strips of B.
    #[cfg_attr(not(feature = "train"), expect(dead_code, reason = "one thread packs on the way"))]
    Packed(&'a [f32]),
}

impl<'a, T> Side<'a, T> {
    /// The same of a part of the matrix; what is packed is shared whole.
    #[cfg(feature = "train")]
    pub(super) fn map(self, part: impl Fn(Mat<'a, T>) -> Mat<'a, T>) -> Self {
        match self {
            Self::Matrix(matrix) => Self::Matrix(part(matrix)),
            Self::InPlace(matrix) => Self::InPlace(part(matrix)),
            Self::Packed(packed) => Self::Packed(packed),
        }
    }
}

impl<'a> Side<'a> {
    /// A, for a product of which one thread computes `n` columns.
    #[inline(always)]
    pub(super) fn left(a: Mat<'a>, n: usize, lanes: usize) -> Self {
        if n <= narrow(lanes) && a.col_stride() == 1 { Self::InPlace(a) } else { Self::Matrix(a) }
    }
}

/// `c = epilogue(a · b)`, `k` in blocks of `step`.
pub(super) struct Packed<'c, 'a, 'e, 's, T> {
    pub(super) c: Tile<'c>,
    pub(super) a: Side<'a>,
    pub(super) b: Side<'a, T>,
    pub(super) k: usize,
    pub(super) step: usize,
    pub(super) epilogue: Epilogue<'e>,
    pub(super) scratch: &'s mut [f32],
}

impl<T: Element> Kernel for Packed<'_, '_, '_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let (m, n, k) = (self.c.rows(), self.c.cols(), self.k);
        let (nr, all) = (strip_cols(S::LANES), Panels::of(m, MR));
        let group = group_len(m, self.step).max(1);
        // Where all panels meet a strip at once, it is packed, used and forgotten: one place for all strips stays in the first cache.
        let one = group >= all.count;
        let nc = if one { n } else { even(n, NC, nr) };
        let strips = match self.b {
            Side::Packed(_) => 0,
            _ if one => nr,
            _ => nc.next_multiple_of(nr),
        };
        let (packed_b, packed_a) = self.scratch.split_at_mut(strips * self.step);
        for jc in (0..n).step_by(nc.max(1)) {
            let nc = nc.min(n - jc);
            for range in k_blocks(k, self.step) {
                let kc = range.1 - range.0;
                for first in (0..all.count).step_by(group) {
                    let panels = all.range(first, (first + group).min(all.count));
                    let row = all.start(first);
                    let a = match self.a {
                        Side::InPlace(a) => {
                            let rows = &a.data()[row * a.row_stride() + range.0..];
                            Left::InPlace { rows, stride: a.row_stride() }
                        }
                        Side::Matrix(a) => {
                            pack::panels_a(simd, a, row, panels, range, packed_a);
                            Left::Packed(packed_a)
                        }
                        Side::Packed(a) => Left::Packed(&a[range.0 * m + row * kc..]),
                    };
                    for (s, jr) in (0..nc).step_by(nr).enumerate() {
                        let (col, cols) = (jc + jr, nr.min(nc - jr));
                        let strip = match self.b {
                            Side::Packed(b) => {
                                Strip::Packed(&b[range.0 * n.next_multiple_of(nr) + col * kc..][..nr * kc])
                            }
                            Side::Matrix(b) | Side::InPlace(b) => {
                                let packed = &mut packed_b[if one { 0 } else { s * nr * kc }..][..nr * kc];
                                if first > 0 {
                                    Strip::Packed(packed)
                                } else if b.col_stride() == 1 && cols == nr {
                                    let rows = &b.data()[range.0 * b.row_stride() + col..];
                                    Strip::Fresh { packed, rows, stride: b.row_stride() }
                                } else {
                                    pack::strip_b(simd, b, col, cols, range, packed); // hot for its first use
                                    Strip::Packed(packed)
                                }
                            }
                        };
                        let accumulate = range.0 > 0 || self.epilogue.accumulate;
                        let blocks = Blocks { a, kc, panels, accumulate };
                        let finish = (range.1 == k).then_some(self.epilogue);
                        blocks.column(simd, &mut self.c, row, (col, cols), strip, finish);
                    }
                }
            }
        }
    }
}

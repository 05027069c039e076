//! The same product split over the threads of the current rayon pool, by tiles of the output.
//!
//! Every element is summed by one thread in the order in which one thread alone would sum it, so the bits are equal for any number.

use super::blocks::{k_blocks, k_step};
use super::pack;
use super::packed::{self, LINE, Packed, Side};
use super::tile::{MR, strip_cols};
use super::{Path, check, unpacked};
use crate::error::ShapeError;
use crate::kernels::arch::split::Tile;
use crate::kernels::cut::{Panels, even};
use crate::kernels::element::Element;
use crate::kernels::parts::Parts;
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};
use crate::kernels::{Activation, Epilogue, Isa};
use crate::view::{Mat, MatMut};

/// Rows and columns of C computed at once, by all threads together.
const BLOCK: usize = 2048;
/// Floats of the operand that is packed for all threads: 4 MB of the third cache.
const SHARED: usize = 1 << 20;
/// Multiply-adds under which one thread is faster: some 8 us of AVX2, against 1 to 2 us for handing over a part where the machine is
/// quiet. AVX-512 does twice as many in that time, and was measured where handing over takes 5 us and more: in a step of training, 200x10x512
/// takes 34 us on one of two threads, which has to fetch half of its operands from the other's cache, and 21 us on both.
const fn serial(isa: Isa) -> usize {
    if isa.lanes() == 16 { 1_000_000 } else { 400_000 }
}
/// Multiply-adds of the smallest part that is handed over, for the packed way some 30 us.
const PART: usize = 1_500_000;

/// Parts for each thread: more would balance better, but each begins with operands that are not near.
const PARTS: usize = 2;
/// Floats packed by one thread before it shares.
const PACK_PART: usize = 16_384;

/// How a product is cut into blocks, and what they need.
#[derive(Clone, Copy)]
struct Cut {
    /// Rows and columns of a block of C.
    rows: usize,
    cols: usize,
    /// Steps of `k` in a block, as on one thread.
    step: usize,
    /// Steps of `k` that are packed at once: whole blocks.
    group: usize,
    /// Floats of scratch.
    scratch: usize,
}

impl Cut {
    const fn of(m: usize, n: usize, k: usize) -> Self {
        let (rows, cols, step) = (even(m, BLOCK, 1), even(n, BLOCK, strip_cols(MAX_LANES)), k_step(k));
        let padded = rows.next_multiple_of(strip_cols(MAX_LANES));
        let (shorter, longer) = if padded < cols { (padded, cols) } else { (cols, padded) };
        let blocks = SHARED / if shorter * step == 0 { 1 } else { shorter * step };
        let group = step * if blocks == 0 { 1 } else { blocks };
        let group = if group < k { group } else { k };
        Self { rows, cols, step, group, scratch: (shorter * group).next_multiple_of(LINE) + longer * step + LINE }
    }
}

/// Elements of scratch that [`matmul`] needs; at least those of the product on one thread.
#[must_use]
pub const fn matmul_scratch_len(m: usize, n: usize, k: usize) -> usize {
    let (together, alone) = (Cut::of(m, n, k).scratch, packed::scratch_len(m, n, k));
    if alone < together { together } else { alone }
}

/// `c = activation(a·b + bias)` as [`matmul_with`](crate::kernels::matmul_with), on all threads of the current rayon pool where that pays.
///
/// # Shapes
/// As [`matmul_with`](crate::kernels::matmul_with); `scratch` needs [`matmul_scratch_len`] of this module.
/// # Errors
/// As [`matmul_with`](crate::kernels::matmul_with).
pub fn matmul(
    isa: Isa,
    c: MatMut<'_>,
    a: Mat<'_>,
    b: Mat<'_>,
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    product(isa, c, a, b, epilogue, scratch)
}

/// The same for any stored `b`.
pub(in crate::kernels) fn product<T: Element>(
    isa: Isa,
    c: MatMut<'_>,
    a: Mat<'_>,
    b: Mat<'_, T>,
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    let path = check(&c, a, b, epilogue)?;
    let (m, n, k) = (a.rows(), b.cols(), a.cols());
    let needed = matmul_scratch_len(m, n, k);
    if scratch.len() < needed {
        return Err(ShapeError::TooShort { what: "the scratch of matmul", needed, got: scratch.len() });
    }
    if rayon::current_num_threads() == 1 || m.saturating_mul(n).saturating_mul(k) < serial(isa) {
        return super::product(|| isa, c, a, b, epilogue, scratch);
    }
    let least = if path == Path::Packed { 2 * PART } else { serial(isa) };
    on_all(isa, path, Tile::whole(c), a, b, epilogue, (least, scratch));
    Ok(())
}

/// [`matmul`] on all threads, whether it pays or not: so that the threshold can be measured.
pub(crate) fn matmul_shared(
    isa: Isa,
    c: MatMut<'_>,
    a: Mat<'_>,
    b: Mat<'_>,
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    let path = check(&c, a, b, Epilogue::default())?;
    on_all(isa, path, Tile::whole(c), a, b, Epilogue::default(), (0, scratch));
    Ok(())
}

/// On all threads of the pool; products of fewer multiply-adds than `least` are not cut any more.
fn on_all<T: Element>(
    isa: Isa,
    path: Path,
    c: Tile<'_>,
    a: Mat<'_>,
    b: Mat<'_, T>,
    epilogue: Epilogue<'_>,
    (least, scratch): (usize, &mut [f32]),
) {
    let parts = Parts::new(PARTS * rayon::current_num_threads(), least);
    match path {
        Path::Packed => in_blocks(isa, c, a, b, epilogue, parts, packed::aligned(scratch)),
        path => split_unpacked(isa, path, c, a, b, epilogue, parts),
    }
}

/// Halves the output until there are `parts`.
fn split_unpacked<T: Element>(
    isa: Isa,
    path: Path,
    c: Tile<'_>,
    a: Mat<'_>,
    b: Mat<'_, T>,
    epilogue: Epilogue<'_>,
    parts: Parts,
) {
    let (m, n, k) = (c.rows(), c.cols(), a.cols());
    let by_columns = n >= 8 * MAX_LANES || n >= m;
    // At whole tiles: of one or two rows they are twice as wide.
    let (side, unit) = if by_columns { (n, if m <= 2 { 4 } else { 2 } * isa.lanes()) } else { (m, 1) };
    let Some((at, [parts, others])) = parts.halve(m.saturating_mul(n).saturating_mul(k), side, unit) else {
        return unpacked(isa, path, c, a, b, epilogue);
    };
    if by_columns {
        let (left, right) = c.split_cols(at);
        let half = |from, to| Epilogue { bias: epilogue.bias.map(|bias| &bias[from..to]), ..epilogue };
        let (first, second) = (half(0, at), half(at, n));
        rayon::join(
            || split_unpacked(isa, path, left, a, b.cols_range(0, at), first, parts),
            || split_unpacked(isa, path, right, a, b.cols_range(at, n), second, others),
        );
    } else {
        let (top, bottom) = c.split_rows(at);
        rayon::join(
            || split_unpacked(isa, path, top, a.rows_range(0, at), b, epilogue, parts),
            || split_unpacked(isa, path, bottom, a.rows_range(at, m), b, epilogue, others),
        );
    }
}

/// Blocks of C and of `k`, one after the other.
fn in_blocks<T: Element>(
    isa: Isa,
    mut c: Tile<'_>,
    a: Mat<'_>,
    b: Mat<'_, T>,
    epilogue: Epilogue<'_>,
    parts: Parts,
    scratch: &mut [f32],
) {
    let (m, n, k) = (a.rows(), b.cols(), a.cols());
    let cut = Cut::of(m, n, k);
    for jc in (0..n).step_by(cut.cols.max(1)) {
        let cols = (jc, (jc + cut.cols).min(n));
        for ic in (0..m).step_by(cut.rows.max(1)) {
            let rows = (ic, (ic + cut.rows).min(m));
            for from in (0..k.max(1)).step_by(cut.group.max(1)) {
                let to = (from + cut.group).min(k);
                let (_, c) = c.reborrow().split_rows(rows.0);
                let (c, _) = c.split_rows(rows.1 - rows.0);
                let (_, c) = c.split_cols(cols.0);
                let (c, _) = c.split_cols(cols.1 - cols.0);
                let a = a.rows_range(rows.0, rows.1).cols_range(from, to);
                let b = b.rows_range(from, to).cols_range(cols.0, cols.1);
                let last = to == k;
                let epilogue = Epilogue {
                    accumulate: from > 0 || epilogue.accumulate,
                    bias: epilogue.bias.filter(|_| last).map(|bias| &bias[cols.0..cols.1]),
                    activation: if last { epilogue.activation } else { Activation::Identity },
                };
                together(isa, c, a, b, cut.step, epilogue, (parts, scratch));
            }
        }
    }
}

/// All threads pack the smaller operand, unless it is read in place, then share the product by parts of the larger, which each part
/// packs on its own.
fn together<T: Element>(
    isa: Isa,
    c: Tile<'_>,
    a: Mat<'_>,
    b: Mat<'_, T>,
    step: usize,
    epilogue: Epilogue<'_>,
    (parts, scratch): (Parts, &mut [f32]),
) {
    let (m, n, k) = (a.rows(), b.cols(), a.cols());
    let (nr, threads) = (strip_cols(isa.lanes()), rayon::current_num_threads());
    let (mut left, mut right) = (Side::left(a, n / threads, isa.lanes()), Side::Matrix(b));
    let shared = if m > n {
        Some(Shared::Strips { b, col: 0, cols: n, nr })
    } else if let Side::Matrix(_) = left {
        Some(Shared::Panels { a, row: 0, panels: Panels::of(m, MR) })
    } else {
        None
    };
    let len = shared.map_or(0, |shared| shared.width() * k);
    let (packed, scratch) = scratch.split_at_mut(len.next_multiple_of(LINE));
    let packed = &mut packed[..len];
    if let Some(shared) = shared {
        shared.pack(isa, (0, k), step, packed);
        match shared {
            Shared::Panels { .. } => left = Side::Packed(packed),
            Shared::Strips { .. } => right = Side::Packed(packed),
        }
    }
    share(isa, Packed { c, a: left, b: right, k, step, epilogue, scratch }, parts);
}

/// Halves a product along the operand that each part packs, until there are `parts`.
fn share<T: Element>(isa: Isa, product: Packed<'_, '_, '_, '_, T>, parts: Parts) {
    let Packed { c, a, b, k, step, epilogue, scratch } = product;
    let (m, n) = (c.rows(), c.cols());
    let by_columns = !matches!(b, Side::Packed(_));
    let (side, unit) = if by_columns { (n, strip_cols(isa.lanes())) } else { (m, MR) };
    let Some((at, [parts, others])) = parts.halve(m.saturating_mul(n).saturating_mul(k), side, unit) else {
        return isa.run(Packed { c, a, b, k, step, epilogue, scratch });
    };
    let (mine, other) = scratch.split_at_mut(at * step);
    let (first, second) = if by_columns {
        let (left, right) = c.split_cols(at);
        let [(b_left, left_end), (b_right, right_end)] = [(0, at), (at, n)].map(|(from, to)| {
            let bias = epilogue.bias.map(|bias| &bias[from..to]);
            (b.map(|b| b.cols_range(from, to)), Epilogue { bias, ..epilogue })
        });
        (
            Packed { c: left, a, b: b_left, k, step, epilogue: left_end, scratch: mine },
            Packed { c: right, a, b: b_right, k, step, epilogue: right_end, scratch: other },
        )
    } else {
        let (top, bottom) = c.split_rows(at);
        let [above, below] = [(0, at), (at, m)].map(|(from, to)| a.map(|a| a.rows_range(from, to)));
        (
            Packed { c: top, a: above, b, k, step, epilogue, scratch: mine },
            Packed { c: bottom, a: below, b, k, step, epilogue, scratch: other },
        )
    };
    rayon::join(|| share(isa, first, parts), || share(isa, second, others));
}

/// The operand that is packed for all threads.
#[derive(Clone, Copy)]
enum Shared<'a, T> {
    Panels { a: Mat<'a>, row: usize, panels: Panels },
    Strips { b: Mat<'a, T>, col: usize, cols: usize, nr: usize },
}

impl<T: Element> Shared<'_, T> {
    /// Floats packed for each step of `k`.
    fn width(&self) -> usize {
        match *self {
            Self::Panels { panels, .. } => panels.start(panels.count),
            Self::Strips { cols, nr, .. } => cols.next_multiple_of(nr),
        }
    }

    /// Two halves, and the width of the first; none of a single panel or strip.
    fn halves(&self) -> Option<(Self, Self, usize)> {
        match *self {
            Self::Panels { a, row, panels } => {
                let at = panels.count / 2;
                let width = panels.start(at);
                let top = Self::Panels { a, row, panels: panels.range(0, at) };
                let bottom = Self::Panels { a, row: row + width, panels: panels.range(at, panels.count) };
                (at > 0).then_some((top, bottom, width))
            }
            Self::Strips { b, col, cols, nr } => {
                let width = (cols / 2).next_multiple_of(nr);
                let left = Self::Strips { b, col, cols: width.min(cols), nr };
                let right = Self::Strips { b, col: col + width, cols: cols.saturating_sub(width), nr };
                (width < cols).then_some((left, right, width))
            }
        }
    }

    /// Packs blocks of `step` of `k.0..k.1`, all threads together.
    fn pack(self, isa: Isa, k: (usize, usize), step: usize, dst: &mut [f32]) {
        let blocks = (k.1 - k.0).div_ceil(step.max(1));
        if dst.len() > PACK_PART && blocks > 1 {
            let at = k.0 + blocks / 2 * step;
            let (first, second) = dst.split_at_mut((at - k.0) * self.width());
            rayon::join(|| self.pack(isa, (k.0, at), step, first), || self.pack(isa, (at, k.1), step, second));
        } else if dst.len() > PACK_PART
            && let Some((left, right, width)) = self.halves()
        {
            let (first, second) = dst.split_at_mut((k.1 - k.0) * width);
            rayon::join(|| left.pack(isa, k, step, first), || right.pack(isa, k, step, second));
        } else {
            isa.run(Pack { shared: self, k, step, dst });
        }
    }
}

/// A part of the packing, on one thread.
struct Pack<'a, 'd, T> {
    shared: Shared<'a, T>,
    k: (usize, usize),
    step: usize,
    dst: &'d mut [f32],
}

impl<T: Element> Kernel for Pack<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { shared, k, step, mut dst } = self;
        for (from, to) in k_blocks(k.1 - k.0, step) {
            let (block, rest) = dst.split_at_mut((to - from) * shared.width());
            dst = rest;
            let range = (k.0 + from, k.0 + to);
            match shared {
                Shared::Panels { a, row, panels } => pack::panels_a(simd, a, row, panels, range, block),
                Shared::Strips { b, col, cols, nr } => {
                    for (at, strip) in (0..cols).step_by(nr).zip(block.chunks_exact_mut((nr * (to - from)).max(1))) {
                        pack::strip_b(simd, b, col + at, nr.min(cols - at), range, strip);
                    }
                }
            }
        }
    }
}

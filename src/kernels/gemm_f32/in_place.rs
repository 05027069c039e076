//! Register tiles on unpacked operands, for products that packing would not repay, and rows that stream through a matrix.

use super::blocks::k_blocks;
use super::tile::{self, Finish, MR};
use crate::kernels::Epilogue;
use crate::kernels::arch::split::Tile;
use crate::kernels::cut::{Panels, even};
use crate::kernels::element::Element;
use crate::kernels::elementwise;
use crate::kernels::simd::{Kernel, Simd};
use crate::view::Mat;

/// A matrix of more bytes than this no longer fits beside others in a second cache, so one row times it reads whole rows in
/// order instead of strips.
const STREAM: usize = 128 << 10;

/// Longest block of `k` where several tiles meet the same rows of B: a strip of them stays in the first cache.
const KC: usize = 256;

/// Columns `col..col + cols` of C: `N` registers, the last one not full with `PARTIAL`.
macro_rules! heights {
    ($self:ident, $simd:ident, $n:literal, $partial:literal, $k:ident, $col:ident, $cols:ident, [$($m:literal)*]) => {{
        let panels = Panels::of($self.c.rows(), MR);
        for (from, to) in [(0, panels.taller), (panels.taller, panels.count)] {
            if from == to {
                continue;
            }
            let (rows, height) = (panels.start(from)..panels.start(to), panels.height(from));
            match height {
                $($m => $simd.outline(Column::<T, $m, $n, $partial> { product: &mut $self, rows, k: $k, col: $col, cols: $cols }),)*
                _ => {}
            }
        }
    }};
}

/// Whether one row streams through a matrix of this shape.
#[inline(always)]
const fn streams(m: usize, n: usize, k: usize) -> bool {
    m == 1 && n >= 16 && k * n > STREAM / 4
}

/// In which order the products of an element are summed, by the shape of the whole product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// One row that [`streams`] through a matrix.
    Stream,
    /// One chain: a single tile has all the rows, and meets those of B once.
    Chain,
    /// A chain for each block of up to [`KC`] steps.
    Blocks,
}

impl Order {
    /// For an output of `m` by `n`.
    #[inline(always)]
    pub(super) const fn of(m: usize, n: usize, k: usize) -> Self {
        match (streams(m, n, k), m <= MR) {
            (true, _) => Self::Stream,
            (_, true) => Self::Chain,
            _ => Self::Blocks,
        }
    }
}

/// `c = epilogue(a · b)`, nothing packed.
pub(super) struct InPlace<'c, 'a, 'e, T> {
    pub(super) c: Tile<'c>,
    pub(super) a: Mat<'a>,
    pub(super) b: Mat<'a, T>,
    pub(super) epilogue: Epilogue<'e>,
    /// Of the whole product, as a part of it must sum in the same order.
    pub(super) order: Order,
}

impl<T: Element> Kernel for InPlace<'_, '_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let (m, n) = (self.c.rows(), self.c.cols());
        if self.order == Order::Stream {
            self.stream(simd);
        } else {
            // One row at a time leaves registers for four vectors of columns; taller tiles for two.
            let step = if m <= 2 { 4 * S::LANES } else { 2 * S::LANES };
            let k = self.a.cols();
            let kc = if self.order == Order::Chain { k } else { even(k, KC, 1) };
            for range in k_blocks(self.a.cols(), kc) {
                let mut col = 0;
                while col < n {
                    let cols = step.min(n - col);
                    let vectors = cols.div_ceil(S::LANES);
                    // Constant where there is one lane, or a third of the code would never run.
                    if const { S::LANES > 1 } && cols % S::LANES != 0 {
                        match vectors {
                            4 => heights!(self, simd, 4, true, range, col, cols, [1 2]),
                            3 => heights!(self, simd, 3, true, range, col, cols, [1 2]),
                            2 => heights!(self, simd, 2, true, range, col, cols, [1 2 3 4 5 6]),
                            _ => heights!(self, simd, 1, true, range, col, cols, [1 2 3 4 5 6]),
                        }
                    } else {
                        match vectors {
                            4 => heights!(self, simd, 4, false, range, col, cols, [1 2]),
                            3 => heights!(self, simd, 3, false, range, col, cols, [1 2]),
                            2 => heights!(self, simd, 2, false, range, col, cols, [1 2 3 4 5 6]),
                            _ => heights!(self, simd, 1, false, range, col, cols, [1 2 3 4 5 6]),
                        }
                    }
                    col += cols;
                }
            }
            if Finish::is_needed(&self.epilogue) {
                simd.outline(Finish { c: self.c, rows: (0, m), cols: (0, n), epilogue: self.epilogue });
            }
        }
    }
}

/// Rows `rows`, in tiles of `M`, by the columns of one strip.
struct Column<'p, 'c, 'a, 'e, T, const M: usize, const N: usize, const PARTIAL: bool> {
    product: &'p mut InPlace<'c, 'a, 'e, T>,
    rows: core::ops::Range<usize>,
    k: (usize, usize),
    col: usize,
    cols: usize,
}

impl<T: Element, const M: usize, const N: usize, const PARTIAL: bool> Kernel
    for Column<'_, '_, '_, '_, T, M, N, PARTIAL>
{
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { product, rows, k: (from, to), col, cols } = self;
        let InPlace { c, a, b, epilogue: Epilogue { accumulate, .. }, .. } = product;
        let accumulate = *accumulate || from > 0;
        let k = to - from;
        let b_data = if k == 0 { &[] } else { &b.data()[from * b.row_stride() + col..] };
        for row in rows.step_by(M) {
            let data = &a.data()[if k == 0 { 0 } else { row * a.row_stride() + from * a.col_stride() }..];
            let a = (data, a.row_stride(), a.col_stride());
            let acc = tile::in_place::<S, T, M, N, PARTIAL>(simd, a, (b_data, b.row_stride()), cols, k);
            tile::store(simd, acc, c, (row, col, cols), accumulate);
        }
    }
}

impl<T: Element> InPlace<'_, '_, '_, T> {
    /// One row times a large matrix: eight rows of B at a time pass over the sums in C.
    #[inline(always)]
    fn stream<S: Simd>(&mut self, simd: S) {
        /// With fewer, reading and writing C is a larger share of the time; of sixteen, prefetchers lose some.
        const ROWS: usize = 8;
        let (n, k) = (self.c.cols(), self.a.cols());
        let out = self.c.row_mut(0, 0, n);
        if !self.epilogue.accumulate {
            out.fill(0.0);
        }
        let scale = |p: usize| self.a.data()[p * self.a.col_stride()];
        let row = |p: usize| &self.b.data()[p * self.b.row_stride()..][..n];
        let mut p = 0;
        while p + ROWS <= k {
            let (mut scales, mut rows) = ([0.0; ROWS], [row(p); ROWS]);
            for r in 0..ROWS {
                (scales[r], rows[r]) = (scale(p + r), row(p + r));
            }
            axpy(simd, scales, rows, out);
            p += ROWS;
        }
        while p < k {
            axpy(simd, [scale(p)], [row(p)], out);
            p += 1;
        }
        if let Some(bias) = self.epilogue.bias {
            for (x, bias) in out.iter_mut().zip(bias) {
                *x += bias;
            }
        }
        elementwise::activate_simd(simd, self.epilogue.activation, out);
    }
}

/// The plain loop, for products too small for anything else to pay: a function call would cost more than they do.
#[inline(always)]
pub(super) fn plain<T: Element>(c: &mut Tile<'_>, a: Mat<'_>, b: Mat<'_, T>, accumulate: bool) {
    let (n, k) = (c.cols(), a.cols());
    for i in 0..c.rows() {
        let out = c.row_mut(i, 0, n);
        for (j, x) in out.iter_mut().enumerate() {
            let mut sum = 0.0;
            let (mut at_a, mut at_b) = (i * a.row_stride(), j * b.col_stride());
            for _ in 0..k {
                sum += a.data()[at_a] * b.data()[at_b].single();
                at_a += a.col_stride();
                at_b += b.row_stride();
            }
            *x = if accumulate { *x + sum } else { sum };
        }
    }
}

/// The plain loop along rows of B, whose columns must lie side by side: the compiler makes vectors of it.
#[inline(never)]
pub(super) fn rows<T: Element>(c: &mut Tile<'_>, a: Mat<'_>, b: Mat<'_, T>, accumulate: bool) {
    let n = c.cols();
    for i in 0..c.rows() {
        let out = c.row_mut(i, 0, n);
        for p in 0..a.cols() {
            let factor = a.data()[i * a.row_stride() + p * a.col_stride()];
            let row = &b.data()[p * b.row_stride()..][..n];
            if accumulate || p > 0 {
                out.iter_mut().zip(row).for_each(|(x, b)| *x += factor * b.single());
            } else {
                out.iter_mut().zip(row).for_each(|(x, b)| *x = 0.0 + factor * b.single());
            }
        }
    }
}

/// The plain loop with sums side by side, which do not wait for each other: for small products of unfavourable order.
#[inline(never)]
pub(super) fn side_by_side<T: Element>(c: &mut Tile<'_>, a: Mat<'_>, b: Mat<'_, T>, accumulate: bool) {
    let n = c.cols();
    for i in 0..c.rows() {
        let out = c.row_mut(i, 0, n);
        let row = a.data().get(i * a.row_stride()..).unwrap_or_default();
        let mut j = 0;
        while j + 4 <= n {
            plain_sums::<T, 4>(&mut out[j..], row, a, b, j, accumulate);
            j += 4;
        }
        if j + 2 <= n {
            plain_sums::<T, 2>(&mut out[j..], row, a, b, j, accumulate);
            j += 2;
        }
        if j < n {
            plain_sums::<T, 1>(&mut out[j..], row, a, b, j, accumulate);
        }
    }
}

/// `N` elements of a row of C, from column `j`.
#[inline(always)]
fn plain_sums<T: Element, const N: usize>(
    out: &mut [f32],
    row: &[f32],
    a: Mat<'_>,
    b: Mat<'_, T>,
    j: usize,
    accumulate: bool,
) {
    let mut sums = [0.0; N];
    for p in 0..a.cols() {
        let factor = row[p * a.col_stride()];
        for (s, sum) in sums.iter_mut().enumerate() {
            *sum += factor * b.data()[p * b.row_stride() + (j + s) * b.col_stride()].single();
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = if accumulate { *out + sum } else { sum };
    }
}

/// `out += Σᵣ scale[r] · rows[r]`, `r` in order for each element.
#[inline(always)]
fn axpy<S: Simd, T: Element, const R: usize>(simd: S, scale: [f32; R], rows: [&[T]; R], out: &mut [f32]) {
    let mut factors = [simd.splat(0.0); R];
    for r in 0..R {
        factors[r] = simd.splat(scale[r]);
    }
    let n = out.len();
    let mut j = 0;
    while j + 2 * S::LANES <= n {
        let mut sums = [simd.load(&out[j..]), simd.load(&out[j + S::LANES..])];
        for r in 0..R {
            let row = &rows[r][j..n];
            for v in 0..2 {
                sums[v] = simd.mul_add(factors[r], T::load(simd, &row[v * S::LANES..]), sums[v]);
            }
        }
        for v in 0..2 {
            simd.store(sums[v], &mut out[j + v * S::LANES..]);
        }
        j += 2 * S::LANES;
    }
    while j < n {
        let end = (j + S::LANES).min(n);
        let full = end - j == S::LANES;
        let old = &out[j..end];
        let mut sum = if full { simd.load(old) } else { simd.load_partial(old) };
        for r in 0..R {
            let row = &rows[r][j..end];
            let row = if full { T::load(simd, row) } else { T::load_partial(simd, row) };
            sum = simd.mul_add(factors[r], row, sum);
        }
        let out = &mut out[j..end];
        if full {
            simd.store(sum, out)
        } else {
            simd.store_partial(sum, out)
        }
        j = end;
    }
}

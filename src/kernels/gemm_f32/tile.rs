//! Register tiles: `MR` rows by `NV` registers of sums, from packed panels or straight from the operands.

use super::packed::LINE;
use crate::kernels::arch::band::Band;
use crate::kernels::arch::split::Tile;
use crate::kernels::element::Element;
use crate::kernels::simd::{Kernel, Simd};
use crate::kernels::{Activation, Epilogue, elementwise};

/// Rows of the tallest tile that sixteen registers hold.
pub(in crate::kernels) const MR: usize = 6;
/// Registers in a row of a full tile: 6 x 2 sums + 2 loads + 1 broadcast fill 15 of AVX2's 16.
pub(in crate::kernels) const NV: usize = 2;

/// Registers in a row of a packed strip of B: where sixteen lanes come with 32 registers, a tile of 6 x 4. One of 12 x 2 takes as many
/// sums, but packs A too: 82 % of the peak at 1024 cubed, where this has 89.
pub(super) const fn strip(lanes: usize) -> usize {
    if lanes == 16 { 2 * NV } else { NV }
}

/// Columns of a packed strip of B.
pub(super) const fn strip_cols(lanes: usize) -> usize {
    strip(lanes) * lanes
}

/// One register tile of sums.
pub(in crate::kernels) type Sums<S, const M: usize, const N: usize> = [[<S as Simd>::F32; N]; M];

/// `acc[i][j] = Σₚ a[p][i] · b[p][j]`: `a` is `[kc][M]`, `b` a strip, of whose rows the first `N` registers count.
/// Rounds of four steps save an eighth of the instructions and none of the time.
#[inline(always)] // compiled inside whichever function enabled the instruction set
pub(super) fn packed<S: Simd, const M: usize, const N: usize>(simd: S, a: &[f32], b: &[f32]) -> Sums<S, M, N> {
    let mut acc = [[simd.splat(0.0); N]; M];
    for (a, b) in a.chunks_exact(M).zip(b.chunks_exact(const { strip_cols(S::LANES) })) {
        let mut row = [simd.splat(0.0); N];
        for j in 0..N {
            row[j] = simd.load(&b[j * S::LANES..]);
        }
        for i in 0..M {
            let a = simd.splat(a[i]);
            for j in 0..N {
                acc[i][j] = simd.mul_add(a, row[j], acc[i][j]);
            }
        }
    }
    acc
}

/// The same sums with the rows of A where they are: row `i` starts at `i · stride`, its `kc` values are contiguous. `b` is `[kc][cols]`.
#[inline(always)]
pub(in crate::kernels) fn half_packed<S: Simd, const M: usize, const N: usize>(
    simd: S,
    a: &[f32],
    stride: usize,
    (b, cols): (&[f32], usize),
    kc: usize,
) -> Sums<S, M, N> {
    let mut acc = [[simd.splat(0.0); N]; M];
    let mut rows: [&[f32]; M] = [&[]; M];
    for i in 0..M {
        rows[i] = &a[i * stride..][..kc];
    }
    let b = Band::new(b, kc, N * S::LANES, cols);
    for p in 0..kc {
        let b = b.row(p);
        let mut row = [simd.splat(0.0); N];
        for j in 0..N {
            row[j] = simd.load(&b[j * S::LANES..]);
        }
        for i in 0..M {
            let a = simd.splat(rows[i][p]);
            for j in 0..N {
                acc[i][j] = simd.mul_add(a, row[j], acc[i][j]);
            }
        }
    }
    acc
}

/// Where [`packing`] finds its `M` values of A for each `p`.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    /// Each row is contiguous; the next starts `stride` later.
    Contiguous { data: &'a [f32], stride: usize },
    /// Packed: each column is contiguous, and the next follows.
    Packed(&'a [f32]),
}

/// The same sums from rows of B in place, `b_stride` apart, which are packed on the way for the tiles to come.
#[inline(always)]
pub(super) fn packing<S: Simd, T: Element, const M: usize, const N: usize>(
    simd: S,
    a: Rows<'_>,
    b: &[T],
    b_stride: usize,
    packed: &mut [f32],
    kc: usize,
) -> Sums<S, M, N> {
    /// Rows ahead: some hundred cycles, a line from the third cache.
    const AHEAD: usize = 40;
    // From the end of a strip to the beginning of the next one. On a machine of 32 bits it may lie anywhere.
    let turn = kc.saturating_sub(AHEAD);
    let ahead =
        [b_stride.wrapping_mul(AHEAD), b_stride.wrapping_mul(AHEAD.wrapping_sub(kc)).wrapping_add(N * S::LANES)];
    let mut acc = [[simd.splat(0.0); N]; M];
    let packed = &mut packed[..kc * N * S::LANES];
    let b = Band::new(b, kc, N * S::LANES, b_stride);
    match a {
        Rows::Contiguous { data, stride } => {
            let mut rows: [&[f32]; M] = [&[]; M];
            for i in 0..M {
                rows[i] = &data[i * stride..][..kc];
            }
            for p in 0..kc {
                let out = &mut packed[p * N * S::LANES..][..N * S::LANES];
                let row: [S::F32; N] = copy_row(simd, b.row(p), ahead[usize::from(p >= turn)], out);
                for i in 0..M {
                    let a = simd.splat(rows[i][p]);
                    for j in 0..N {
                        acc[i][j] = simd.mul_add(a, row[j], acc[i][j]);
                    }
                }
            }
        }
        Rows::Packed(data) => {
            let a = Band::new(data, kc, M, M);
            for p in 0..kc {
                let a = a.row(p);
                let out = &mut packed[p * N * S::LANES..][..N * S::LANES];
                let row: [S::F32; N] = copy_row(simd, b.row(p), ahead[usize::from(p >= turn)], out);
                for i in 0..M {
                    let a = simd.splat(a[i]);
                    for j in 0..N {
                        acc[i][j] = simd.mul_add(a, row[j], acc[i][j]);
                    }
                }
            }
        }
    }
    acc
}

/// Copies a row of a strip and returns it; asks for the one that begins `ahead`.
#[inline(always)]
fn copy_row<S: Simd, T: Element, const N: usize>(simd: S, b: &[T], ahead: usize, out: &mut [f32]) -> [S::F32; N] {
    simd.prefetch(b, ahead.wrapping_add(N * S::LANES - 1));
    for line in 0..const { (N * S::LANES * size_of::<T>()).div_ceil(64) - 1 } {
        simd.prefetch(b, ahead.wrapping_add(line * const { 64 / size_of::<T>() })); // the lines before that of the last
    }
    let mut row = [simd.splat(0.0); N];
    for j in 0..N {
        row[j] = T::load(simd, &b[j * S::LANES..]);
        simd.store(row[j], &mut out[j * S::LANES..]);
    }
    row
}

/// The same sums from operands in place: row `i` of A begins at `i · stride`, its values are `step` apart; `b` starts at the tile's
/// first column, its rows are `b_stride` apart, `cols` columns count. With `PARTIAL` the last register is not full.
#[inline(always)]
pub(super) fn in_place<S: Simd, T: Element, const M: usize, const N: usize, const PARTIAL: bool>(
    simd: S,
    (a, stride, step): (&[f32], usize, usize),
    (b, b_stride): (&[T], usize),
    cols: usize,
    k: usize,
) -> Sums<S, M, N> {
    let mut acc = [[simd.splat(0.0); N]; M];
    let b = Band::new(b, k, if PARTIAL { cols } else { N * S::LANES }, b_stride);
    let mut rows = [Band::new(a, k, 1, step); M];
    for i in 1..M {
        rows[i] = Band::new(a.get(i * stride..).unwrap_or_default(), k, 1, step);
    }
    for p in 0..k {
        let row = load_row::<S, T, N, PARTIAL>(simd, b.row(p));
        for i in 0..M {
            let a = simd.splat(rows[i].row(p)[0]);
            for j in 0..N {
                acc[i][j] = simd.mul_add(a, row[j], acc[i][j]);
            }
        }
    }
    acc
}

/// `N` registers of one row of B, the last one partly with `PARTIAL`.
#[inline(always)]
fn load_row<S: Simd, T: Element, const N: usize, const PARTIAL: bool>(simd: S, b: &[T]) -> [S::F32; N] {
    let mut row = [simd.splat(0.0); N];
    for j in 0..if PARTIAL { N - 1 } else { N } {
        row[j] = T::load(simd, &b[j * S::LANES..]);
    }
    if PARTIAL {
        row[N - 1] = T::load_partial(simd, &b[(N - 1) * S::LANES..]);
    }
    row
}

/// Asks for the lines of C that a tile will write, so that they arrive while it sums.
#[inline(always)]
pub(super) fn prefetch<S: Simd, const M: usize, const N: usize>(simd: S, c: &mut Tile<'_>, row: usize, col: usize) {
    let cols = c.cols();
    for row in c.rows_mut::<M>(row, col, cols) {
        for line in 0..const { (N * S::LANES).div_ceil(LINE) } {
            simd.prefetch(row, line * LINE);
        }
    }
}

/// Writes one tile of sums to `cols` columns from `col`, or adds it to what is there.
#[inline(always)]
pub(in crate::kernels) fn store<S: Simd, const M: usize, const N: usize>(
    simd: S,
    acc: Sums<S, M, N>,
    c: &mut Tile<'_>,
    (row, col, cols): (usize, usize, usize),
    accumulate: bool,
) {
    let rows = c.rows_mut::<M>(row, col, col + cols);
    if cols == N * S::LANES {
        for i in 0..M {
            let out = &mut rows[i][..N * S::LANES];
            for j in 0..N {
                let out = &mut out[j * S::LANES..(j + 1) * S::LANES];
                simd.store(if accumulate { simd.add(simd.load(out), acc[i][j]) } else { acc[i][j] }, out);
            }
        }
    } else {
        for i in 0..M {
            let out = &mut *rows[i];
            for j in 0..N - 1 {
                let out = &mut out[j * S::LANES..(j + 1) * S::LANES];
                let old = if accumulate { simd.load(out) } else { simd.splat(0.0) };
                simd.store(simd.add(old, acc[i][j]), out);
            }
            let out = &mut out[(N - 1) * S::LANES..];
            let old = if accumulate { simd.load_partial(out) } else { simd.splat(0.0) };
            simd.store_partial(simd.add(old, acc[i][N - 1]), out);
        }
    }
}

/// Bias and activation over a part of C that was just written and is still in the first cache.
pub(in crate::kernels) struct Finish<'c, 'e> {
    pub(in crate::kernels) c: Tile<'c>,
    pub(in crate::kernels) rows: (usize, usize),
    pub(in crate::kernels) cols: (usize, usize),
    pub(in crate::kernels) epilogue: Epilogue<'e>,
}

impl Finish<'_, '_> {
    /// Whether there is anything to do.
    #[inline(always)]
    pub(in crate::kernels) fn is_needed(epilogue: &Epilogue<'_>) -> bool {
        epilogue.bias.is_some() || epilogue.activation != Activation::Identity
    }
}

impl Kernel for Finish<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let (from, to) = self.cols;
        let Epilogue { bias, activation, .. } = self.epilogue;
        let relu = activation == Activation::Relu;
        for row in self.rows.0..self.rows.1 {
            let out = self.c.row_mut(row, from, to);
            match bias {
                Some(bias) => {
                    let mut outs = out.chunks_exact_mut(S::LANES);
                    let mut biases = bias[from..to].chunks_exact(S::LANES);
                    for (out, bias) in (&mut outs).zip(&mut biases) {
                        let v = simd.add(simd.load(out), simd.load(bias));
                        simd.store(if relu { simd.relu(v) } else { v }, out);
                    }
                    let (out, bias) = (outs.into_remainder(), biases.remainder());
                    if !out.is_empty() {
                        let v = simd.add(simd.load_partial(out), simd.load_partial(bias));
                        simd.store_partial(if relu { simd.relu(v) } else { v }, out);
                    }
                }
                None if relu => elementwise::activate_simd(simd, Activation::Relu, out),
                None => {}
            }
        }
        if matches!(activation, Activation::Tanh | Activation::Sigmoid) {
            for row in self.rows.0..self.rows.1 {
                let out = self.c.row_mut(row, from, to);
                simd.outline(ActivateRow(activation, out));
            }
        }
    }
}

/// A curved activation over a short row.
struct ActivateRow<'a>(Activation, &'a mut [f32]);

impl Kernel for ActivateRow<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        elementwise::activate_simd(simd, self.0, self.1);
    }
}

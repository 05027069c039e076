//! Few rows of `x` or of weights: dot products along `k`, the weights read where they are.

use super::MAX_K;
use super::sink::Sink;
use super::words::{self, Spread};
use crate::kernels::arch::band::Band;
use crate::kernels::isa::Isa;
use crate::kernels::piece::{piece, piece_mut, rest};
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};
use crate::view::Mat;

/// Columns that are finished together: 256 rows of 784 weights are 200 KB, which stay near while every row of `x` passes.
const BLOCK: usize = 256;
/// Rows of `x` that are prepared together.
const ROWS: usize = 12;
/// Bytes in the widest register.
const WIDE: usize = 4 * MAX_LANES;

/// Bytes for a row of `x`: magnitudes, signs, and what the flipped weights lack.
const fn row_len(k: usize) -> usize {
    let whole = if k <= MAX_K { k.next_multiple_of(WIDE) } else { 0 }; // more is refused
    2 * whole + size_of::<i32>()
}

/// Words of scratch: on a set of one lane one row, widened, whatever the other sets of this machine are.
pub(super) const fn scratch_len(isa: Isa, m: usize, k: usize) -> usize {
    match isa.lanes() {
        1 if m == 0 || k > MAX_K => 0,
        1 => words::spread_len(k),
        _ => rows_len(m, k),
    }
}

/// The same on the others.
const fn rows_len(m: usize, k: usize) -> usize {
    if m < ROWS { m * row_len(k) / 4 } else { ROWS * row_len(k) / 4 }
}

/// `c = x · wᵀ`.
pub(super) struct Dot<'a, 's, C> {
    pub(super) c: C,
    pub(super) x: Mat<'a, i8>,
    pub(super) w: Mat<'a, i8>,
    pub(super) scratch: &'s mut [i32],
}

impl<C: Sink> Kernel for Dot<'_, '_, C> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        for first in (0..self.x.rows()).step_by(ROWS) {
            self.rows(simd, first, (first + ROWS).min(self.x.rows()));
        }
    }
}

impl<C: Sink> Dot<'_, '_, C> {
    /// Rows `first..last` of the output.
    #[inline(always)]
    fn rows<S: Simd>(&mut self, simd: S, first: usize, last: usize) {
        if S::LANES == 1 {
            return self.words(simd, first, last);
        }
        let (m, n, k) = (last - first, self.w.rows(), self.x.cols());
        let whole = k.next_multiple_of(WIDE);
        // Magnitudes end in zeros, so whole registers of weights may be loaded: what lies behind a row counts nothing.
        let bytes: &mut [i8] = bytemuck::cast_slice_mut(&mut self.scratch[..rows_len(m, k)]);
        for (i, row) in bytes.chunks_exact_mut(row_len(k)).enumerate() {
            let x = &self.x.data()[(first + i) * self.x.row_stride()..][..k];
            let (magnitudes, signs) = row.split_at_mut(whole);
            let (signs, lacking) = signs.split_at_mut(whole);
            if !S::UNSIGNED {
                magnitudes[..k].copy_from_slice(x);
                magnitudes[k..].fill(0);
                lacking.fill(0);
                continue;
            }
            // One simple loop each, which the compiler makes vectors of.
            for (magnitude, x) in magnitudes.iter_mut().zip(x) {
                *magnitude = x.wrapping_abs();
            }
            magnitudes[k..].fill(0);
            for (sign, x) in signs.iter_mut().zip(x) {
                *sign = x >> 7;
            }
            signs[k..].fill(0);
            // A flipped byte is -1 - w, so of each negative x its magnitude is missing once.
            let sum: i32 = x.iter().map(|x| i32::from(*x.min(&0))).sum();
            lacking.copy_from_slice(&(-sum).to_ne_bytes().map(|byte| byte as i8));
        }
        for from in (0..n).step_by(BLOCK) {
            let to = (from + BLOCK).min(n);
            for i in 0..m {
                let (x, rest) = bytes[i * row_len(k)..][..row_len(k)].split_at(whole);
                let (signs, lacking) = rest.split_at(whole);
                let lacking = i32::from_ne_bytes(core::array::from_fn(|i| lacking[i] as u8));
                let mut sums = [0; BLOCK];
                let mut col = from;
                while col < to {
                    let w = self.w.data().get(col * self.w.row_stride()..).unwrap_or_default();
                    let part = Part { x, signs, w, stride: self.w.row_stride(), k };
                    let out = &mut sums[col - from..];
                    col += match to - col {
                        8.. => {
                            let acc = tile::<S, 8>(simd, part);
                            out[..4].copy_from_slice(&simd.sum_four([acc[0], acc[1], acc[2], acc[3]]));
                            out[4..8].copy_from_slice(&simd.sum_four([acc[4], acc[5], acc[6], acc[7]]));
                            8
                        }
                        4.. => {
                            out[..4].copy_from_slice(&simd.sum_four(tile::<S, 4>(simd, part)));
                            4
                        }
                        2.. => {
                            let [first, second] = tile::<S, 2>(simd, part);
                            (out[0], out[1]) = (simd.sum_i32(first), simd.sum_i32(second));
                            2
                        }
                        _ => {
                            out[0] = simd.sum_i32(tile::<S, 1>(simd, part)[0]);
                            1
                        }
                    }
                }
                for sum in &mut sums[..to - from] {
                    *sum += lacking;
                }
                self.c.put(simd, first + i, from, &sums[..to - from]);
            }
        }
    }
}

impl<C: Sink> Dot<'_, '_, C> {
    /// Rows `first..last` of the output, for sets of one lane.
    #[inline(always)]
    fn words<S: Simd>(&mut self, simd: S, first: usize, last: usize) {
        /// Columns that are handed over together.
        const COLS: usize = 32;
        let (n, k, stride) = (self.w.rows(), self.x.cols(), self.w.row_stride());
        for i in first..last {
            let Some(x) = piece(self.x.data(), i * self.x.row_stride(), k) else {
                return;
            };
            Spread::new(self.scratch, k).extend(simd, x);
            for from in (0..n).step_by(COLS) {
                let mut sums = [0; COLS];
                let (Some(sums), Some(w)) =
                    (piece_mut(&mut sums, 0, COLS.min(n - from)), rest(self.w.data(), from * stride))
                else {
                    return;
                };
                words::row(simd, self.scratch, k, w, stride, sums);
                self.c.put(simd, i, from, sums);
            }
        }
    }
}

/// A row of `x` and the weights of a tile.
#[derive(Clone, Copy)]
struct Part<'p> {
    /// Magnitudes, or the numbers themselves where they are taken with their signs; then zeros.
    x: &'p [i8],
    /// -1 for negative x; of magnitudes alone.
    signs: &'p [i8],
    w: &'p [i8],
    stride: usize,
    k: usize,
}

/// `Σ |x|·(w ^ sign)` for `R` weight rows, spread over lanes.
#[inline(always)]
fn tile<S: Simd, const R: usize>(simd: S, part: Part<'_>) -> [S::I32; R] {
    let Part { x, signs, w, stride, k } = part;
    let step = 4 * S::LANES;
    let mut acc = [simd.splat_i32(0); R];
    // Registers that lie in the weights as a whole, behind the end of a row or not.
    let whole = if w.len() >= (R - 1) * stride + k.next_multiple_of(step) { k.div_ceil(step) } else { k / step };
    let rows: [Band<'_, i8>; R] = core::array::from_fn(|r| Band::new(&w[r * stride..], whole, step, step));
    let (x, signs) = (Band::new(x, k.div_ceil(step), step, step), Band::new(signs, k.div_ceil(step), step, step));
    // Two registers are a line: in each of the two steps half of the rows ask for a line of the next tile, which measured a quarter
    // faster than leaving the second cache to be streamed from unasked.
    for p in (0..whole).step_by(2) {
        for half in 0..2 {
            if p + half < whole {
                let (magnitudes, flip) = (simd.load_i8(x.row(p + half)), simd.load_i8(signs.row(p + half)));
                for r in 0..R {
                    if r % 2 == half {
                        simd.prefetch(w, (R + r).wrapping_mul(stride).wrapping_add(p * step));
                    }
                    acc[r] =
                        simd.dot_quads(magnitudes, flipped(simd, simd.load_i8(rows[r].row(p + half)), flip), acc[r]);
                }
            }
        }
    }
    if whole * step < k {
        let (x, signs) = (simd.load_i8(x.row(whole)), simd.load_i8(signs.row(whole)));
        for r in 0..R {
            let mut last = [0; WIDE];
            last[..k - whole * step].copy_from_slice(&w[r * stride + whole * step..][..k - whole * step]);
            acc[r] = simd.dot_quads(x, flipped(simd, simd.load_i8(&last), signs), acc[r]);
        }
    }
    acc
}

/// The weights that magnitudes of `x` multiply. Of two products of a magnitude of at most 127 and a byte, or of 128 and a flipped byte,
/// which is -128 only for a byte of 127, the sum is -2^15 to 127 · 2^8: 16 bits hold it.
#[inline(always)]
fn flipped<S: Simd>(simd: S, w: S::I8, flip: S::I8) -> S::I8 {
    if S::UNSIGNED { simd.xor_i8(w, flip) } else { w }
}

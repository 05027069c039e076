//! Products of one row of bytes with many, for sets of one lane: microcontrollers, whose weights stay in flash as they are.

use crate::kernels::piece::{piece, piece_mut, rest};
use crate::kernels::simd::Simd;

/// Words that [`Spread`] needs for `k` bytes.
pub(in crate::kernels) const fn spread_len(k: usize) -> usize {
    2 * k.div_ceil(4)
}

/// A row of bytes, widened as [`row`] reads it and gathered piece by piece. No copies of unknown length here: each would be a call, which
/// costs more than the few bytes that it moves.
pub(in crate::kernels) struct Spread<'a> {
    words: &'a mut [[i32; 2]],
    /// Bytes so far.
    len: usize,
}

impl<'a> Spread<'a> {
    /// Of `k` bytes; zeros lie behind them.
    #[inline(always)]
    pub(in crate::kernels) fn new(words: &'a mut [i32], k: usize) -> Self {
        let words = piece_mut(words, 0, spread_len(k)).unwrap_or_default().as_chunks_mut::<2>().0;
        if let Some(last) = words.last_mut() {
            *last = [0; 2];
        }
        Self { words, len: 0 }
    }

    /// The bytes of `src`.
    #[inline(never)] // like `repeat` and `row`: copies in every kernel would be half of its code
    pub(in crate::kernels) fn extend<S: Simd>(&mut self, simd: S, src: &[i8]) {
        let mut src = src;
        if self.len.is_multiple_of(4) {
            let (quads, rest) = src.as_chunks::<4>();
            for (quad, words) in quads.iter().zip(self.words.get_mut(self.len / 4..).unwrap_or_default()) {
                *words = simd.spread(*quad);
            }
            self.len += 4 * quads.len();
            src = rest;
        }
        for x in src {
            self.push(*x);
        }
    }

    /// `x`, `count` times.
    #[inline(never)]
    pub(in crate::kernels) fn repeat(&mut self, x: i8, count: usize) {
        for _ in 0..count {
            self.push(x);
        }
    }

    #[inline(always)]
    fn push(&mut self, x: i8) {
        /// Where the bytes of a quad lie: the first and the third in one word, the second and the fourth in the other.
        const PLACES: [usize; 4] = [0, 2, 1, 3];
        let halves: &mut [i16] = bytemuck::cast_slice_mut(self.words);
        if let Some(half) = halves.get_mut(self.len / 4 * 4 + PLACES[self.len % 4]) {
            *half = x.into();
        }
        self.len += 1;
    }
}

/// `sums[j] = Σ x[i] · w[j · stride + i]` for `k` of each, `x` as [`Spread`] gathered it.
#[inline(never)]
pub(in crate::kernels) fn row<S: Simd>(simd: S, x: &[i32], k: usize, w: &[i8], stride: usize, sums: &mut [i32]) {
    let Some(x) = piece(x, 0, spread_len(k)) else {
        return;
    };
    let x = x.as_chunks::<2>().0;
    if sums.len() < 4 {
        for (j, sum) in sums.iter_mut().enumerate() {
            if let Some(w) = rest(w, j * stride) {
                [*sum, ..] = four(simd, x, k, w, 0);
            }
        }
        return;
    }
    for col in (0..sums.len()).step_by(4) {
        // The last four may be some of the four before them once more.
        let col = col.min(sums.len() - 4);
        if let (Some(sums), Some(w)) =
            (sums.get_mut(col..).and_then(<[_]>::first_chunk_mut::<4>), rest(w, col * stride))
        {
            *sums = four(simd, x, k, w, stride);
        }
    }
}

/// Four rows of weights.
#[inline(always)]
fn four<S: Simd>(simd: S, x: &[[i32; 2]], k: usize, w: &[i8], stride: usize) -> [i32; 4] {
    // A step may reach into the next row, where `x` is zero, but not behind the end.
    if w.len() >= 3 * stride + 4 * x.len() {
        return simd.dot_rows(x, w, stride);
    }
    let whole = k / 4;
    let mut sums = simd.dot_rows(x.get(..whole).unwrap_or_default(), w, stride);
    if let Some(last) = x.get(whole) {
        let [[a, c], [b, d]]: [[i16; 2]; 2] = bytemuck::cast(*last);
        for (r, sum) in sums.iter_mut().enumerate() {
            for (x, w) in [a, b, c, d].iter().zip(w.get(r * stride + 4 * whole..r * stride + k).unwrap_or_default()) {
                *sum = sum.wrapping_add(i32::from(*x) * i32::from(*w));
            }
        }
    }
    sums
}

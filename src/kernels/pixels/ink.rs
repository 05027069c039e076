//! Which blocks of eight pixels hold ink: where a pixel of 0 stands for 0, the others add nothing to any sum and are left out.
//!
//! Of the blocks of MNIST's digits 39 in a hundred hold ink, of pairs of them, which fill a register of AVX-512, 58. No sum of finite numbers
//! changes by a bit: what is left out is `0 · w`, and the others keep their order.

use super::{Forward, Gradient, OUTPUTS, Pixels, load, settled, widest};
use crate::error::ShapeError;
use crate::kernels::Isa;
use crate::kernels::simd::{Kernel, Simd};
use crate::view::Mat;

/// Pixels of a block.
const BLOCK: usize = 8;
/// Blocks whose bits share a word, and rows whose words become words of columns together.
const WORD: usize = u64::BITS as usize;
/// The first block of each pair.
const FIRST: u64 = 0x5555_5555_5555_5555;
/// Registers out of ten that may hold ink: with more of them, finding them takes longer than they save.
const MOST: usize = 8;

/// A bit for each block of some rows: whether a pixel of it is not 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ink<'a> {
    /// Words of 64 blocks, rows of them.
    bits: Mat<'a, u64>,
    /// The block of the first column.
    first: usize,
}

impl Ink<'_> {
    /// Words of a row of `width` pixels.
    const fn words(width: usize) -> usize {
        width.div_ceil(BLOCK * WORD)
    }

    #[cfg(feature = "train")]
    pub(super) fn rows_range(self, from: usize, to: usize) -> Self {
        Self { bits: self.bits.rows_range(from, to), ..self }
    }

    /// Without the `at` columns before the first of a pair of blocks.
    #[cfg(feature = "train")]
    pub(super) fn after_columns(self, at: usize) -> Self {
        Self { first: self.first + at / BLOCK, ..self }
    }

    /// The 64 blocks of row `r` from the one `64 · w` on, as registers of `lanes` floats see them: a bit for the first block of each.
    #[inline(always)]
    fn word(&self, r: usize, w: usize, lanes: usize) -> u64 {
        let row = &self.bits.data()[r * self.bits.row_stride()..][..self.bits.cols()];
        let at = self.first + WORD * w;
        let word = |at: usize| row.get(at).copied().unwrap_or(0);
        let (low, shift) = (word(at / WORD), at % WORD);
        let bits = if shift == 0 { low } else { low >> shift | word(at / WORD + 1) << (WORD - shift) };
        together(bits, lanes)
    }
}

/// A bit for the first block of each register of `lanes` floats.
#[inline(always)]
fn together(bits: u64, lanes: usize) -> u64 {
    if lanes > BLOCK { (bits | bits >> 1) & FIRST } else { bits }
}

/// A bit for each of up to 64 blocks of pixels.
#[inline(always)]
fn word(pixels: &[u8]) -> u64 {
    let (blocks, rest) = pixels.as_chunks::<BLOCK>();
    let mut word = 0;
    for (i, block) in blocks.iter().enumerate() {
        word |= u64::from(u64::from_ne_bytes(*block) != 0) << i;
    }
    if rest.iter().any(|pixel| *pixel != 0) { word | 1 << blocks.len() } else { word }
}

/// Bit `c` of word `r` becomes bit `r` of word `c`: squares of half the side change places, then those in each quarter, down to single bits.
#[inline(always)]
fn transposed(mut words: [u64; WORD]) -> [u64; WORD] {
    let (mut side, mut mask) = (WORD / 2, u64::MAX >> (WORD / 2));
    while side > 0 {
        for upper in (0..WORD).filter(|upper| upper & side == 0) {
            let differ = (words[upper] >> side ^ words[upper + side]) & mask;
            words[upper] ^= differ << side;
            words[upper + side] ^= differ;
        }
        side /= 2;
        mask ^= mask << side;
    }
    words
}

/// Writes the bits of all rows, and returns how many registers of a row hold ink.
struct Look<'x, 'b> {
    rows: Mat<'x, u8>,
    bits: &'b mut [u64],
}

impl Kernel for Look<'_, '_> {
    type Output = usize;
    #[inline(always)]
    fn eval<S: Simd>(self, _: S) -> usize {
        let Self { rows, bits } = self;
        let mut inked = 0;
        let words = Ink::words(rows.cols());
        for (row, bits) in rows.data().chunks(rows.row_stride()).zip(bits.chunks_exact_mut(words)) {
            for (pixels, bits) in row[..rows.cols()].chunks(BLOCK * WORD).zip(bits) {
                *bits = word(pixels);
                inked += together(*bits, S::LANES).count_ones() as usize;
            }
        }
        inked
    }
}

impl<'a> Pixels<'a> {
    /// Words of bits that [`with_ink`](Self::with_ink) writes.
    #[must_use]
    pub const fn ink_len(rows: usize, width: usize) -> usize {
        rows.saturating_mul(Ink::words(width))
    }

    /// The same pixels with a note, in `bits`, which of them hold ink, so that [`linear`](super::linear) and
    /// [`linear_d_weight`](super::linear_d_weight) need not look at the others: faster, with the same sums of finite numbers to the bit. A weight or
    /// gradient that is infinite or NaN no longer reaches a sum by way of a pixel of 0.
    ///
    /// Without the note where it would not help: if 0 does not stand for 0, or nearly all pixels hold ink.
    ///
    /// # Errors
    /// [`ShapeError::TooShort`] if `bits` holds fewer than [`ink_len`](Self::ink_len).
    pub fn with_ink(self, isa: Isa, bits: &'a mut [u64]) -> Result<Self, ShapeError> {
        let Self { data, offset, .. } = self;
        if offset != 0.0 {
            return Ok(Self { ink: None, ..self });
        }
        let (rows, words, got) = (data.rows(), Ink::words(data.cols()), bits.len());
        let needed = Self::ink_len(rows, data.cols());
        let bits = bits.get_mut(..needed).ok_or(ShapeError::TooShort { what: "the bits of a batch", needed, got })?;
        let inked = isa.run(Look { rows: data, bits: &mut *bits });
        let registers = rows * data.cols().div_ceil(BLOCK.max(isa.lanes()));
        let ink = Ink { bits: Mat::new(bits, rows, words)?, first: 0 };
        Ok(Self { ink: (10 * inked <= MOST * registers).then_some(ink), ..self })
    }
}

/// A product from blocks with ink alone.
pub(super) struct Inked<'i, T> {
    pub(super) work: T,
    pub(super) ink: Ink<'i>,
}

impl Kernel for Inked<'_, Forward<'_, '_, '_, '_>> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let (rows, outputs) = (self.work.y.rows(), self.work.y.cols());
        let mut j = 0;
        while j < outputs {
            let width = widest(outputs - j);
            for i in 0..rows {
                match width {
                    OUTPUTS => self.row::<S, OUTPUTS>(simd, i, j),
                    5 => self.row::<S, 5>(simd, i, j),
                    2 => self.row::<S, 2>(simd, i, j),
                    _ => self.row::<S, 1>(simd, i, j),
                }
            }
            j += width;
        }
        self.work.finish(simd);
    }
}

impl Inked<'_, Forward<'_, '_, '_, '_>> {
    /// Row `i` by `N` outputs from `j`.
    #[inline(always)]
    fn row<S: Simd, const N: usize>(&mut self, simd: S, i: usize, j: usize) {
        let Pixels { data, scale, offset, .. } = self.work.x;
        let k = data.cols();
        let x = &data.data()[i * data.row_stride()..][..k];
        let mut w: [&[f32]; N] = [&[]; N];
        for c in 0..N {
            w[c] = &self.work.weight.data()[(j + c) * self.work.weight.row_stride()..][..k];
        }
        let affine = [simd.splat(scale), simd.splat(offset)];
        let mut acc = [[simd.splat(0.0); N]; 1];
        for at in 0..Ink::words(k) {
            let mut left = self.ink.word(i, at, S::LANES);
            while left != 0 {
                let block = BLOCK * (WORD * at + left.trailing_zeros() as usize);
                left &= left - 1;
                for register in 0..BLOCK.div_ceil(S::LANES) {
                    let p = block + register * S::LANES;
                    if p + S::LANES > k {
                        break;
                    }
                    let pixels = load(simd, &x[..p + S::LANES], p, affine);
                    for c in 0..N {
                        acc[0][c] = simd.mul_add(pixels, simd.load(&w[c][p..p + S::LANES]), acc[0][c]);
                    }
                }
            }
        }
        let acc = settled(simd, &acc);
        self.work.put(simd, (i, j), ([x], w), acc);
    }
}

impl Kernel for Inked<'_, Gradient<'_, '_, '_>> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let (outputs, width) = (self.work.d_weight.rows(), self.work.d_weight.cols());
        let rows = self.work.x.rows();
        // Once at least, as the gradient of no rows is 0.
        for from in (0..rows.max(1)).step_by(WORD) {
            for at in 0..Ink::words(width) {
                let mut inked = [0; WORD];
                for (r, word) in (from..rows).zip(&mut inked) {
                    *word = self.ink.word(r, at, S::LANES);
                }
                let inked = transposed(inked);
                let columns = (BLOCK * WORD * at, width.min(BLOCK * WORD * (at + 1)));
                let mut j = 0;
                while j < outputs {
                    let height = widest(outputs - j);
                    match height {
                        OUTPUTS => self.tiles::<S, OUTPUTS>(simd, j, columns, from, &inked),
                        5 => self.tiles::<S, 5>(simd, j, columns, from, &inked),
                        2 => self.tiles::<S, 2>(simd, j, columns, from, &inked),
                        _ => self.tiles::<S, 1>(simd, j, columns, from, &inked),
                    }
                    j += height;
                }
            }
        }
    }
}

impl Inked<'_, Gradient<'_, '_, '_>> {
    /// `N` outputs from `j` by columns `p..end`, with 64 rows from `from`: of which, `inked` says for each block.
    #[inline(always)]
    fn tiles<S: Simd, const N: usize>(
        &mut self,
        simd: S,
        j: usize,
        (mut p, end): (usize, usize),
        from: usize,
        inked: &[u64; WORD],
    ) {
        while end - p >= S::LANES {
            self.tile::<S, N, false>(simd, j, (p, p + S::LANES), from, inked[p / BLOCK % WORD]);
            p += S::LANES;
        }
        if p < end {
            self.tile::<S, N, true>(simd, j, (p, end), from, inked[p / BLOCK % WORD]);
        }
    }

    /// `N` outputs from `j` by a register of pixels, in part if it is the `LAST` of a row, and those rows from `from` whose bits are set. The sums
    /// of the rows before go on.
    #[inline(always)]
    fn tile<S: Simd, const N: usize, const LAST: bool>(
        &mut self,
        simd: S,
        j: usize,
        (p, end): (usize, usize),
        from: usize,
        mut left: u64,
    ) {
        let Gradient { x: Pixels { data, scale, offset, .. }, d_y, .. } = self.work;
        let affine = [simd.splat(scale), simd.splat(offset)];
        let mut acc = [[simd.splat(0.0); 1]; N];
        if from > 0 {
            for n in 0..N {
                let before = &*self.work.d_weight.row_mut(j + n, p, end);
                acc[n][0] = if LAST { simd.load_partial(before) } else { simd.load(before) };
            }
        }
        while left != 0 {
            let r = from + left.trailing_zeros() as usize;
            left &= left - 1;
            let pixels = load(simd, &data.data()[r * data.row_stride()..][p..end], 0, affine);
            let d_y = &d_y.data()[r * d_y.row_stride()..][j..j + N];
            for n in 0..N {
                acc[n][0] = simd.mul_add(pixels, simd.splat(d_y[n]), acc[n][0]);
            }
        }
        self.work.put(simd, j, (p, end), settled(simd, &acc));
    }
}

#[cfg(test)]
mod tests;

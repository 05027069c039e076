//! From the 32-bit sums of an int8 layer to its int8 output: the one rounding rule that host, device and generated C share.

use super::Isa;
use super::arch::scale;
use super::simd::{Kernel, Simd};
use crate::error::ShapeError;

/// Largest shift: 31 more bits come from the multiplier's own point.
pub const MAX_SHIFT: u8 = 31;

/// A factor between 0 and 1 as an integer and a shift: `multiplier · 2^−(31 + shift)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multiplier {
    /// In units of `2⁻³¹`, at least `2³⁰` unless the factor is smaller than any that has so many digits.
    pub multiplier: i32,
    /// 0 to [`MAX_SHIFT`].
    pub shift: u8,
}

impl Multiplier {
    /// The nearest to `factor`, ties away from zero.
    ///
    /// # Accuracy
    /// Relative error at most `2⁻³¹` for factors from `2⁻³²` on; below, absolute error at most `2⁻⁶³`.
    /// `None` unless `0 < factor < 1`.
    #[must_use]
    pub const fn of(factor: f64) -> Option<Self> {
        const FRACTION: u32 = 52;
        if !(factor > 0.0 && factor < 1.0) {
            return None;
        }
        let bits = factor.to_bits();
        let exponent = (bits >> FRACTION) as i64; // factor = digits · 2^(exponent − 1075), subnormals below 2^−1022 aside
        let digits = (bits & ((1 << FRACTION) - 1)) | if exponent > 0 { 1 << FRACTION } else { 0 };
        // Digits to bring from 53 to 31, more if the shift would pass its end.
        let shift = 1022 - exponent;
        let (shift, more) =
            if shift > MAX_SHIFT as i64 { (MAX_SHIFT as i64, shift - MAX_SHIFT as i64) } else { (shift, 0) };
        let drop = 22 + more;
        if drop > 62 {
            return Some(Self { multiplier: 0, shift: MAX_SHIFT });
        }
        let rounded = (digits + (1 << (drop - 1))) >> drop;
        if rounded == 1 << 31 {
            // 0.99.. rounded up to 1: of the next lower shift; the largest factor there is, where there is none.
            return if shift == 0 {
                Some(Self { multiplier: i32::MAX, shift: 0 })
            } else {
                Some(Self { multiplier: 1 << 30, shift: shift as u8 - 1 })
            };
        }
        Some(Self { multiplier: rounded as i32, shift: shift as u8 })
    }
}

/// How the sums of a layer become its output. Channel by channel:
/// `out = clamp(zero_point + ⌊(sum + bias) · multiplier / 2^(31 + shift) + 1/2⌋)`.
#[derive(Clone, Copy, Debug)]
pub struct Requantize<'a> {
    bias: &'a [i32],
    multiplier: &'a [i32],
    shift: &'a [i32],
    zero_point: i32,
    clamp: (i32, i32),
    /// Whether no shift is 0.
    all_shift: bool,
}

impl<'a> Requantize<'a> {
    /// For as many channels as `bias` has. `clamp` holds the smallest and the largest output: a fused ReLU's smallest is `zero_point`.
    ///
    /// # Errors
    /// [`ShapeError::Length`] if the slices differ in length, [`ShapeError::Range`] for a negative multiplier, a shift above
    /// [`MAX_SHIFT`], or a `clamp` whose ends are in the wrong order.
    pub const fn new(
        bias: &'a [i32],
        multiplier: &'a [i32],
        shift: &'a [i32],
        zero_point: i8,
        clamp: (i8, i8),
    ) -> Result<Self, ShapeError> {
        let expected = bias.len();
        if multiplier.len() != expected {
            return Err(ShapeError::Length { what: "the multipliers", expected, got: multiplier.len() });
        }
        if shift.len() != expected {
            return Err(ShapeError::Length { what: "the shifts", expected, got: shift.len() });
        }
        if let Some(error) = outside("a multiplier of requantization", i32::MAX, multiplier) {
            return Err(error);
        }
        if let Some(error) = outside("a shift of requantization", MAX_SHIFT as i32, shift) {
            return Err(error);
        }
        if clamp.0 > clamp.1 {
            let (min, got) = (clamp.0 as i64, clamp.1 as i64);
            return Err(ShapeError::Range { what: "the largest output", min, max: i8::MAX as i64, got });
        }
        Ok(Self::again(bias, multiplier, shift, zero_point, clamp))
    }

    /// As [`new`](Self::new) found them good before.
    pub(crate) const fn again(
        bias: &'a [i32],
        multiplier: &'a [i32],
        shift: &'a [i32],
        zero_point: i8,
        clamp: (i8, i8),
    ) -> Self {
        let clamp = (clamp.0 as i32, clamp.1 as i32);
        // Of use to vectors alone.
        let all_shift = cfg!(inkstone_vectors) && !has_zero(shift);
        Self { bias, multiplier, shift, zero_point: zero_point as i32, clamp, all_shift }
    }

    /// Rows of `channels` sums become rows of as many outputs, on any instruction set the same.
    ///
    /// # Shapes
    /// `sums` and `out [rows, channels]`.
    /// # Errors
    /// [`ShapeError::Length`] unless `out` is as long as `sums` and both are whole rows.
    pub fn rows(&self, isa: Isa, sums: &[i32], out: &mut [i8]) -> Result<(), ShapeError> {
        let channels = self.bias.len();
        if sums.len() != out.len() {
            return Err(ShapeError::Length { what: "the requantized output", expected: sums.len(), got: out.len() });
        }
        if channels == 0 || !sums.len().is_multiple_of(channels) {
            if sums.is_empty() {
                return Ok(());
            }
            let expected = sums.len().next_multiple_of(channels.max(1));
            return Err(ShapeError::Length { what: "the sums, in whole rows,", expected, got: sums.len() });
        }
        isa.run(Rows { by: *self, sums, out });
        Ok(())
    }
}

/// The first value that is not from 0 to `max`.
const fn outside(what: &'static str, max: i32, values: &[i32]) -> Option<ShapeError> {
    let mut i = 0;
    while i < values.len() {
        if values[i] < 0 || values[i] > max {
            return Some(ShapeError::Range { what, min: 0, max: max as i64, got: values[i] as i64 });
        }
        i += 1;
    }
    None
}

/// Goes through all of them: a loop without a way out is one of vectors, where digits come one by one.
const fn has_zero(values: &[i32]) -> bool {
    let (mut found, mut i) = (false, 0);
    while i < values.len() {
        found |= values[i] == 0;
        i += 1;
    }
    found
}

struct Rows<'a, 'o> {
    by: Requantize<'a>,
    sums: &'a [i32],
    out: &'o mut [i8],
}

impl Kernel for Rows<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let channels = self.by.bias.len();
        for (sums, out) in self.sums.chunks_exact(channels).zip(self.out.chunks_exact_mut(channels)) {
            self.by.part(simd, 0, sums, out);
        }
    }
}

impl Requantize<'_> {
    /// Channels.
    pub(super) const fn channels(&self) -> usize {
        self.bias.len()
    }

    /// Whether there are `expected` channels.
    pub(super) const fn check_channels(&self, expected: usize) -> Result<(), ShapeError> {
        let got = self.channels();
        if got == expected {
            return Ok(());
        }
        Err(ShapeError::Length { what: "the channels of requantization", expected, got })
    }

    /// The sums of the channels from `first` on. Panics if there are fewer channels than sums or outputs.
    #[inline(always)]
    pub(super) fn part<S: Simd>(&self, simd: S, first: usize, sums: &[i32], out: &mut [i8]) {
        if S::LANES == 1 {
            return self.lane(first, sums, out);
        }
        // One by one: a closure over all three would be a function of its own.
        let (bias, multiplier) = (&self.bias[first..][..out.len()], &self.multiplier[first..][..out.len()]);
        let shift = &self.shift[first..][..out.len()];
        let sums = &sums[..out.len()];
        let mut c = 0;
        while c + S::LANES <= out.len() {
            let at = c..c + S::LANES;
            let (bias, multiplier) = (simd.load_i32(&bias[at.clone()]), simd.load_i32(&multiplier[at.clone()]));
            let (sum, shift) = (simd.load_i32(&sums[at.clone()]), simd.load_i32(&shift[at.clone()]));
            simd.store_i8(self.one(simd, sum, bias, multiplier, shift), &mut out[at]);
            c += S::LANES;
        }
        if c < out.len() {
            let (bias, multiplier) = (simd.load_i32_partial(&bias[c..]), simd.load_i32_partial(&multiplier[c..]));
            let (sum, shift) = (simd.load_i32_partial(&sums[c..]), simd.load_i32_partial(&shift[c..]));
            simd.store_i8_partial(self.one(simd, sum, bias, multiplier, shift), &mut out[c..]);
        }
    }

    /// The same for sets of one lane, once for all kernels: in each it would be a third of its code. No more than the channels there are.
    #[inline(never)]
    fn lane(&self, first: usize, sums: &[i32], out: &mut [i8]) {
        let (min, max) = (self.clamp.0 - self.zero_point, self.clamp.1 - self.zero_point);
        let multiplier = self.multiplier.get(first..).unwrap_or_default();
        let factors = multiplier.iter().zip(self.shift.get(first..).unwrap_or_default());
        let sums = sums.iter().zip(self.bias.get(first..).unwrap_or_default());
        for ((out, (sum, bias)), (multiplier, shift)) in out.iter_mut().zip(sums).zip(factors) {
            let scaled = scale(sum.wrapping_add(*bias), *multiplier, *shift);
            // Clamped before the zero point is added: the sum of both may need more than 32 bits.
            *out = (scaled.max(min).min(max) + self.zero_point) as i8;
        }
    }

    /// The same of `M` rows of `N` registers of sums, as many as each row of `out` holds.
    #[inline(always)]
    pub(super) fn registers<S: Simd, const M: usize, const N: usize>(
        &self,
        simd: S,
        first: usize,
        sums: [[S::I32; N]; M],
        out: [&mut [i8]; M],
    ) {
        // Chosen once: sets that shift faster by 1 and more have what they need of the factors ready for all rows.
        if self.all_shift {
            self.tile::<S, M, N, true>(simd, first, sums, out);
        } else {
            self.tile::<S, M, N, false>(simd, first, sums, out);
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const M: usize, const N: usize, const DOWN: bool>(
        &self,
        simd: S,
        first: usize,
        mut sums: [[S::I32; N]; M],
        out: [&mut [i8]; M],
    ) {
        let count = N * S::LANES;
        let (bias, multiplier) = (&self.bias[first..][..count], &self.multiplier[first..][..count]);
        let shift = &self.shift[first..][..count];
        for j in 0..N {
            let (c, end) = (j * S::LANES, (j + 1) * S::LANES);
            let bias = simd.load_i32(&bias[c..end]);
            let (multiplier, shift) = (simd.load_i32(&multiplier[c..end]), simd.load_i32(&shift[c..end]));
            for i in 0..M {
                let sum = simd.add_i32(sums[i][j], bias);
                sums[i][j] = if DOWN {
                    simd.scale_down_i32(sum, multiplier, shift)
                } else {
                    simd.scale_i32(sum, multiplier, shift)
                };
            }
        }
        for i in 0..M {
            simd.store_clamped(sums[i], self.zero_point, self.clamp, &mut *out[i]);
        }
    }

    /// The same where each row of `out` ends within the last register.
    #[inline(always)]
    pub(super) fn part_registers<S: Simd, const M: usize, const N: usize>(
        &self,
        simd: S,
        first: usize,
        sums: [[S::I32; N]; M],
        out: [&mut [i8]; M],
    ) {
        let count = out.first().map_or(0, |row| row.len());
        let (bias, multiplier) = (&self.bias[first..][..count], &self.multiplier[first..][..count]);
        let shift = &self.shift[first..][..count];
        for j in 0..N {
            let (c, whole) = (j * S::LANES, j + 1 < N);
            let (bias, multiplier) = (load(simd, &bias[c..], whole), load(simd, &multiplier[c..], whole));
            let shift = load(simd, &shift[c..], whole);
            for i in 0..M {
                let bytes = self.one(simd, sums[i][j], bias, multiplier, shift);
                if whole {
                    simd.store_i8(bytes, &mut out[i][c..]);
                } else {
                    simd.store_i8_partial(bytes, &mut out[i][c..]);
                }
            }
        }
    }

    /// One register of outputs.
    #[inline(always)]
    fn one<S: Simd>(&self, simd: S, sum: S::I32, bias: S::I32, multiplier: S::I32, shift: S::I32) -> S::I32 {
        let sum = simd.add_i32(sum, bias);
        let scaled = if self.all_shift {
            simd.scale_down_i32(sum, multiplier, shift)
        } else {
            simd.scale_i32(sum, multiplier, shift)
        };
        // Clamped before the zero point is added: the sum of both may need more than 32 bits.
        let (min, max) =
            (simd.splat_i32(self.clamp.0 - self.zero_point), simd.splat_i32(self.clamp.1 - self.zero_point));
        let clamped = simd.min_i32(simd.max_i32(scaled, min), max);
        simd.add_i32(clamped, simd.splat_i32(self.zero_point))
    }
}

/// A whole register, or what there is of one. No closure, which would be a function without the instructions of the set.
#[inline(always)]
fn load<S: Simd>(simd: S, from: &[i32], whole: bool) -> S::I32 {
    if whole { simd.load_i32(from) } else { simd.load_i32_partial(from) }
}

#[cfg(test)]
mod tests;

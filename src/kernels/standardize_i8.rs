//! Pixels less the mean of their image, over its deviation, as quantized bytes: integers throughout, so every machine has the same ones.

use super::Isa;
use super::simd::{Kernel, Simd};
use crate::error::ShapeError;

/// Most pixels of an image: `n · Σp²` and `(Σp)²` fit in 64 bits.
pub const MAX_PIXELS: usize = 1 << 24;

/// Largest shift of a [`Standardize`].
pub const MAX_SHIFT: u8 = 22;

/// Largest `multiplier² · n`. Of `n` numbers none is further from their mean than `√(n − 1)` deviations, so that no product below needs more
/// than 32 bits.
pub const MAX_REACH: u64 = 1 << 58;

/// How the `n` pixels `p` of an image become bytes, `multiplier / 2^shift` of them to a deviation. With `S = Σp`, `V = n·Σp² − S²` (the
/// deviation is `√V / n`), `e` half the leading zeros of `V` as 64 bits and `D = ⌊√(V·4^e)⌋`, which has 32:
/// `A = ⌊multiplier·n·2^e / D⌋`, 0 if `V` is; `r = ⌊A·(S mod n) / n + 1/2⌋`; `out = clamp(zero_out + ⌊((p − ⌊S/n⌋)·A − r) / 2^shift + 1/2⌋)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standardize {
    pub(crate) pixels: u32,
    pub(crate) multiplier: u32,
    pub(crate) shift: u8,
    pub(crate) zero_out: i8,
}

impl Standardize {
    /// Images of `pixels`; `multiplier / 2^shift` is `1 / scale` of the bytes.
    ///
    /// # Errors
    /// [`ShapeError::Range`] for no pixels or more than [`MAX_PIXELS`], a `multiplier` below 1 or whose square times the pixels is above
    /// [`MAX_REACH`], and a shift above [`MAX_SHIFT`].
    pub const fn new(pixels: usize, multiplier: i32, shift: u8, zero_out: i8) -> Result<Self, ShapeError> {
        if pixels == 0 || pixels > MAX_PIXELS {
            let (what, got) = ("the pixels of an image that is normalised by itself", pixels as i64);
            return Err(ShapeError::Range { what, min: 1, max: MAX_PIXELS as i64, got });
        }
        let most = (MAX_REACH / pixels as u64).isqrt();
        if multiplier < 1 || multiplier as u64 > most {
            let (what, got) = ("the multiplier of normalised pixels", multiplier as i64);
            return Err(ShapeError::Range { what, min: 1, max: most as i64, got });
        }
        if shift > MAX_SHIFT {
            let what = "the shift of normalised pixels";
            return Err(ShapeError::Range { what, min: 0, max: MAX_SHIFT as i64, got: shift as i64 });
        }
        Ok(Self { pixels: pixels as u32, multiplier: multiplier as u32, shift, zero_out })
    }

    /// What the pixels of an image with these [`moments`] become.
    fn line(&self, [sum, squares]: [u64; 2]) -> Line {
        let n = u64::from(self.pixels).max(1); // as it is: a division by nothing would panic
        let spread = n * squares - sum * sum;
        let slope = if spread == 0 {
            0
        } else {
            let e = spread.leading_zeros() / 2;
            ((u64::from(self.multiplier) * n) << e) / (spread << (2 * e)).isqrt().max(1)
        };
        Line {
            slope: slope as i32,
            mean: (sum / n) as i32,
            rest: ((slope * (sum % n) + n / 2) / n) as i32,
            half: if self.shift > 0 { 1 << (self.shift - 1) } else { 0 },
            shift: self.shift,
            zero: self.zero_out.into(),
        }
    }
}

/// Whole images of raw pixels become bytes, in their place. The pixels are the bits of `bytes` without a sign.
///
/// # Shapes
/// `bytes [images, n]`
/// # Accuracy
/// The integers of the formula of [`Standardize`]: within `1/2 + 2^(10 − shift)` of `zero_out + (p − mean) / deviation · multiplier / 2^shift`,
/// clamped.
/// # Errors
/// [`ShapeError::Length`] for a part of an image.
#[cfg_attr(not(feature = "std"), inline)]
pub fn standardize(isa: Isa, by: &Standardize, bytes: &mut [i8]) -> Result<(), ShapeError> {
    let n = (by.pixels as usize).max(1);
    if !bytes.len().is_multiple_of(n) {
        let expected = bytes.len().next_multiple_of(n);
        return Err(ShapeError::Length { what: "the pixels of whole images", expected, got: bytes.len() });
    }
    isa.run(Images { by: *by, bytes });
    Ok(())
}

/// `[Σp, Σp²]`
#[inline(always)]
pub(crate) fn moments(pixels: &[u8]) -> [u64; 2] {
    // Squares of so many pixels fit in 32 bits.
    const PART: usize = 1 << 16;
    let mut all = [0, 0];
    for part in pixels.chunks(PART) {
        let (mut sum, mut squares) = (0u32, 0u32);
        for pixel in part {
            sum += u32::from(*pixel);
            squares += u32::from(*pixel) * u32::from(*pixel);
        }
        all = [all[0] + u64::from(sum), all[1] + u64::from(squares)];
    }
    all
}

/// A function of one pixel.
struct Line {
    slope: i32,
    mean: i32,
    rest: i32,
    half: i32,
    shift: u8,
    zero: i32,
}

impl Line {
    #[inline(always)]
    fn at(&self, pixel: u8) -> i8 {
        let steps = ((i32::from(pixel) - self.mean) * self.slope - self.rest + self.half) >> self.shift;
        // Clamped before the zero point is added, which could need more than 32 bits.
        (steps.max(-128 - self.zero).min(127 - self.zero) + self.zero) as i8
    }
}

struct Images<'b> {
    by: Standardize,
    bytes: &'b mut [i8],
}

impl Kernel for Images<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, _simd: S) {
        // Simple loops, which the compiler makes vectors of.
        for image in self.bytes.chunks_exact_mut((self.by.pixels as usize).max(1)) {
            let line = self.by.line(moments(bytemuck::cast_slice(image)));
            for byte in image {
                *byte = line.at(*byte as u8);
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Pooling of quantized images, channels last: the largest byte of each window, or its mean requantized. The same integers on every
//! instruction set.

use super::Isa;
use super::piece::{piece, piece_mut};
use super::pool::Pool;
use super::requantize::{MAX_SHIFT, Requantize};
use super::simd::{Kernel, Simd};
use crate::error::ShapeError;

/// Channels of a pixel that are summed together: few where the stack is small.
const CHANNELS: usize = if cfg!(inkstone_vectors) { 64 } else { 16 };

/// Most pixels of a window whose mean is taken: their sum fits in 32 bits.
pub const MAX_WINDOW: usize = 1 << 22;

/// `out` = the largest of each window; padding takes no part.
///
/// # Shapes
/// `input [n, h, w, c]`, `out [n, oh, ow, c]` for a `pool` of `[n, c, h, w]`.
/// # Accuracy
/// Exact. The order of bytes is that of what they stand for, so the scale and the zero point stay.
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
#[cfg_attr(not(feature = "std"), inline)]
pub fn max_pool2d(isa: Isa, pool: &Pool, input: &[i8], out: &mut [i8]) -> Result<(), ShapeError> {
    pool.check(input.len(), out.len())?;
    isa.run(Max { pool, input, out });
    Ok(())
}

/// How the sum of a window becomes its mean: `out = clamp(zero_out + ⌊Σ(x − zero_in) · multiplier / 2^(31 + shift) + 1/2⌋)`, with a factor
/// of `scale_in / (scale_out · pixels of a window)`.
#[derive(Clone, Copy, Debug)]
pub struct Mean {
    /// In units of `2⁻³¹`, not negative.
    pub multiplier: i32,
    /// 0 to [`MAX_SHIFT`].
    pub shift: i32,
    /// Zero point of the input, which padding counts as.
    pub zero_in: i8,
    /// Zero point of the output.
    pub zero_out: i8,
    /// The smallest and the largest output.
    pub clamp: (i8, i8),
}

impl Mean {
    /// # Errors
    /// [`ShapeError::Range`] for a negative multiplier, a shift above [`MAX_SHIFT`], or a `clamp` whose ends are in the wrong order.
    pub fn check(&self) -> Result<(), ShapeError> {
        Requantize::new(&[0], &[self.multiplier], &[self.shift], self.zero_out, self.clamp).map(|_| ())
    }
}

/// `out` = the mean of each window, padding counted as zeros.
///
/// # Shapes
/// As [`max_pool2d`].
/// # Accuracy
/// The integers of the formula of [`Mean`].
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length, [`ShapeError::Range`] as [`Mean::check`], and for windows of more than
/// [`MAX_WINDOW`] pixels.
#[cfg_attr(not(feature = "std"), inline)]
pub fn avg_pool2d(isa: Isa, pool: &Pool, input: &[i8], by: Mean, out: &mut [i8]) -> Result<(), ShapeError> {
    pool.check(input.len(), out.len())?;
    if pool.window_pixels() > MAX_WINDOW {
        let (what, got) = ("the pixels of a window of bytes", pool.window_pixels() as i64);
        return Err(ShapeError::Range { what, min: 1, max: MAX_WINDOW as i64, got });
    }
    let (bias, multiplier, shift) = ([0; CHANNELS], [by.multiplier; CHANNELS], [by.shift; CHANNELS]);
    let requantize = Requantize::new(&bias, &multiplier, &shift, by.zero_out, by.clamp)?;
    isa.run(Means { pool, input, zero: by.zero_in.into(), requantize, out });
    Ok(())
}

struct Max<'a, 'o> {
    pool: &'a Pool,
    input: &'a [i8],
    out: &'o mut [i8],
}

impl Kernel for Max<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, _simd: S) {
        let Self { pool, input, out } = self;
        let (c, w, [_, _, oh, ow]) = (pool.channels(), pool.width(), pool.output());
        let plane = pool.planes().0;
        let c = c.max(1); // as it is: chunks of nothing would panic
        let images = input.chunks_exact((plane * c).max(1));
        for (image, out) in images.zip(out.chunks_exact_mut((oh * ow * c).max(1))) {
            for (y, out) in out.chunks_exact_mut((ow * c).max(1)).enumerate() {
                if pool.is_two() {
                    let rows = (piece(image, 2 * y * w * c, w * c), piece(image, (2 * y + 1) * w * c, w * c));
                    let (Some(upper), Some(lower)) = rows else {
                        return;
                    };
                    let two = (2 * c).max(1);
                    let pairs = upper.chunks_exact(two).zip(lower.chunks_exact(two));
                    for (out, (upper, lower)) in out.chunks_exact_mut(c).zip(pairs) {
                        let (Some((a, b)), Some((d, e))) = (upper.split_at_checked(c), lower.split_at_checked(c))
                        else {
                            return;
                        };
                        for ((((out, a), b), d), e) in out.iter_mut().zip(a).zip(b).zip(d).zip(e) {
                            *out = (*a.max(b)).max(*d.max(e));
                        }
                    }
                    continue;
                }
                for (x, out) in out.chunks_exact_mut(c).enumerate() {
                    out.fill(i8::MIN);
                    for dy in pool.rows(y) {
                        for dx in pool.columns(x) {
                            let Some(pixel) = piece(image, pool.pixel(y, x, dy, dx) * c, c) else {
                                return;
                            };
                            for (out, x) in out.iter_mut().zip(pixel) {
                                *out = (*out).max(*x);
                            }
                        }
                    }
                }
            }
        }
    }
}

struct Means<'a, 'o> {
    pool: &'a Pool,
    input: &'a [i8],
    zero: i32,
    requantize: Requantize<'a>,
    out: &'o mut [i8],
}

impl Kernel for Means<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { pool, input, zero, requantize, out } = self;
        let (c, [_, _, oh, ow]) = (pool.channels(), pool.output());
        let (plane, w) = (pool.planes().0, pool.width());
        let mut sums = [0; CHANNELS];
        let (c, ow) = (c.max(1), ow.max(1)); // as they are: chunks of nothing would panic
        let images = input.chunks_exact((plane * c).max(1));
        for (image, out) in images.zip(out.chunks_exact_mut((oh * ow * c).max(1))) {
            for (place, out) in out.chunks_exact_mut(c).enumerate() {
                let (y, x) = (place / ow, place % ow);
                for (part, out) in out.chunks_mut(CHANNELS).enumerate() {
                    let Some(sums) = piece_mut(&mut sums, 0, out.len()) else {
                        return;
                    };
                    if pool.is_two() {
                        let pixel = |dy, dx| {
                            let at = (2 * y + dy) * w + 2 * x + dx;
                            piece(image, at * c + part * CHANNELS, out.len())
                        };
                        let [Some(a), Some(b), Some(d), Some(e)] = [pixel(0, 0), pixel(0, 1), pixel(1, 0), pixel(1, 1)]
                        else {
                            return;
                        };
                        for ((((all, a), b), d), e) in sums.iter_mut().zip(a).zip(b).zip(d).zip(e) {
                            // Four bytes fit in 16 bits, of which a register holds twice as many.
                            let sum = i16::from(*a) + i16::from(*b) + i16::from(*d) + i16::from(*e);
                            *all = i32::from(sum) - 4 * zero;
                        }
                        requantize.part(simd, 0, sums, out);
                        continue;
                    }
                    sums.fill(0);
                    for dy in pool.rows(y) {
                        for dx in pool.columns(x) {
                            let at = pool.pixel(y, x, dy, dx) * c + part * CHANNELS;
                            let Some(pixel) = piece(image, at, sums.len()) else {
                                return;
                            };
                            for (sum, x) in sums.iter_mut().zip(pixel) {
                                *sum += i32::from(*x) - zero;
                            }
                        }
                    }
                    requantize.part(simd, 0, sums, out);
                }
            }
        }
    }
}

// The bound that `Mean` names, and what its formula takes.
const _: () = assert!(MAX_WINDOW as i64 * 255 <= i32::MAX as i64 && MAX_SHIFT == 31);

#[cfg(test)]
mod tests;

//! Bytes of quantized tensors, one by one: pixels to bytes with a sign, any function of one byte, sums of two tensors.

use super::Isa;
use super::simd::{Kernel, Simd};
use crate::error::ShapeError;

/// Largest shift of a [`Sum`].
pub const MAX_SUM_SHIFT: u8 = 22;

/// Largest multiplier of a [`Sum`]: two products with differences of bytes and a half then fit in 32 bits.
pub const MAX_SUM_MULTIPLIER: i32 = 1 << 22;

const _: () = assert!(2 * 255 * MAX_SUM_MULTIPLIER as i64 + (1 << (MAX_SUM_SHIFT - 1)) <= i32::MAX as i64);

/// Raw pixels, 0 to 255, become bytes with a sign, in their place: `q = pixel − 128`.
#[cfg_attr(not(feature = "std"), inline)]
pub fn from_pixels(bytes: &mut [u8]) {
    // Words, as microcontrollers have no vectors.
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ 0x8080_8080).to_ne_bytes();
    }
    for byte in rest {
        *byte ^= 0x80;
    }
}

/// `x = table[x + 128]`, in place.
#[cfg_attr(not(feature = "std"), inline)]
pub fn look_up(table: &[i8; 256], x: &mut [i8]) {
    for x in x {
        *x = table[usize::from(*x as u8 ^ 0x80)];
    }
}

/// How two bytes of different scales are added:
/// `out = clamp(zero_out + ⌊((a − zero_a)·multiplier_a + (b − zero_b)·multiplier_b) / 2^shift + 1/2⌋)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    pub(crate) multipliers: [i32; 2],
    pub(crate) zeros: [i32; 2],
    pub(crate) shift: u8,
    pub(crate) zero_out: i32,
    pub(crate) clamp: (i32, i32),
}

impl Sum {
    /// Multipliers are `scale_a / scale_out` and `scale_b / scale_out` in units of `2^−shift`, zero points those of `a` and `b`.
    ///
    /// # Errors
    /// [`ShapeError::Range`] for a multiplier that is negative or above [`MAX_SUM_MULTIPLIER`], a shift above [`MAX_SUM_SHIFT`], or a
    /// `clamp` whose ends are in the wrong order.
    pub const fn new(
        multipliers: [i32; 2],
        zeros: [i8; 2],
        shift: u8,
        zero_out: i8,
        clamp: (i8, i8),
    ) -> Result<Self, ShapeError> {
        let mut i = 0;
        while i < 2 {
            if multipliers[i] < 0 || multipliers[i] > MAX_SUM_MULTIPLIER {
                let (what, got) = ("a multiplier of a sum of bytes", multipliers[i] as i64);
                return Err(ShapeError::Range { what, min: 0, max: MAX_SUM_MULTIPLIER as i64, got });
            }
            i += 1;
        }
        if shift > MAX_SUM_SHIFT {
            let what = "the shift of a sum of bytes";
            return Err(ShapeError::Range { what, min: 0, max: MAX_SUM_SHIFT as i64, got: shift as i64 });
        }
        if clamp.0 > clamp.1 {
            let (what, min, got) = ("the largest output", clamp.0 as i64, clamp.1 as i64);
            return Err(ShapeError::Range { what, min, max: i8::MAX as i64, got });
        }
        let (zeros, clamp) = ([zeros[0] as i32, zeros[1] as i32], (clamp.0 as i32, clamp.1 as i32));
        Ok(Self { multipliers, zeros, shift, zero_out: zero_out as i32, clamp })
    }

    /// The multipliers, in units of `2^−shift`.
    #[must_use]
    pub const fn multipliers(&self) -> [i32; 2] {
        self.multipliers
    }

    /// The shift.
    #[must_use]
    pub const fn shift(&self) -> u8 {
        self.shift
    }

    /// The smallest and the largest output.
    #[must_use]
    pub const fn clamp(&self) -> (i8, i8) {
        (self.clamp.0 as i8, self.clamp.1 as i8)
    }
}

/// `a = a + b`, by the formula of [`Sum`].
///
/// # Errors
/// [`ShapeError::Length`] if `b` is not as long as `a`.
#[cfg_attr(not(feature = "std"), inline)]
pub fn add(isa: Isa, by: &Sum, a: &mut [i8], b: &[i8]) -> Result<(), ShapeError> {
    if a.len() != b.len() {
        return Err(ShapeError::Length { what: "the second addend", expected: a.len(), got: b.len() });
    }
    isa.run(Add { by: *by, a, b });
    Ok(())
}

struct Add<'a, 'b> {
    by: Sum,
    a: &'a mut [i8],
    b: &'b [i8],
}

impl Kernel for Add<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, _simd: S) {
        // One simple loop, which the compiler makes vectors of.
        let Sum { multipliers: [m_a, m_b], zeros: [z_a, z_b], shift, zero_out, clamp } = self.by;
        let half = if shift > 0 { 1 << (shift - 1) } else { 0 };
        let (low, high) = (clamp.0 - zero_out, clamp.1 - zero_out);
        for (a, b) in self.a.iter_mut().zip(self.b) {
            let sum = (i32::from(*a) - z_a) * m_a + (i32::from(*b) - z_b) * m_b;
            // Clamped before the zero point is added: the sum of both may need more than 32 bits.
            *a = (((sum + half) >> shift).max(low).min(high) + zero_out) as i8;
        }
    }
}

#[cfg(test)]
mod tests;

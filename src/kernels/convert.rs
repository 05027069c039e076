//! Slices from half to single precision and back, by IEEE 754: the same bits on every instruction set.

use super::Isa;
use super::simd::{Kernel, MAX_LANES, Simd};
use crate::error::ShapeError;
use half::f16;

/// `dst = src`, exactly. A signalling NaN becomes the quiet one with its payload.
///
/// # Errors
/// [`ShapeError::Length`] unless both hold as many elements.
pub fn to_f32(isa: Isa, src: &[f16], dst: &mut [f32]) -> Result<(), ShapeError> {
    struct ToSingle<'a>(&'a [f16], &'a mut [f32]);
    impl Kernel for ToSingle<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            let (mut src, mut dst) = (self.0.chunks_exact(S::LANES), self.1.chunks_exact_mut(S::LANES));
            for (src, dst) in (&mut src).zip(&mut dst) {
                simd.store(simd.load_f16(src), dst);
            }
            if !src.remainder().is_empty() {
                simd.store_partial(simd.load_f16_partial(src.remainder()), dst.into_remainder());
            }
        }
    }
    same_length(src.len(), dst.len())?;
    isa.run(ToSingle(src, dst));
    Ok(())
}

/// `dst = src`, rounded to nearest, ties to even: magnitudes from 65,520 on become infinity, magnitudes up to `2⁻²⁵` become 0.
///
/// # Accuracy
/// `|error| ≤ 2⁻¹¹·|src|` where `2⁻¹⁴ ≤ |src| < 65520`, `2⁻²⁵` below.
/// # Errors
/// As [`to_f32`].
pub fn to_f16(isa: Isa, src: &[f32], dst: &mut [f16]) -> Result<(), ShapeError> {
    struct ToHalf<'a>(&'a [f32], &'a mut [f16]);
    impl Kernel for ToHalf<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            let (mut src, mut dst) = (self.0.chunks_exact(S::LANES), self.1.chunks_exact_mut(S::LANES));
            for (src, dst) in (&mut src).zip(&mut dst) {
                simd.store_f16(simd.load(src), dst);
            }
            let (src, dst) = (src.remainder(), dst.into_remainder());
            if !src.is_empty() {
                let mut whole = [f16::ZERO; MAX_LANES];
                simd.store_f16(simd.load_partial(src), &mut whole);
                dst.copy_from_slice(&whole[..src.len()]);
            }
        }
    }
    same_length(src.len(), dst.len())?;
    isa.run(ToHalf(src, dst));
    Ok(())
}

fn same_length(src: usize, dst: usize) -> Result<(), ShapeError> {
    if src == dst { Ok(()) } else { Err(ShapeError::Length { what: "the converted slice", expected: src, got: dst }) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{vec, vec::Vec};

    /// Between guard elements, so that a store past the end shows.
    fn halves(isa: Isa, src: &[f32]) -> Vec<f16> {
        let guard = f16::from_bits(0x1234);
        let mut out = vec![guard; src.len() + 16];
        to_f16(isa, src, &mut out[8..8 + src.len()]).unwrap();
        assert!(out[..8].iter().chain(&out[8 + src.len()..]).all(|x| x.to_bits() == guard.to_bits()), "{isa}");
        out[8..8 + src.len()].to_vec()
    }

    #[test]
    fn every_half_becomes_the_same_number_and_comes_back() {
        let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        for isa in Isa::available() {
            let mut singles = vec![f32::NAN; all.len()];
            to_f32(isa, &all, &mut singles).unwrap();
            for (half, single) in all.iter().zip(&singles) {
                let want = half.to_f32_const();
                assert_eq!(single.to_bits(), want.to_bits(), "{isa} {:#06x}: {single} {want}", half.to_bits());
            }
            for (half, back) in all.iter().zip(halves(isa, &singles)) {
                let want = if half.is_nan() { half.to_bits() | 0x0200 } else { half.to_bits() };
                assert_eq!(back.to_bits(), want, "{isa} {:#06x}", half.to_bits());
            }
        }
    }

    /// Around every half: the number itself, its neighbours in single precision, the tie above it and the neighbours of that.
    #[test]
    fn singles_round_to_nearest_even_on_every_isa() {
        let mut singles =
            vec![f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN, 1e-40, -1e-45, 65519.99, 65520.0];
        for bits in (0..0x7c00u16).chain(0x8000..0xfc00) {
            let half = f16::from_bits(bits).to_f32_const();
            let above = f16::from_bits(bits + 1).to_f32_const();
            let tie = half + (above - half) / 2.0;
            for x in [half, tie] {
                if x.is_finite() {
                    singles.extend([
                        x,
                        f32::from_bits(x.to_bits().wrapping_add(1)),
                        f32::from_bits(x.to_bits().wrapping_sub(1)),
                    ]);
                }
            }
        }
        let want: Vec<u16> = singles.iter().map(|x| f16::from_f32_const(*x).to_bits()).collect();
        for isa in Isa::available() {
            for ((x, got), want) in singles.iter().zip(halves(isa, &singles)).zip(&want) {
                assert_eq!(got.to_bits(), *want, "{isa} {x:e}");
            }
        }
    }

    #[test]
    fn every_length_is_converted_whole_and_different_ones_are_refused() {
        for isa in Isa::available() {
            for len in 0..40 {
                let src: Vec<f32> = (0..len).map(|i| i as f32 - 7.5).collect();
                let halves = halves(isa, &src);
                let mut back = vec![f32::NAN; len + 8];
                to_f32(isa, &halves, &mut back[4..4 + len]).unwrap();
                assert_eq!(back[4..4 + len], src[..], "{isa} {len}");
                assert!(back[..4].iter().chain(&back[4 + len..]).all(|x| x.is_nan()), "{isa} {len}");
            }
            assert!(to_f32(isa, &[f16::ONE; 3], &mut [0.0; 4]).is_err());
            assert!(to_f16(isa, &[1.0; 5], &mut [f16::ONE; 4]).is_err());
        }
    }
}

//! One element at a time: what every machine can do, and what the other sets are compared with.

use crate::kernels::simd::{Kernel, Simd};
use half::f16;

/// Plain scalar arithmetic; with `DSP` products of 16-bit pairs in one instruction, as Cortex-M4 and its like have them. The field is
/// private, so that `DSP` can only stand where the target has them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scalar<const DSP: bool = false>(());

impl Scalar {
    /// What every machine has.
    pub(crate) const PLAIN: Self = Self(());
}

#[cfg(inkstone_dsp)]
impl Scalar<true> {
    /// What this target has, by its name or by the flags of the compiler.
    pub(crate) const DSP: Self = Self(());
}

impl<const DSP: bool> Simd for Scalar<DSP> {
    type F32 = f32;
    type I32 = i32;
    type I16 = [i16; 2];
    type I8 = [i8; 4];
    const LANES: usize = 1;

    #[inline(never)]
    fn outline<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.eval(self)
    }
    #[inline(always)]
    fn prefetch<T>(self, _src: &[T], _at: usize) {}
    #[inline(always)]
    fn splat(self, x: f32) -> f32 {
        x
    }
    #[inline(always)]
    fn load(self, src: &[f32]) -> f32 {
        src[0]
    }
    #[inline(always)]
    fn store(self, v: f32, dst: &mut [f32]) {
        dst[0] = v;
    }
    #[inline(always)]
    fn load_partial(self, _src: &[f32]) -> f32 {
        0.0 // nothing is shorter than one element but none
    }
    #[inline(always)]
    fn store_partial(self, _v: f32, _dst: &mut [f32]) {}
    #[inline(always)]
    fn load_u8(self, src: &[u8]) -> f32 {
        f32::from(src[0])
    }
    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32, b: f32) -> f32 {
        a / b
    }
    #[inline(always)]
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        a * b + c // `f32::mul_add` would call a slow routine where there is no instruction
    }
    #[cfg(feature = "train")]
    #[inline(always)]
    fn sqrt(self, a: f32) -> f32 {
        a.sqrt()
    }
    #[inline(always)]
    fn select_lt(self, a: f32, b: f32, yes: f32, no: f32) -> f32 {
        if a < b { yes } else { no }
    }
    #[inline(always)]
    fn larger(self, best: f32, place_of_best: i32, v: f32, place: i32) -> (f32, i32) {
        if v > best || v.is_nan() { (v, place) } else { (best, place_of_best) }
    }
    #[inline(always)]
    fn even(self, a: f32, _b: f32) -> f32 {
        a
    }
    #[inline(always)]
    fn exp2i(self, n: f32) -> f32 {
        f32::from_bits(((n as i32 + 127) as u32) << 23)
    }
    #[inline(always)]
    fn sum(self, v: f32) -> f32 {
        v
    }
    #[inline(always)]
    fn max_lane(self, v: f32) -> f32 {
        v
    }
    #[inline(always)]
    fn transpose<const R: usize>(self, rows: [f32; R], dst: &mut [f32], _dst_stride: usize) {
        dst[0] = rows[0];
    }
    #[inline(always)]
    fn load_f16(self, src: &[f16]) -> f32 {
        half_to_single(src[0])
    }
    #[inline(always)]
    fn load_f16_partial(self, _src: &[f16]) -> f32 {
        0.0 // a register of one lane is full or empty
    }
    #[inline(always)]
    fn store_f16(self, v: f32, dst: &mut [f16]) {
        dst[0] = f16::from_f32_const(v);
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> i32 {
        x
    }
    #[inline(always)]
    fn load_i32(self, src: &[i32]) -> i32 {
        src[0]
    }
    #[inline(always)]
    fn store_i32(self, v: i32, dst: &mut [i32]) {
        dst[0] = v;
    }
    #[inline(always)]
    fn store_i8(self, v: i32, dst: &mut [i8]) {
        dst[0] = v as i8;
    }
    #[inline(always)]
    fn add_i32(self, a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn min_i32(self, a: i32, b: i32) -> i32 {
        a.min(b)
    }
    #[inline(always)]
    fn max_i32(self, a: i32, b: i32) -> i32 {
        a.max(b)
    }
    #[inline(always)]
    fn scale_i32(self, x: i32, multiplier: i32, shift: i32) -> i32 {
        scale(x, multiplier, shift)
    }
    #[inline(always)]
    fn sum_i32(self, v: i32) -> i32 {
        v
    }
    #[inline(always)]
    fn splat_pair(self, pair: [i16; 2]) -> [i16; 2] {
        pair
    }
    #[inline(always)]
    fn load_i16(self, src: &[i16]) -> [i16; 2] {
        [src[0], src[1]]
    }
    #[inline(always)]
    fn sub_i32(self, a: i32, b: i32) -> i32 {
        a.wrapping_sub(b)
    }
    #[inline(always)]
    fn mul_i32(self, a: i32, b: i32) -> i32 {
        a.wrapping_mul(b)
    }
    #[inline(always)]
    fn shift_right_i32<const BITS: i32>(self, v: i32) -> i32 {
        v >> BITS
    }
    #[inline(always)]
    fn store_i16(self, v: [i16; 2], dst: &mut [i16]) {
        dst[..2].copy_from_slice(&v);
    }
    #[inline(always)]
    fn add_i16(self, a: [i16; 2], b: [i16; 2]) -> [i16; 2] {
        [a[0].wrapping_add(b[0]), a[1].wrapping_add(b[1])]
    }
    #[inline(always)]
    fn sub_i16(self, a: [i16; 2], b: [i16; 2]) -> [i16; 2] {
        [a[0].wrapping_sub(b[0]), a[1].wrapping_sub(b[1])]
    }
    #[inline(always)]
    fn dot_pairs(self, a: [i16; 2], b: [i16; 2], acc: i32) -> i32 {
        #[cfg(inkstone_dsp)]
        if DSP {
            return super::arm::smlad(bytemuck::cast(a), bytemuck::cast(b), acc);
        }
        acc.wrapping_add(i32::from(a[0]) * i32::from(b[0])).wrapping_add(i32::from(a[1]) * i32::from(b[1]))
    }
    #[inline(always)]
    fn interleave_all(self, src: &[i8], stride: usize, dst: &mut [i16], dst_stride: usize) {
        self.interleave_pairs::<1>(src, stride, dst, dst_stride);
    }
    #[inline(always)]
    fn load_i8(self, src: &[i8]) -> [i8; 4] {
        let src = &src[..4];
        core::array::from_fn(|i| src[i])
    }
    #[inline(always)]
    fn splat_quad(self, quad: [i8; 4]) -> [i8; 4] {
        quad
    }
    #[inline(always)]
    fn xor_i8(self, a: [i8; 4], b: [i8; 4]) -> [i8; 4] {
        core::array::from_fn(|i| a[i] ^ b[i])
    }
    #[inline(always)]
    fn dot_quads(self, x: [i8; 4], w: [i8; 4], mut acc: i32) -> i32 {
        #[cfg(inkstone_dsp)]
        if DSP {
            return super::arm::dot_bytes(bytemuck::cast(x), bytemuck::cast(w), acc);
        }
        for i in 0..4 {
            acc = acc.wrapping_add(i32::from(x[i]) * i32::from(w[i]));
        }
        acc
    }
    #[cfg(inkstone_dsp)]
    #[inline(always)]
    fn spread(self, quad: [i8; 4]) -> [i32; 2] {
        super::arm::spread(quad)
    }
    #[cfg(inkstone_thumb)]
    #[inline(always)]
    fn dot_rows(self, x: &[[i32; 2]], w: &[i8], stride: usize) -> [i32; 4] {
        // Beside those with DSP instructions plain code is there to be compared with.
        let plain = cfg!(inkstone_dsp) && !DSP;
        if plain { crate::kernels::simd::plain_rows(x, w, stride) } else { super::arm::dot_rows(x, w, stride) }
    }
    #[cfg(inkstone_thumb)]
    #[inline(always)]
    fn dot_fours(self, x: &[i16], pitch: usize, w: &[[i32; 4]], steps: usize, sums: &mut [[i32; 4]]) {
        if cfg!(inkstone_dsp) && !DSP {
            crate::kernels::simd::plain_fours(x, pitch, w, steps, sums);
        } else {
            super::arm::dot_fours(x, pitch, w, steps, sums);
        }
    }
}

/// One lane of `scale_i32`.
#[inline(always)]
pub(in crate::kernels) fn scale(x: i32, multiplier: i32, shift: i32) -> i32 {
    // A shift of 64 bits by a number that is not constant takes many instructions where registers have 32. The product shifted by 31 fits
    // in 32 bits, as the multiplier is not negative, and what is shifted out below the half does not matter.
    #[cfg(all(inkstone_thumb, not(inkstone_few_registers)))]
    let product: i64 = bytemuck::cast(super::arm::smull(x, multiplier));
    #[cfg(inkstone_few_registers)]
    let product = by_halves(x, multiplier);
    #[cfg(not(inkstone_thumb))]
    let product = i64::from(x) * i64::from(multiplier);
    let whole = (product >> 31) as i32;
    match shift & 31 {
        0 => whole.wrapping_add((product >> 30) as i32 & 1),
        shift => ((whole >> (shift - 1)) + 1) >> 1,
    }
}

/// `x · multiplier` in 64 bits of products of 32, for a multiplier that is not negative: where there are no longer ones, the compiler would
/// call a function that takes several times as long.
#[cfg(any(inkstone_few_registers, test))]
#[inline(always)]
fn by_halves(x: i32, multiplier: i32) -> i64 {
    let ([high, low], [m_high, m_low]) = (halves(x), halves(multiplier));
    // None of these sums is beyond 32 bits: the first is at least -2^31, as `high` is at least -2^15 and `m_low` below 2^16; it is at most
    // (2^15 - 1)·(2^16 - 1) + 2^16 - 2. In the second are 16 bits and a product below 2^16·2^15.
    let lowest = low * m_low;
    let middle = high as i32 * m_low as i32 + (lowest >> 16) as i32;
    let second = (middle as u32 & 0xffff) + low * m_high;
    let top = (high as i32 * m_high as i32) + (middle >> 16) + (second >> 16) as i32;
    i64::from(top) << 32 | i64::from(second << 16 | lowest & 0xffff)
}

/// `x = high · 2^16 + low`, both as words; `low` is not negative.
#[cfg(any(inkstone_few_registers, test))]
#[inline(always)]
fn halves(x: i32) -> [u32; 2] {
    [(x >> 16) as u32, x as u32 & 0xffff]
}

/// The same number in single precision, without a branch, so that loops over it vectorize.
#[inline(always)]
pub(crate) fn half_to_single(x: f16) -> f32 {
    const SHIFT: u32 = 13; // 23 - 10 bits of fraction
    const REBIAS: f32 = f32::from_bits((127 + 112) << 23); // 2^112: exponents are biased by 15 there, by 127 here
    let bits = u32::from(x.to_bits());
    let (sign, magnitude) = ((bits & 0x8000) << 16, (bits & 0x7fff) << SHIFT);
    // As a float the magnitude is 2^112 too small, subnormals included; where the exponent is full, it must stay so.
    let finite = (f32::from_bits(magnitude) * REBIAS).to_bits();
    let quiet = if magnitude > 0x7c00 << SHIFT { 0x0040_0000 } else { 0 };
    let special = magnitude | 0x7f80_0000 | quiet;
    f32::from_bits(sign | if magnitude >= 0x7c00 << SHIFT { special } else { finite })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_by_halves_are_those_of_64_bits() {
        let edges = [0, 1, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_0000, 0x7fff_ffff];
        let mut x = 1_i32;
        for i in 0..20_000 {
            x = x.wrapping_mul(747_796_405).wrapping_add(i);
            for edge in edges {
                for (x, multiplier) in [(x, edge), (edge, x & i32::MAX), (!edge, x & i32::MAX)] {
                    assert_eq!(by_halves(x, multiplier), i64::from(x) * i64::from(multiplier), "{x} {multiplier}");
                }
            }
        }
        assert_eq!(by_halves(i32::MIN, i32::MAX), i64::from(i32::MIN) * i64::from(i32::MAX));
    }
}

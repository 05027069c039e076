//! What the compilation target guarantees, through `wide`: SSE2 on x86-64, NEON on aarch64, simd128 on wasm.

use super::scalar::{half_to_single, scale};
use crate::kernels::simd::{Kernel, Simd};
use half::f16;
use wide::{f32x4, i8x16, i16x8, i32x4};

/// Four floats in whatever registers the target always has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Baseline;

impl Simd for Baseline {
    type F32 = f32x4;
    type I32 = i32x4;
    type I16 = i16x8;
    type I8 = i8x16;
    const LANES: usize = 4;

    #[inline(never)]
    fn outline<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.eval(self)
    }
    #[inline(always)]
    fn prefetch<T>(self, _src: &[T], _at: usize) {}
    #[inline(always)]
    fn splat(self, x: f32) -> f32x4 {
        f32x4::splat(x)
    }
    #[inline(always)]
    fn load(self, src: &[f32]) -> f32x4 {
        f32x4::new([src[0], src[1], src[2], src[3]])
    }
    #[inline(always)]
    fn store(self, v: f32x4, dst: &mut [f32]) {
        dst[..4].copy_from_slice(&v.to_array());
    }
    #[inline(always)]
    fn load_partial(self, src: &[f32]) -> f32x4 {
        let mut lanes = [0.0; 4];
        for (lane, x) in lanes.iter_mut().zip(src) {
            *lane = *x;
        }
        f32x4::new(lanes)
    }
    #[inline(always)]
    fn store_partial(self, v: f32x4, dst: &mut [f32]) {
        for (x, lane) in dst.iter_mut().zip(v.to_array()) {
            *x = lane;
        }
    }
    #[inline(always)]
    fn load_u8(self, src: &[u8]) -> f32x4 {
        f32x4::new([f32::from(src[0]), f32::from(src[1]), f32::from(src[2]), f32::from(src[3])])
    }
    #[inline(always)]
    fn add(self, a: f32x4, b: f32x4) -> f32x4 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32x4, b: f32x4) -> f32x4 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32x4, b: f32x4) -> f32x4 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32x4, b: f32x4) -> f32x4 {
        a / b
    }
    #[inline(always)]
    fn mul_add(self, a: f32x4, b: f32x4, c: f32x4) -> f32x4 {
        a.mul_add(b, c)
    }
    #[cfg(feature = "train")]
    #[inline(always)]
    fn sqrt(self, a: f32x4) -> f32x4 {
        a.sqrt()
    }
    #[inline(always)]
    fn select_lt(self, a: f32x4, b: f32x4, yes: f32x4, no: f32x4) -> f32x4 {
        a.simd_lt(b).select(yes, no)
    }
    #[inline(always)]
    fn larger(self, best: f32x4, place_of_best: i32x4, v: f32x4, place: i32x4) -> (f32x4, i32x4) {
        let take = v.simd_gt(best) | v.is_nan();
        let mask: i32x4 = bytemuck::cast(take);
        (take.select(v, best), mask.select(place, place_of_best))
    }
    #[inline(always)]
    fn even(self, a: f32x4, b: f32x4) -> f32x4 {
        let ([a0, _, a2, _], [b0, _, b2, _]) = (a.to_array(), b.to_array());
        f32x4::new([a0, a2, b0, b2])
    }
    #[inline(always)]
    fn exp2i(self, n: f32x4) -> f32x4 {
        let bits: i32x4 = (n.trunc_int() + i32x4::splat(127)) << 23;
        bytemuck::cast(bits)
    }
    #[inline(always)]
    fn sum(self, v: f32x4) -> f32 {
        let [a, b, c, d] = v.to_array();
        (a + c) + (b + d)
    }
    #[inline(always)]
    fn max_lane(self, v: f32x4) -> f32 {
        let [a, b, c, d] = v.to_array();
        a.max(c).max(b.max(d))
    }
    #[inline(always)]
    fn transpose<const R: usize>(self, rows: [f32x4; R], dst: &mut [f32], dst_stride: usize) {
        assert!(R <= 4);
        let mut square = [f32x4::ZERO; 4];
        square[..R].copy_from_slice(&rows);
        for (p, column) in f32x4::transpose(square).into_iter().enumerate() {
            self.store(column, &mut dst[p * dst_stride..]);
        }
    }
    #[inline(always)]
    fn load_f16(self, src: &[f16]) -> f32x4 {
        f32x4::new([src[0], src[1], src[2], src[3]].map(half_to_single))
    }
    #[inline(always)]
    fn load_f16_partial(self, src: &[f16]) -> f32x4 {
        let mut lanes = [0.0; 4];
        for (lane, x) in lanes.iter_mut().zip(src) {
            *lane = half_to_single(*x);
        }
        f32x4::new(lanes)
    }
    #[inline(always)]
    fn store_f16(self, v: f32x4, dst: &mut [f16]) {
        for (x, lane) in dst[..4].iter_mut().zip(v.to_array()) {
            *x = f16::from_f32_const(lane);
        }
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> i32x4 {
        i32x4::splat(x)
    }
    #[inline(always)]
    fn load_i32(self, src: &[i32]) -> i32x4 {
        i32x4::new([src[0], src[1], src[2], src[3]])
    }
    #[inline(always)]
    fn store_i32(self, v: i32x4, dst: &mut [i32]) {
        dst[..4].copy_from_slice(&v.to_array());
    }
    #[inline(always)]
    fn store_i8(self, v: i32x4, dst: &mut [i8]) {
        dst[..4].copy_from_slice(&v.to_array().map(|x| x as i8));
    }
    #[inline(always)]
    fn add_i32(self, a: i32x4, b: i32x4) -> i32x4 {
        a + b
    }
    #[inline(always)]
    fn min_i32(self, a: i32x4, b: i32x4) -> i32x4 {
        a.min(b)
    }
    #[inline(always)]
    fn max_i32(self, a: i32x4, b: i32x4) -> i32x4 {
        a.max(b)
    }
    #[inline(always)]
    fn scale_i32(self, x: i32x4, multiplier: i32x4, shift: i32x4) -> i32x4 {
        let (x, multiplier, shift) = (x.to_array(), multiplier.to_array(), shift.to_array());
        i32x4::new(core::array::from_fn(|i| scale(x[i], multiplier[i], shift[i])))
    }
    #[inline(always)]
    fn sum_i32(self, v: i32x4) -> i32 {
        let [a, b, c, d] = v.to_array();
        a.wrapping_add(b).wrapping_add(c).wrapping_add(d)
    }
    #[inline(always)]
    fn splat_pair(self, pair: [i16; 2]) -> i16x8 {
        bytemuck::cast(i32x4::splat(bytemuck::cast(pair)))
    }
    #[inline(always)]
    fn load_i16(self, src: &[i16]) -> i16x8 {
        let src = &src[..8];
        i16x8::new(core::array::from_fn(|i| src[i]))
    }
    #[inline(always)]
    fn sub_i32(self, a: i32x4, b: i32x4) -> i32x4 {
        a - b
    }
    #[inline(always)]
    fn mul_i32(self, a: i32x4, b: i32x4) -> i32x4 {
        a * b
    }
    #[inline(always)]
    fn shift_right_i32<const BITS: i32>(self, v: i32x4) -> i32x4 {
        v >> BITS
    }
    #[inline(always)]
    fn store_i16(self, v: i16x8, dst: &mut [i16]) {
        dst[..8].copy_from_slice(&v.to_array());
    }
    #[inline(always)]
    fn add_i16(self, a: i16x8, b: i16x8) -> i16x8 {
        a + b
    }
    #[inline(always)]
    fn sub_i16(self, a: i16x8, b: i16x8) -> i16x8 {
        a - b
    }
    #[inline(always)]
    fn dot_pairs(self, a: i16x8, b: i16x8, acc: i32x4) -> i32x4 {
        acc + a.dot(b)
    }
    #[inline(always)]
    fn interleave_all(self, src: &[i8], stride: usize, dst: &mut [i16], dst_stride: usize) {
        self.interleave_pairs::<4>(src, stride, dst, dst_stride);
    }
    #[inline(always)]
    fn load_i8(self, src: &[i8]) -> i8x16 {
        let src = &src[..16];
        i8x16::new(core::array::from_fn(|i| src[i]))
    }
    #[inline(always)]
    fn splat_quad(self, quad: [i8; 4]) -> i8x16 {
        bytemuck::cast(i32x4::splat(bytemuck::cast(quad)))
    }
    #[inline(always)]
    fn xor_i8(self, a: i8x16, b: i8x16) -> i8x16 {
        a ^ b
    }
    #[inline(always)]
    fn dot_quads(self, x: i8x16, w: i8x16, acc: i32x4) -> i32x4 {
        // Odd bytes are the upper halves of 16-bit lanes, even bytes the lower ones.
        let (x, w): (i16x8, i16x8) = (bytemuck::cast(x), bytemuck::cast(w));
        acc + (x >> 8_i32).dot(w >> 8_i32) + ((x << 8_i32) >> 8_i32).dot((w << 8_i32) >> 8_i32)
    }
}

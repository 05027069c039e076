//! One element at a time: what every machine can do, and what the other sets are compared with.

use crate::kernels::simd::{Kernel, Simd};

/// Plain scalar arithmetic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scalar;

impl Simd for Scalar {
    type F32 = f32;
    const LANES: usize = 1;

    #[inline(never)]
    fn outline<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.eval(self)
    }
    #[inline(always)]
    fn prefetch(self, _src: &[f32], _at: usize) {}
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
    fn transpose<const R: usize>(self, src: &[f32], _src_stride: usize, dst: &mut [f32], _dst_stride: usize) {
        assert!(R == 1);
        dst[0] = src[0];
    }
}

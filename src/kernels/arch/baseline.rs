//! What the compilation target guarantees, through `wide`: SSE2 on x86-64, NEON on aarch64, simd128 on wasm.

use crate::kernels::simd::{Kernel, Simd};
use wide::{f32x4, i32x4};

/// Four floats in whatever registers the target always has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Baseline;

impl Simd for Baseline {
    type F32 = f32x4;
    const LANES: usize = 4;

    #[inline(never)]
    fn outline<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.eval(self)
    }
    #[inline(always)]
    fn prefetch(self, _src: &[f32], _at: usize) {}
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
    fn transpose<const R: usize>(self, src: &[f32], src_stride: usize, dst: &mut [f32], dst_stride: usize) {
        assert!(R <= 4);
        for p in 0..4 {
            let out = &mut dst[p * dst_stride..][..4];
            for i in 0..R {
                out[i] = src[i * src_stride + p];
            }
        }
    }
}

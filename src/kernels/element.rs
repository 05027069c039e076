//! What a stored number may be: the kernels compute in f32 and read either of these.

use super::arch::half_to_single;
use super::simd::Simd;
use half::f16;

/// A number as it is stored; zero by default.
pub(crate) trait Element: Copy + Default + Send + Sync + 'static {
    /// The number itself.
    fn single(self) -> f32;
    /// The first `LANES` elements. Panics if there are fewer.
    fn load<S: Simd>(simd: S, src: &[Self]) -> S::F32;
    /// `src` (shorter than a register) in the low lanes, zero in the others.
    fn load_partial<S: Simd>(simd: S, src: &[Self]) -> S::F32;
}

impl Element for f32 {
    #[inline(always)]
    fn single(self) -> f32 {
        self
    }
    #[inline(always)]
    fn load<S: Simd>(simd: S, src: &[Self]) -> S::F32 {
        simd.load(src)
    }
    #[inline(always)]
    fn load_partial<S: Simd>(simd: S, src: &[Self]) -> S::F32 {
        simd.load_partial(src)
    }
}

impl Element for f16 {
    #[inline(always)]
    fn single(self) -> f32 {
        half_to_single(self)
    }
    #[inline(always)]
    fn load<S: Simd>(simd: S, src: &[Self]) -> S::F32 {
        simd.load_f16(src)
    }
    #[inline(always)]
    fn load_partial<S: Simd>(simd: S, src: &[Self]) -> S::F32 {
        simd.load_f16_partial(src)
    }
}

//! NEON: four floats in a register, fused multiply-adds; with `DOT` also sums of four products of bytes in one instruction.

use crate::kernels::arch::band::Band;
use crate::kernels::simd::{Kernel, Simd};
#[cfg(all(test, not(feature = "std")))]
extern crate std; // the tests look for instructions at run time, as programs with `std` do
use core::arch::aarch64::*;
use core::arch::asm;
use half::f16;

/// Proof that this CPU has NEON, and the dot product instructions if `DOT`: the field is private, so `detect` is the only source.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Neon<const DOT: bool>(());

impl Neon<false> {
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        Some(Self(())) // the module is compiled where the target has it
    }
}

impl Neon<true> {
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(any(test, feature = "std"))]
        let found = std::arch::is_aarch64_feature_detected!("dotprod");
        #[cfg(not(any(test, feature = "std")))]
        let found = cfg!(target_feature = "dotprod");
        found.then_some(Self(()))
    }
}

impl<const DOT: bool> Neon<DOT> {
    /// Compiles `kernel` with what `DOT` promises and runs it, in a function of its own.
    #[inline(always)]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "neon,dotprod")] // exactly what `detect` looks for
        #[inline(never)]
        fn with_dots<K: Kernel, const DOT: bool>(simd: Neon<DOT>, kernel: K) -> K::Output {
            kernel.eval(simd)
        }
        #[inline(never)]
        fn enabled<K: Kernel, const DOT: bool>(simd: Neon<DOT>, kernel: K) -> K::Output {
            kernel.eval(simd)
        }
        if DOT {
            // SAFETY: `self` exists, so `detect` found these features on this CPU.
            unsafe { with_dots(self, kernel) }
        } else {
            enabled(self, kernel)
        }
    }

    /// The columns of four rows of 32-bit lanes.
    #[inline(always)]
    fn columns(self, [a, b, c, d]: [int32x4_t; 4]) -> [int32x4_t; 4] {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe {
            // Lanes of two rows interleave, then the halves of two such pairs change places.
            let (ab, ab_odd) = (vtrn1q_s32(a, b), vtrn2q_s32(a, b));
            let (cd, cd_odd) = (vtrn1q_s32(c, d), vtrn2q_s32(c, d));
            let low = |a, b| vreinterpretq_s32_s64(vtrn1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
            let high = |a, b| vreinterpretq_s32_s64(vtrn2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
            [low(ab, cd), low(ab_odd, cd_odd), high(ab, cd), high(ab_odd, cd_odd)]
        }
    }
}

impl<const DOT: bool> Simd for Neon<DOT> {
    type F32 = float32x4_t;
    type I32 = int32x4_t;
    type I16 = int16x8_t;
    type I8 = int8x16_t;
    const LANES: usize = 4;

    #[inline(always)]
    fn outline<K: Kernel>(self, kernel: K) -> K::Output {
        self.run(kernel)
    }
    #[inline(always)]
    fn prefetch<T>(self, src: &[T], at: usize) {
        let place = src.as_ptr().wrapping_add(at);
        // SAFETY: a hint, which reads nothing and cannot fault, wherever it points.
        unsafe { asm!("prfm pldl1keep, [{0}]", in(reg) place, options(nostack, readonly, preserves_flags)) }
    }
    #[cfg(feature = "std")]
    #[inline(always)]
    fn prefetch_far<T>(self, src: &[T], at: usize) {
        let place = src.as_ptr().wrapping_add(at);
        // SAFETY: as for `prefetch`.
        unsafe { asm!("prfm pldl2keep, [{0}]", in(reg) place, options(nostack, readonly, preserves_flags)) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    fn load(self, src: &[f32]) -> float32x4_t {
        assert!(src.len() >= 4);
        // SAFETY: the assert gives four readable floats, aligned as floats are; `self` proves NEON.
        unsafe { vld1q_f32(src.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: float32x4_t, dst: &mut [f32]) {
        assert!(dst.len() >= 4);
        // SAFETY: the assert gives four writable floats; `self` proves NEON.
        unsafe { vst1q_f32(dst.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn load_partial(self, src: &[f32]) -> float32x4_t {
        let mut lanes = [0.0; 4];
        for (lane, x) in lanes.iter_mut().zip(src) {
            *lane = *x;
        }
        self.load(&lanes)
    }
    #[inline(always)]
    fn store_partial(self, v: float32x4_t, dst: &mut [f32]) {
        let mut lanes = [0.0; 4];
        self.store(v, &mut lanes);
        for (x, lane) in dst.iter_mut().zip(lanes) {
            *x = lane;
        }
    }
    #[inline(always)]
    fn load_u8(self, src: &[u8]) -> float32x4_t {
        let four = u32::from_le_bytes([src[0], src[1], src[2], src[3]]);
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(u64::from(four)))))) }
    }
    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[cfg(feature = "train")]
    #[inline(always)]
    fn sqrt(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vsqrtq_f32(a) }
    }
    #[inline(always)]
    fn select_lt(self, a: float32x4_t, b: float32x4_t, yes: float32x4_t, no: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vbslq_f32(vcltq_f32(a, b), yes, no) }
    }
    #[inline(always)]
    fn larger(
        self,
        best: float32x4_t,
        place_of_best: int32x4_t,
        v: float32x4_t,
        place: int32x4_t,
    ) -> (float32x4_t, int32x4_t) {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe {
            let take = vorrq_u32(vcgtq_f32(v, best), vmvnq_u32(vceqq_f32(v, v)));
            (vbslq_f32(take, v, best), vbslq_s32(take, place, place_of_best))
        }
    }
    #[inline(always)]
    fn even(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vuzp1q_f32(a, b) }
    }
    #[inline(always)]
    fn exp2i(self, n: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)))) }
    }
    #[inline(always)]
    fn sum(self, v: float32x4_t) -> f32 {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe {
            let two = vadd_f32(vget_low_f32(v), vget_high_f32(v));
            vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
        }
    }
    #[inline(always)]
    fn max_lane(self, v: float32x4_t) -> f32 {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vmaxvq_f32(v) }
    }
    #[inline(always)]
    fn transpose<const R: usize>(self, rows: [float32x4_t; R], dst: &mut [f32], dst_stride: usize) {
        assert!(R <= 4);
        let mut r = [self.splat_i32(0); 4];
        for j in 0..R {
            // SAFETY: `self` proves NEON; no memory is touched.
            r[j] = unsafe { vreinterpretq_s32_f32(rows[j]) };
        }
        for (p, v) in self.columns(r).into_iter().enumerate() {
            // SAFETY: `self` proves NEON; no memory is touched.
            let v = unsafe { vreinterpretq_f32_s32(v) };
            self.store(v, &mut dst[p * dst_stride..]);
        }
    }
    #[inline(always)]
    fn load_f16(self, src: &[f16]) -> float32x4_t {
        assert!(src.len() >= 4);
        // SAFETY: the assert gives four readable half floats, aligned as 16-bit integers are; `self` proves NEON.
        unsafe { vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(src.as_ptr().cast()))) }
    }
    #[inline(always)]
    fn load_f16_partial(self, src: &[f16]) -> float32x4_t {
        let mut four = [f16::ZERO; 4];
        four[..src.len()].copy_from_slice(src);
        self.load_f16(&four)
    }
    #[inline(always)]
    fn store_f16(self, v: float32x4_t, dst: &mut [f16]) {
        assert!(dst.len() >= 4);
        // SAFETY: the assert gives four writable half floats, aligned as 16-bit integers are; `self` proves NEON.
        unsafe { vst1_u16(dst.as_mut_ptr().cast(), vreinterpret_u16_f16(vcvt_f16_f32(v))) }
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> int32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vdupq_n_s32(x) }
    }
    #[inline(always)]
    fn load_i32(self, src: &[i32]) -> int32x4_t {
        assert!(src.len() >= 4);
        // SAFETY: the assert gives four readable integers; `self` proves NEON.
        unsafe { vld1q_s32(src.as_ptr()) }
    }
    #[inline(always)]
    fn store_i32(self, v: int32x4_t, dst: &mut [i32]) {
        assert!(dst.len() >= 4);
        // SAFETY: the assert gives four writable integers; `self` proves NEON.
        unsafe { vst1q_s32(dst.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn store_i8(self, v: int32x4_t, dst: &mut [i8]) {
        let mut lanes = [0; 4];
        self.store_i32(v, &mut lanes);
        dst[..4].copy_from_slice(&lanes.map(|x| x as i8));
    }
    #[inline(always)]
    fn sub_i32(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vsubq_s32(a, b) }
    }
    #[inline(always)]
    fn mul_i32(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vmulq_s32(a, b) }
    }
    #[inline(always)]
    fn shift_right_i32<const BITS: i32>(self, v: int32x4_t) -> int32x4_t {
        // By a register, as the immediate must not be 0; SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vshlq_s32(v, vdupq_n_s32(-BITS)) }
    }
    #[inline(always)]
    fn add_i32(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vaddq_s32(a, b) }
    }
    #[inline(always)]
    fn min_i32(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vminq_s32(a, b) }
    }
    #[inline(always)]
    fn max_i32(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vmaxq_s32(a, b) }
    }
    #[inline(always)]
    fn scale_i32(self, x: int32x4_t, multiplier: int32x4_t, shift: int32x4_t) -> int32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe {
            // A rounding shift adds the half in more than 64 bits.
            let right = vsubq_s32(vdupq_n_s32(-31), vandq_s32(shift, vdupq_n_s32(31)));
            let low = vmull_s32(vget_low_s32(x), vget_low_s32(multiplier));
            let high = vmull_high_s32(x, multiplier);
            let low = vrshlq_s64(low, vmovl_s32(vget_low_s32(right)));
            let high = vrshlq_s64(high, vmovl_high_s32(right));
            vcombine_s32(vmovn_s64(low), vmovn_s64(high))
        }
    }
    #[inline(always)]
    fn sum_i32(self, v: int32x4_t) -> i32 {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vaddvq_s32(v) }
    }
    #[inline(always)]
    fn sum_four(self, v: [int32x4_t; 4]) -> [i32; 4] {
        let mut sums = [0; 4];
        // SAFETY: `self` proves NEON; no memory is touched.
        let four = unsafe { vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3])) };
        self.store_i32(four, &mut sums);
        sums
    }
    #[inline(always)]
    fn splat_pair(self, pair: [i16; 2]) -> int16x8_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vreinterpretq_s16_s32(vdupq_n_s32(bytemuck::cast(pair))) }
    }
    #[inline(always)]
    fn load_i16(self, src: &[i16]) -> int16x8_t {
        assert!(src.len() >= 8);
        // SAFETY: the assert gives eight readable integers; `self` proves NEON.
        unsafe { vld1q_s16(src.as_ptr()) }
    }
    #[inline(always)]
    fn store_i16(self, v: int16x8_t, dst: &mut [i16]) {
        assert!(dst.len() >= 8);
        // SAFETY: the assert gives eight writable integers; `self` proves NEON.
        unsafe { vst1q_s16(dst.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn add_i16(self, a: int16x8_t, b: int16x8_t) -> int16x8_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vaddq_s16(a, b) }
    }
    #[inline(always)]
    fn sub_i16(self, a: int16x8_t, b: int16x8_t) -> int16x8_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vsubq_s16(a, b) }
    }
    #[inline(always)]
    fn dot_pairs(self, a: int16x8_t, b: int16x8_t, acc: int32x4_t) -> int32x4_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe {
            let low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
            vaddq_s32(acc, vpaddq_s32(low, vmull_high_s16(a, b)))
        }
    }
    #[inline(always)]
    fn interleave_pairs<const R: usize>(self, src: &[i8], stride: usize, dst: &mut [i16], dst_stride: usize) {
        assert!(R <= 4);
        let rows = Band::new(src, R, 8, stride);
        let mut r = [self.splat_i32(0); 4];
        for j in 0..R {
            let row = rows.row(j);
            assert!(row.len() >= 8);
            // SAFETY: the assert gives eight readable bytes; `self` proves NEON.
            r[j] = unsafe { vreinterpretq_s32_s16(vmovl_s8(vld1_s8(row.as_ptr()))) };
        }
        for (p, v) in self.columns(r).into_iter().enumerate() {
            // SAFETY: `self` proves NEON; no memory is touched.
            let v = unsafe { vreinterpretq_s16_s32(v) };
            self.store_i16(v, &mut dst[p * dst_stride..]);
        }
    }
    #[inline(always)]
    fn interleave_all(self, src: &[i8], stride: usize, dst: &mut [i16], dst_stride: usize) {
        self.interleave_pairs::<4>(src, stride, dst, dst_stride);
    }
    #[inline(always)]
    fn load_i8(self, src: &[i8]) -> int8x16_t {
        assert!(src.len() >= 16);
        // SAFETY: the assert gives sixteen readable bytes; `self` proves NEON.
        unsafe { vld1q_s8(src.as_ptr()) }
    }
    #[inline(always)]
    fn splat_quad(self, quad: [i8; 4]) -> int8x16_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { vreinterpretq_s8_s32(vdupq_n_s32(bytemuck::cast(quad))) }
    }
    #[inline(always)]
    fn xor_i8(self, a: int8x16_t, b: int8x16_t) -> int8x16_t {
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe { veorq_s8(a, b) }
    }
    #[inline(always)]
    fn dot_quads(self, x: int8x16_t, w: int8x16_t, acc: int32x4_t) -> int32x4_t {
        if DOT {
            let mut sum = acc;
            // The intrinsic is not stable yet.
            // SAFETY: `self` with `DOT` proves the dot product instructions; only registers are touched.
            unsafe {
                asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sum, in(vreg) x, in(vreg) w,
                    options(pure, nomem, nostack, preserves_flags));
            }
            return sum;
        }
        // SAFETY: `self` proves NEON; no memory is touched.
        unsafe {
            // Products of bytes fit 16 bits, sums of two of them (up to 2^15) need more.
            let low = vpaddlq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(w)));
            vaddq_s32(acc, vpaddq_s32(low, vpaddlq_s16(vmull_high_s8(x, w))))
        }
    }
    #[inline(always)]
    fn interleave_quads<const R: usize>(self, src: &[i8], stride: usize, dst: &mut [i8], dst_stride: usize) {
        assert!(R <= 4);
        let rows = Band::new(src, R, 16, stride);
        let mut r = [self.splat_i32(0); 4];
        for j in 0..R {
            // SAFETY: `self` proves NEON; no memory is touched.
            r[j] = unsafe { vreinterpretq_s32_s8(self.load_i8(rows.row(j))) };
        }
        for (p, v) in self.columns(r).into_iter().enumerate() {
            let dst = &mut dst[p * dst_stride..];
            assert!(dst.len() >= 16);
            // SAFETY: the assert gives sixteen writable bytes; `self` proves NEON.
            unsafe { vst1q_s8(dst.as_mut_ptr(), vreinterpretq_s8_s32(v)) }
        }
    }
}

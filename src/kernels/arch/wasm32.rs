//! WebAssembly's simd128: four floats in a register; products and sums are rounded apart, as only its relaxed extension may fuse them.
//!
//! An engine refuses a module that has instructions it lacks, so but for those that read or write memory the intrinsics are safe to call.

use crate::kernels::arch::band::Band;
use crate::kernels::simd::{Kernel, Simd};
use bytemuck::Pod;
use core::arch::wasm32::*;
use half::f16;

/// simd128, as this target has it: the module is compiled nowhere else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Simd128;

/// The first sixteen bytes. Panics if there are fewer.
#[inline(always)]
fn read<T: Pod>(src: &[T]) -> v128 {
    assert!(src.len() >= 16 / size_of::<T>());
    // SAFETY: the assert gives sixteen readable bytes, all initialised as those of a `Pod` are; they may lie anywhere.
    unsafe { v128_load(src.as_ptr().cast()) }
}

/// Writes the first sixteen bytes. Panics if there are fewer.
#[inline(always)]
fn write<T: Pod>(v: v128, dst: &mut [T]) {
    assert!(dst.len() >= 16 / size_of::<T>());
    // SAFETY: the assert gives sixteen writable bytes, which make a `Pod` whatever they are; they may lie anywhere.
    unsafe { v128_store(dst.as_mut_ptr().cast(), v) }
}

/// The columns of four rows of 32-bit lanes.
#[inline(always)]
fn columns([a, b, c, d]: [v128; 4]) -> [v128; 4] {
    // Lanes of two rows interleave, then the halves of two such pairs.
    let (ab, ab_high) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b));
    let (cd, cd_high) = (i32x4_shuffle::<0, 4, 1, 5>(c, d), i32x4_shuffle::<2, 6, 3, 7>(c, d));
    [
        i64x2_shuffle::<0, 2>(ab, cd),
        i64x2_shuffle::<1, 3>(ab, cd),
        i64x2_shuffle::<0, 2>(ab_high, cd_high),
        i64x2_shuffle::<1, 3>(ab_high, cd_high),
    ]
}

/// Bits 31 to 62 of four 64-bit lanes.
#[inline(always)]
fn high_halves(low: v128, high: v128) -> v128 {
    i32x4_shuffle::<0, 2, 4, 6>(u64x2_shr(low, 31), u64x2_shr(high, 31))
}

/// `⌊x / 2^shift + 1/2⌋`, without the half where `shift` is 0. No instruction shifts each lane by its own count, so lanes are
/// multiplied by `2^(31 - shift)` and all shifted by 31.
#[inline(always)]
fn round_shift(x: v128, shift: v128) -> v128 {
    // The power's negative, as a float that is then converted: `-2^31` is an integer of 32 bits, `2^31` is not.
    let exponent = i32x4_sub(i32x4_splat(127 + 31), v128_and(shift, i32x4_splat(31)));
    let power = i32x4_trunc_sat_f32x4(v128_or(i32x4_shl(exponent, 23), i32x4_splat(i32::MIN)));
    let half = i64x2_splat(1 << 30);
    high_halves(i64x2_sub(half, i64x2_extmul_low_i32x4(x, power)), i64x2_sub(half, i64x2_extmul_high_i32x4(x, power)))
}

impl Simd for Simd128 {
    type F32 = v128;
    type I32 = v128;
    type I16 = v128;
    type I8 = v128;
    const LANES: usize = 4;

    #[inline(never)]
    fn outline<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.eval(self)
    }
    #[inline(always)]
    fn prefetch<T>(self, _src: &[T], _at: usize) {}
    #[inline(always)]
    fn splat(self, x: f32) -> v128 {
        f32x4_splat(x)
    }
    #[inline(always)]
    fn load(self, src: &[f32]) -> v128 {
        read(src)
    }
    #[inline(always)]
    fn store(self, v: v128, dst: &mut [f32]) {
        write(v, dst);
    }
    #[inline(always)]
    fn load_partial(self, src: &[f32]) -> v128 {
        let mut lanes = [0.0; 4];
        for (lane, x) in lanes.iter_mut().zip(src) {
            *lane = *x;
        }
        self.load(&lanes)
    }
    #[inline(always)]
    fn store_partial(self, v: v128, dst: &mut [f32]) {
        let mut lanes = [0.0; 4];
        self.store(v, &mut lanes);
        for (x, lane) in dst.iter_mut().zip(lanes) {
            *x = lane;
        }
    }
    #[inline(always)]
    fn load_u8(self, src: &[u8]) -> v128 {
        let four = u32x4_splat(u32::from_le_bytes([src[0], src[1], src[2], src[3]]));
        f32x4_convert_i32x4(u32x4_extend_low_u16x8(u16x8_extend_low_u8x16(four)))
    }
    #[inline(always)]
    fn add(self, a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }
    #[inline(always)]
    fn sub(self, a: v128, b: v128) -> v128 {
        f32x4_sub(a, b)
    }
    #[inline(always)]
    fn mul(self, a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }
    #[inline(always)]
    fn div(self, a: v128, b: v128) -> v128 {
        f32x4_div(a, b)
    }
    #[inline(always)]
    fn mul_add(self, a: v128, b: v128, c: v128) -> v128 {
        f32x4_add(f32x4_mul(a, b), c)
    }
    #[cfg(feature = "train")]
    #[inline(always)]
    fn sqrt(self, a: v128) -> v128 {
        f32x4_sqrt(a)
    }
    #[inline(always)]
    fn select_lt(self, a: v128, b: v128, yes: v128, no: v128) -> v128 {
        v128_bitselect(yes, no, f32x4_lt(a, b))
    }
    #[inline(always)]
    fn relu(self, v: v128) -> v128 {
        f32x4_pmax(v, f32x4_splat(0.0)) // `v < 0 ? 0 : v`
    }
    #[inline(always)]
    fn clear_lt(self, a: v128, b: v128, v: v128) -> v128 {
        v128_andnot(v, f32x4_lt(a, b))
    }
    #[inline(always)]
    fn larger(self, best: v128, place_of_best: v128, v: v128, place: v128) -> (v128, v128) {
        let take = v128_or(f32x4_gt(v, best), f32x4_ne(v, v));
        (v128_bitselect(v, best, take), v128_bitselect(place, place_of_best, take))
    }
    #[inline(always)]
    fn even(self, a: v128, b: v128) -> v128 {
        i32x4_shuffle::<0, 2, 4, 6>(a, b)
    }
    #[inline(always)]
    fn exp2i(self, n: v128) -> v128 {
        // 1.5 · 2²³ leaves an integer in the low bits; converting instead takes some engines several instructions.
        i32x4_shl(f32x4_add(n, f32x4_splat(12_582_912.0 + 127.0)), 23)
    }
    #[inline(always)]
    fn sum(self, v: v128) -> f32 {
        let two = f32x4_add(v, i32x4_shuffle::<2, 3, 2, 3>(v, v));
        f32x4_extract_lane::<0>(two) + f32x4_extract_lane::<1>(two)
    }
    #[inline(always)]
    fn max_lane(self, v: v128) -> f32 {
        let two = f32x4_pmax(v, i32x4_shuffle::<2, 3, 2, 3>(v, v));
        f32x4_extract_lane::<0>(f32x4_pmax(two, i32x4_shuffle::<1, 1, 1, 1>(two, two)))
    }
    #[inline(always)]
    fn transpose<const R: usize>(self, rows: [v128; R], dst: &mut [f32], dst_stride: usize) {
        assert!(R <= 4);
        let mut square = [f32x4_splat(0.0); 4];
        square[..R].copy_from_slice(&rows);
        for (p, v) in columns(square).into_iter().enumerate() {
            self.store(v, &mut dst[p * dst_stride..]);
        }
    }
    #[inline(always)]
    fn load_f16(self, src: &[f16]) -> v128 {
        assert!(src.len() >= 4);
        // SAFETY: the assert gives four readable half floats, which are integers of 16 bits with a name.
        let bits = unsafe { u32x4_load_extend_u16x4(src.as_ptr().cast()) };
        // As `scalar::half_to_single`, four at a time.
        let magnitude = i32x4_shl(v128_and(bits, i32x4_splat(0x7fff)), 13);
        let finite = f32x4_mul(magnitude, f32x4_splat(f32::from_bits((127 + 112) << 23)));
        let infinite = i32x4_splat(0x7c00 << 13);
        let quiet = v128_and(i32x4_gt(magnitude, infinite), i32x4_splat(0x0040_0000));
        let special = v128_or(v128_or(magnitude, i32x4_splat(0x7f80_0000)), quiet);
        let sign = i32x4_shl(v128_and(bits, i32x4_splat(0x8000)), 16);
        v128_or(sign, v128_bitselect(special, finite, i32x4_ge(magnitude, infinite)))
    }
    #[inline(always)]
    fn load_f16_partial(self, src: &[f16]) -> v128 {
        let mut four = [f16::ZERO; 4];
        four[..src.len()].copy_from_slice(src);
        self.load_f16(&four)
    }
    #[inline(always)]
    fn store_f16(self, v: v128, dst: &mut [f16]) {
        let magnitude = v128_and(v, i32x4_splat(i32::MAX));
        // All from 2^16 on is infinite, and just below it the exponent rounds up to the full one.
        let bounded = i32x4_min(magnitude, i32x4_splat((127 + 16) << 23));
        // Ties go to even: half of the last place, less one where that place is even; then the bias becomes 15.
        let odd = v128_and(u32x4_shr(bounded, 13), i32x4_splat(1));
        let normal = u32x4_shr(i32x4_add(i32x4_add(bounded, odd), i32x4_splat(0xfff - (112 << 23))), 13);
        // The last place of numbers from 1/2 on is that of subnormal halves, 2^-24: the addition rounds.
        let subnormal = i32x4_sub(f32x4_add(bounded, f32x4_splat(0.5)), i32x4_splat(126 << 23));
        let finite = v128_bitselect(subnormal, normal, i32x4_lt(bounded, i32x4_splat((127 - 14) << 23)));
        let payload = v128_or(v128_and(u32x4_shr(magnitude, 13), i32x4_splat(0x03ff)), i32x4_splat(0x0200));
        let nan = v128_and(payload, i32x4_gt(magnitude, i32x4_splat(0x7f80_0000)));
        let sign = u32x4_shr(v128_andnot(v, i32x4_splat(i32::MAX)), 16);
        let four = v128_or(v128_or(finite, nan), sign);
        assert!(dst.len() >= 4);
        // SAFETY: the assert gives four writable half floats, eight bytes, which may lie anywhere.
        unsafe { v128_store64_lane::<0>(u16x8_narrow_i32x4(four, four), dst.as_mut_ptr().cast()) }
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> v128 {
        i32x4_splat(x)
    }
    #[inline(always)]
    fn load_i32(self, src: &[i32]) -> v128 {
        read(src)
    }
    #[inline(always)]
    fn store_i32(self, v: v128, dst: &mut [i32]) {
        write(v, dst);
    }
    #[inline(always)]
    fn store_i8(self, v: v128, dst: &mut [i8]) {
        let four = i8x16_shuffle::<0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12>(v, v);
        dst[..4].copy_from_slice(&i32x4_extract_lane::<0>(four).to_le_bytes().map(|byte| byte as i8));
    }
    #[inline(always)]
    fn sub_i32(self, a: v128, b: v128) -> v128 {
        i32x4_sub(a, b)
    }
    #[inline(always)]
    fn mul_i32(self, a: v128, b: v128) -> v128 {
        i32x4_mul(a, b)
    }
    #[inline(always)]
    fn shift_right_i32<const BITS: i32>(self, v: v128) -> v128 {
        i32x4_shr(v, BITS as u32)
    }
    #[inline(always)]
    fn add_i32(self, a: v128, b: v128) -> v128 {
        i32x4_add(a, b)
    }
    #[inline(always)]
    fn min_i32(self, a: v128, b: v128) -> v128 {
        i32x4_min(a, b)
    }
    #[inline(always)]
    fn max_i32(self, a: v128, b: v128) -> v128 {
        i32x4_max(a, b)
    }
    #[inline(always)]
    fn scale_i32(self, x: v128, multiplier: v128, shift: v128) -> v128 {
        // Where nothing is shifted after the product, the half is added to it.
        let whole = i32x4_eq(v128_and(shift, i32x4_splat(31)), i32x4_splat(0));
        let half = v128_and(whole, i32x4_splat(1 << 30));
        let low = i64x2_add(i64x2_extmul_low_i32x4(x, multiplier), u64x2_extend_low_u32x4(half));
        let high = i64x2_add(i64x2_extmul_high_i32x4(x, multiplier), u64x2_extend_high_u32x4(half));
        round_shift(high_halves(low, high), shift)
    }
    #[inline(always)]
    fn scale_down_i32(self, x: v128, multiplier: v128, shift: v128) -> v128 {
        // What the product loses by being shifted first is less than the half's last place.
        let product = high_halves(i64x2_extmul_low_i32x4(x, multiplier), i64x2_extmul_high_i32x4(x, multiplier));
        round_shift(product, shift)
    }
    #[inline(always)]
    fn sum_i32(self, v: v128) -> i32 {
        let two = i32x4_add(v, i32x4_shuffle::<2, 3, 2, 3>(v, v));
        i32x4_extract_lane::<0>(two).wrapping_add(i32x4_extract_lane::<1>(two))
    }
    #[inline(always)]
    fn sum_four(self, v: [v128; 4]) -> [i32; 4] {
        let mut sums = [0; 4];
        let [a, b, c, d] = columns(v);
        self.store_i32(i32x4_add(i32x4_add(a, b), i32x4_add(c, d)), &mut sums);
        sums
    }
    #[inline(always)]
    fn splat_pair(self, pair: [i16; 2]) -> v128 {
        i32x4_splat(bytemuck::cast(pair))
    }
    #[inline(always)]
    fn load_i16(self, src: &[i16]) -> v128 {
        read(src)
    }
    #[inline(always)]
    fn store_i16(self, v: v128, dst: &mut [i16]) {
        write(v, dst);
    }
    #[inline(always)]
    fn add_i16(self, a: v128, b: v128) -> v128 {
        i16x8_add(a, b)
    }
    #[inline(always)]
    fn sub_i16(self, a: v128, b: v128) -> v128 {
        i16x8_sub(a, b)
    }
    #[inline(always)]
    fn dot_pairs(self, a: v128, b: v128, acc: v128) -> v128 {
        i32x4_add(acc, i32x4_dot_i16x8(a, b))
    }
    #[inline(always)]
    fn interleave_pairs<const R: usize>(self, src: &[i8], stride: usize, dst: &mut [i16], dst_stride: usize) {
        assert!(R <= 4);
        let rows = Band::new(src, R, 8, stride);
        let mut square = [i32x4_splat(0); 4];
        for j in 0..R {
            let row = rows.row(j);
            assert!(row.len() >= 8);
            // SAFETY: the assert gives eight readable bytes.
            square[j] = unsafe { i16x8_load_extend_i8x8(row.as_ptr()) };
        }
        for (p, v) in columns(square).into_iter().enumerate() {
            self.store_i16(v, &mut dst[p * dst_stride..]);
        }
    }
    #[inline(always)]
    fn interleave_all(self, src: &[i8], stride: usize, dst: &mut [i16], dst_stride: usize) {
        self.interleave_pairs::<4>(src, stride, dst, dst_stride);
    }
    #[inline(always)]
    fn load_i8(self, src: &[i8]) -> v128 {
        read(src)
    }
    #[inline(always)]
    fn splat_quad(self, quad: [i8; 4]) -> v128 {
        i32x4_splat(bytemuck::cast(quad))
    }
    #[inline(always)]
    fn xor_i8(self, a: v128, b: v128) -> v128 {
        v128_xor(a, b)
    }
    #[inline(always)]
    fn dot_quads(self, x: v128, w: v128, acc: v128) -> v128 {
        // Odd bytes are the upper halves of 16-bit lanes, even bytes the lower ones: sums of their products stand in the right lanes, and
        // what several products share is widened once.
        let odd = i32x4_dot_i16x8(i16x8_shr(x, 8), i16x8_shr(w, 8));
        let even = i32x4_dot_i16x8(i16x8_shr(i16x8_shl(x, 8), 8), i16x8_shr(i16x8_shl(w, 8), 8));
        i32x4_add(acc, i32x4_add(odd, even))
    }
    #[inline(always)]
    fn interleave_quads<const R: usize>(self, src: &[i8], stride: usize, dst: &mut [i8], dst_stride: usize) {
        assert!(R <= 4);
        let rows = Band::new(src, R, 16, stride);
        let mut square = [i32x4_splat(0); 4];
        for j in 0..R {
            square[j] = self.load_i8(rows.row(j));
        }
        for (p, v) in columns(square).into_iter().enumerate() {
            write(v, &mut dst[p * dst_stride..]);
        }
    }
}

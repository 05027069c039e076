//! AVX-512 with VNNI: sixteen floats in a register, 32 registers, masks for what is not full, byte products summed in 32 bits.

use crate::kernels::arch::band::Band;
use crate::kernels::simd::{Kernel, Simd};
use core::arch::x86_64::*;
use half::f16;

/// Proof that this CPU has AVX-512 F, BW, VL, DQ and VNNI, AVX2, FMA and F16C: the field is private, so `detect` is the only source.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Avx512(());

impl Avx512 {
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(feature = "std")]
        let found = std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512vl")
            && std::is_x86_feature_detected!("avx512dq")
            && std::is_x86_feature_detected!("avx512vnni")
            && std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("fma")
            && std::is_x86_feature_detected!("f16c");
        #[cfg(not(feature = "std"))]
        let found = cfg!(all(
            target_feature = "avx512f",
            target_feature = "avx512bw",
            target_feature = "avx512vl",
            target_feature = "avx512dq",
            target_feature = "avx512vnni",
            target_feature = "avx2",
            target_feature = "fma",
            target_feature = "f16c"
        ));
        found.then_some(Self(()))
    }

    /// Compiles `kernel` with these instructions and runs it, in a function of its own.
    #[inline(always)]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")] // exactly what `detect` looks for
        #[inline(never)]
        fn enabled<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
            kernel.eval(simd)
        }
        // SAFETY: `self` exists, so `detect` found these features on this CPU.
        unsafe { enabled(self, kernel) }
    }

    /// The columns of sixteen rows.
    #[inline(always)]
    fn columns(self, r: [__m512; 16]) -> [__m512; 16] {
        let (mut pairs, mut fours, mut columns) = (r, r, r);
        // SAFETY: `self` proves AVX-512F; no memory is touched but the arrays.
        unsafe {
            // Pairs of rows interleave to pairs of columns, pairs of pairs to fours: quarter `q` of `fours[4i + c]` holds rows `4i` to
            // `4i + 3` of column `4q + c`. Then the quarters of four such registers change places.
            for i in 0..8 {
                pairs[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
                pairs[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
            }
            for i in 0..4 {
                let (lo01, hi01) = (pairs[4 * i], pairs[4 * i + 1]);
                let (lo23, hi23) = (pairs[4 * i + 2], pairs[4 * i + 3]);
                fours[4 * i] = _mm512_shuffle_ps::<0x44>(lo01, lo23);
                fours[4 * i + 1] = _mm512_shuffle_ps::<0xee>(lo01, lo23);
                fours[4 * i + 2] = _mm512_shuffle_ps::<0x44>(hi01, hi23);
                fours[4 * i + 3] = _mm512_shuffle_ps::<0xee>(hi01, hi23);
            }
            for c in 0..4 {
                let even_top = _mm512_shuffle_f32x4::<0x88>(fours[c], fours[4 + c]);
                let odd_top = _mm512_shuffle_f32x4::<0xdd>(fours[c], fours[4 + c]);
                let even_low = _mm512_shuffle_f32x4::<0x88>(fours[8 + c], fours[12 + c]);
                let odd_low = _mm512_shuffle_f32x4::<0xdd>(fours[8 + c], fours[12 + c]);
                columns[c] = _mm512_shuffle_f32x4::<0x88>(even_top, even_low);
                columns[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd_top, odd_low);
                columns[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even_top, even_low);
                columns[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd_top, odd_low);
            }
        }
        columns
    }

    /// The sum of the halves.
    #[inline(always)]
    fn eight(self, v: __m512i) -> __m256i {
        // SAFETY: `self` proves AVX-512F and AVX2; no memory is touched.
        unsafe { _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64::<1>(v)) }
    }
}

/// The first `n <= 16` lanes.
#[inline(always)]
const fn first(n: usize) -> __mmask16 {
    ((1_u32 << n) - 1) as __mmask16
}

impl Simd for Avx512 {
    type F32 = __m512;
    type I32 = __m512i;
    type I16 = __m512i;
    type I8 = __m512i;
    const LANES: usize = 16;

    #[inline(always)]
    fn outline<K: Kernel>(self, kernel: K) -> K::Output {
        self.run(kernel)
    }
    #[inline(always)]
    fn prefetch<T>(self, src: &[T], at: usize) {
        // SAFETY: a prefetch reads nothing and faults nowhere; `self` proves AVX-512F, hence SSE.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(src.as_ptr().wrapping_add(at).cast()) }
    }
    #[cfg(feature = "std")]
    #[inline(always)]
    fn prefetch_far<T>(self, src: &[T], at: usize) {
        // SAFETY: as for `prefetch`.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(src.as_ptr().wrapping_add(at).cast()) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, src: &[f32]) -> __m512 {
        assert!(src.len() >= 16);
        // SAFETY: the assert gives sixteen readable floats; `loadu` needs no alignment; `self` proves AVX-512F.
        unsafe { _mm512_loadu_ps(src.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: __m512, dst: &mut [f32]) {
        assert!(dst.len() >= 16);
        // SAFETY: the assert gives sixteen writable floats; `storeu` needs no alignment; `self` proves AVX-512F.
        unsafe { _mm512_storeu_ps(dst.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn load_partial(self, src: &[f32]) -> __m512 {
        assert!(src.len() <= 16);
        // SAFETY: only the lanes of the mask, as many as `src` has floats, are read; `self` proves AVX-512F.
        unsafe { _mm512_maskz_loadu_ps(first(src.len()), src.as_ptr()) }
    }
    #[inline(always)]
    fn store_partial(self, v: __m512, dst: &mut [f32]) {
        assert!(dst.len() < 16);
        // SAFETY: only the lanes of the mask, as many as `dst` has floats, are written; `self` proves AVX-512F.
        unsafe { _mm512_mask_storeu_ps(dst.as_mut_ptr(), first(dst.len()), v) }
    }
    #[inline(always)]
    fn load_u8(self, src: &[u8]) -> __m512 {
        assert!(src.len() >= 16);
        // SAFETY: the assert gives sixteen readable bytes; `loadu` needs no alignment; `self` proves AVX-512F.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(src.as_ptr().cast()))) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[cfg(feature = "train")]
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    fn select_lt(self, a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), no, yes) }
    }
    #[inline(always)]
    fn relu(self, v: __m512) -> __m512 {
        // Of a NaN and a number the second is taken.
        // SAFETY: `self` proves AVX-512; no memory is touched.
        unsafe { _mm512_max_ps(_mm512_setzero_ps(), v) }
    }
    #[inline(always)]
    fn larger(self, best: __m512, place_of_best: __m512i, v: __m512, place: __m512i) -> (__m512, __m512i) {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe {
            let take = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(v, best) | _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v);
            (_mm512_mask_blend_ps(take, best, v), _mm512_mask_blend_epi32(take, place_of_best, place))
        }
    }
    #[inline(always)]
    fn even(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe {
            // Lanes of `b` count from 16 on.
            let lanes = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            _mm512_permutex2var_ps(a, lanes, b)
        }
    }
    #[inline(always)]
    fn exp2i(self, n: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe {
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        }
    }
    #[inline(always)]
    fn sum(self, v: __m512) -> f32 {
        // SAFETY: `self` proves AVX-512F and DQ; no memory is touched.
        unsafe {
            let eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v));
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    fn max_lane(self, v: __m512) -> f32 {
        // SAFETY: `self` proves AVX-512F and DQ; no memory is touched.
        unsafe {
            let eight = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v));
            let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    fn transpose<const R: usize>(self, rows: [__m512; R], dst: &mut [f32], dst_stride: usize) {
        assert!(R <= 16);
        let mut r = [self.splat(0.0); 16];
        r[..R].copy_from_slice(&rows);
        let columns = self.columns(r);
        for p in 0..16 {
            self.store(columns[p], &mut dst[p * dst_stride..]);
        }
    }

    #[inline(always)]
    fn load_f16(self, src: &[f16]) -> __m512 {
        assert!(src.len() >= 16);
        // SAFETY: the assert gives sixteen readable half floats, 32 bytes; `loadu` needs no alignment; `self` proves AVX-512F.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(src.as_ptr().cast())) }
    }
    #[inline(always)]
    fn load_f16_partial(self, src: &[f16]) -> __m512 {
        assert!(src.len() <= 16);
        // SAFETY: only the lanes of the mask, as many as `src` has half floats, are read; `self` proves AVX-512F, BW and VL.
        unsafe { _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(src.len()), src.as_ptr().cast())) }
    }
    #[inline(always)]
    fn store_f16(self, v: __m512, dst: &mut [f16]) {
        assert!(dst.len() >= 16);
        // SAFETY: the assert gives sixteen writable half floats, 32 bytes; `storeu` needs no alignment; `self` proves AVX-512F.
        unsafe { _mm256_storeu_si256(dst.as_mut_ptr().cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v)) }
    }

    #[inline(always)]
    fn splat_i32(self, x: i32) -> __m512i {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_set1_epi32(x) }
    }
    #[inline(always)]
    fn load_i32(self, src: &[i32]) -> __m512i {
        assert!(src.len() >= 16);
        // SAFETY: the assert gives sixteen readable integers; `loadu` needs no alignment; `self` proves AVX-512F.
        unsafe { _mm512_loadu_si512(src.as_ptr().cast()) }
    }
    #[inline(always)]
    fn store_i32(self, v: __m512i, dst: &mut [i32]) {
        assert!(dst.len() >= 16);
        // SAFETY: the assert gives sixteen writable integers; `storeu` needs no alignment; `self` proves AVX-512F.
        unsafe { _mm512_storeu_si512(dst.as_mut_ptr().cast(), v) }
    }
    #[inline(always)]
    fn load_i32_partial(self, src: &[i32]) -> __m512i {
        assert!(src.len() <= 16);
        // SAFETY: only the lanes of the mask, as many as `src` has integers, are read; `self` proves AVX-512F.
        unsafe { _mm512_maskz_loadu_epi32(first(src.len()), src.as_ptr()) }
    }
    #[inline(always)]
    fn store_i32_partial(self, v: __m512i, dst: &mut [i32]) {
        assert!(dst.len() < 16);
        // SAFETY: only the lanes of the mask, as many as `dst` has integers, are written; `self` proves AVX-512F.
        unsafe { _mm512_mask_storeu_epi32(dst.as_mut_ptr(), first(dst.len()), v) }
    }
    #[inline(always)]
    fn store_i8(self, v: __m512i, dst: &mut [i8]) {
        assert!(dst.len() >= 16);
        // SAFETY: the assert gives sixteen writable bytes; `storeu` needs no alignment; `self` proves AVX-512F.
        unsafe { _mm_storeu_si128(dst.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(v)) }
    }
    #[inline(always)]
    fn store_i8_partial(self, v: __m512i, dst: &mut [i8]) {
        assert!(dst.len() < 16);
        // SAFETY: only the bytes of the mask, as many as `dst` has, are written; `self` proves AVX-512F, BW and VL.
        unsafe { _mm_mask_storeu_epi8(dst.as_mut_ptr(), first(dst.len()), _mm512_cvtepi32_epi8(v)) }
    }
    #[inline(always)]
    fn sub_i32(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_sub_epi32(a, b) }
    }
    #[inline(always)]
    fn mul_i32(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_mullo_epi32(a, b) }
    }
    #[inline(always)]
    fn shift_right_i32<const BITS: i32>(self, v: __m512i) -> __m512i {
        // The intrinsic for constants takes a `u32`, to which a const parameter cannot be cast; this compiles to the same instruction.
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_srav_epi32(v, _mm512_set1_epi32(BITS)) }
    }
    #[inline(always)]
    fn add_i32(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    fn min_i32(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_min_epi32(a, b) }
    }
    #[inline(always)]
    fn max_i32(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_max_epi32(a, b) }
    }
    #[inline(always)]
    fn scale_i32(self, x: __m512i, multiplier: __m512i, shift: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512F; no memory is touched but the arrays.
        unsafe {
            // Products are those of the even lanes. They stay below 2^62 and the half at most 2^61, so nothing overflows.
            let half = _mm512_set1_epi64(1 << 30);
            let low = _mm512_set1_epi64(31);
            let mut halves = [_mm512_setzero_si512(); 2];
            let odd = [_mm512_srli_epi64::<32>(x), _mm512_srli_epi64::<32>(multiplier), _mm512_srli_epi64::<32>(shift)];
            for (half_of, [x, multiplier, shift]) in halves.iter_mut().zip([[x, multiplier, shift], odd]) {
                let shift = _mm512_and_si512(shift, low); // the even lanes' 64 bits hold the odd lanes above
                let rounded = _mm512_add_epi64(_mm512_mul_epi32(x, multiplier), _mm512_sllv_epi64(half, shift));
                *half_of = _mm512_srav_epi64(rounded, _mm512_add_epi64(shift, low));
            }
            _mm512_mask_blend_epi32(0xaaaa, halves[0], _mm512_slli_epi64::<32>(halves[1]))
        }
    }
    #[inline(always)]
    fn scale_down_i32(self, x: __m512i, multiplier: __m512i, shift: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe {
            // As the half that is added before the shift is a multiple of 2^31, the product may lose its 31 lowest bits first; what is
            // left fits 32 bits. The last bit is kept for rounding: adding the half to the whole could overflow.
            let even = _mm512_mul_epi32(x, multiplier);
            let odd = _mm512_mul_epi32(_mm512_srli_epi64::<32>(x), _mm512_srli_epi64::<32>(multiplier));
            let (even, odd) = (_mm512_srli_epi64::<31>(even), _mm512_slli_epi64::<1>(odd));
            let high = _mm512_mask_blend_epi32(0xaaaa, even, odd);
            let one = _mm512_set1_epi32(1);
            let twice = _mm512_srav_epi32(high, _mm512_sub_epi32(shift, one));
            _mm512_srai_epi32::<1>(_mm512_add_epi32(twice, one))
        }
    }
    #[inline(always)]
    fn sum_i32(self, v: __m512i) -> i32 {
        let eight = self.eight(v);
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe {
            let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
            let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b1110>(four));
            _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b01>(two)))
        }
    }
    #[inline(always)]
    fn sum_four(self, v: [__m512i; 4]) -> [i32; 4] {
        let [a, b, c, d] = [self.eight(v[0]), self.eight(v[1]), self.eight(v[2]), self.eight(v[3])];
        // SAFETY: `self` proves AVX2; no memory is touched but the array.
        unsafe {
            let pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
            let four = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
            core::mem::transmute::<__m128i, [i32; 4]>(four)
        }
    }

    #[inline(always)]
    fn splat_pair(self, pair: [i16; 2]) -> __m512i {
        self.splat_i32(bytemuck::cast(pair))
    }
    #[inline(always)]
    fn load_i16(self, src: &[i16]) -> __m512i {
        assert!(src.len() >= 32);
        // SAFETY: the assert gives 32 readable integers; `loadu` needs no alignment; `self` proves AVX-512F.
        unsafe { _mm512_loadu_si512(src.as_ptr().cast()) }
    }
    #[inline(always)]
    fn store_i16(self, v: __m512i, dst: &mut [i16]) {
        assert!(dst.len() >= 32);
        // SAFETY: the assert gives 32 writable integers; `storeu` needs no alignment; `self` proves AVX-512F.
        unsafe { _mm512_storeu_si512(dst.as_mut_ptr().cast(), v) }
    }
    #[inline(always)]
    fn add_i16(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512BW; no memory is touched.
        unsafe { _mm512_add_epi16(a, b) }
    }
    #[inline(always)]
    fn sub_i16(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512BW; no memory is touched.
        unsafe { _mm512_sub_epi16(a, b) }
    }
    #[inline(always)]
    fn dot_pairs(self, a: __m512i, b: __m512i, acc: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 VNNI; no memory is touched.
        unsafe { _mm512_dpwssd_epi32(acc, a, b) } // `dpwssds` would saturate
    }
    #[inline(always)]
    fn interleave_pairs<const R: usize>(self, src: &[i8], stride: usize, dst: &mut [i16], dst_stride: usize) {
        assert!(R <= 16);
        let rows = Band::new(src, R, 32, stride);
        let mut r = [self.splat(0.0); 16];
        for j in 0..R {
            let row = rows.row(j);
            assert!(row.len() >= 32);
            // SAFETY: the assert gives 32 readable bytes; `loadu` needs no alignment; `self` proves AVX-512BW.
            r[j] = unsafe { _mm512_castsi512_ps(_mm512_cvtepi8_epi16(_mm256_loadu_si256(row.as_ptr().cast()))) };
        }
        // Pairs move as whole lanes: their bits as floats are never computed with.
        for (p, v) in self.columns(r).into_iter().enumerate() {
            let dst = &mut dst[p * dst_stride..];
            assert!(dst.len() >= 32);
            // SAFETY: the assert gives 32 writable integers; `storeu` needs no alignment; `self` proves AVX-512F.
            unsafe { _mm512_storeu_si512(dst.as_mut_ptr().cast(), _mm512_castps_si512(v)) }
        }
    }
    #[inline(always)]
    fn interleave_all(self, src: &[i8], stride: usize, dst: &mut [i16], dst_stride: usize) {
        self.interleave_pairs::<16>(src, stride, dst, dst_stride);
    }

    #[inline(always)]
    fn load_i8(self, src: &[i8]) -> __m512i {
        assert!(src.len() >= 64);
        // SAFETY: the assert gives 64 readable bytes; `loadu` needs no alignment; `self` proves AVX-512F.
        unsafe { _mm512_loadu_si512(src.as_ptr().cast()) }
    }
    #[inline(always)]
    fn splat_quad(self, quad: [i8; 4]) -> __m512i {
        self.splat_i32(bytemuck::cast(quad))
    }
    #[inline(always)]
    fn xor_i8(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512F; no memory is touched.
        unsafe { _mm512_xor_si512(a, b) }
    }
    const UNSIGNED: bool = true;
    #[inline(always)]
    fn dot_quads(self, x: __m512i, w: __m512i, acc: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 VNNI; no memory is touched.
        unsafe { _mm512_dpbusd_epi32(acc, x, w) } // `dpbusds` would saturate
    }
    #[inline(always)]
    fn interleave_quads<const R: usize>(self, src: &[i8], stride: usize, dst: &mut [i8], dst_stride: usize) {
        assert!(R <= 16);
        let rows = Band::new(src, R, 64, stride);
        let mut r = [self.splat(0.0); 16];
        for j in 0..R {
            let row = rows.row(j);
            assert!(row.len() >= 64);
            // SAFETY: the assert gives 64 readable bytes; `loadu` needs no alignment; `self` proves AVX-512F.
            r[j] = unsafe { _mm512_castsi512_ps(_mm512_loadu_si512(row.as_ptr().cast())) };
        }
        for (p, v) in self.columns(r).into_iter().enumerate() {
            let dst = &mut dst[p * dst_stride..];
            assert!(dst.len() >= 64);
            // SAFETY: the assert gives 64 writable bytes; `storeu` needs no alignment; `self` proves AVX-512F.
            unsafe { _mm512_storeu_si512(dst.as_mut_ptr().cast(), _mm512_castps_si512(v)) }
        }
    }
}

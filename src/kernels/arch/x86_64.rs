//! AVX2 with FMA and F16C: eight floats in a register, two fused multiply-adds a cycle.

use crate::kernels::arch::avx512::Avx512;
use crate::kernels::arch::band::Band;
use crate::kernels::simd::{Kernel, Simd};
use core::arch::x86_64::*;
use half::f16;

/// Proof that this CPU has AVX2, FMA and F16C: the field is private, so its sources are `detect` and a proof of AVX-512, which is one of
/// these features too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Avx2(());

impl From<Avx512> for Avx2 {
    #[inline]
    fn from(_: Avx512) -> Self {
        Self(()) // `Avx512::detect` looks for AVX2, FMA and F16C
    }
}

impl Avx2 {
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(feature = "std")]
        let found = std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("fma")
            && std::is_x86_feature_detected!("f16c");
        #[cfg(not(feature = "std"))]
        let found = cfg!(all(target_feature = "avx2", target_feature = "fma", target_feature = "f16c"));
        found.then_some(Self(()))
    }

    /// Compiles `kernel` with AVX2, FMA and F16C and runs it, in a function of its own.
    #[inline(always)]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,f16c")] // exactly what `detect` looks for
        #[inline(never)]
        fn enabled<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
            kernel.eval(simd)
        }
        // SAFETY: `self` exists, so `detect` found these features on this CPU.
        unsafe { enabled(self, kernel) }
    }

    /// The columns of eight rows.
    #[inline(always)]
    fn columns(self, r: [__m256; 8]) -> [__m256; 8] {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe {
            // Pairs of rows interleave to pairs of columns, pairs of pairs to quarters, and the halves change places.
            let lo01 = _mm256_unpacklo_ps(r[0], r[1]);
            let hi01 = _mm256_unpackhi_ps(r[0], r[1]);
            let lo23 = _mm256_unpacklo_ps(r[2], r[3]);
            let hi23 = _mm256_unpackhi_ps(r[2], r[3]);
            let lo45 = _mm256_unpacklo_ps(r[4], r[5]);
            let hi45 = _mm256_unpackhi_ps(r[4], r[5]);
            let lo67 = _mm256_unpacklo_ps(r[6], r[7]);
            let hi67 = _mm256_unpackhi_ps(r[6], r[7]);
            let a04 = _mm256_shuffle_ps::<0x44>(lo01, lo23);
            let a15 = _mm256_shuffle_ps::<0xee>(lo01, lo23);
            let a26 = _mm256_shuffle_ps::<0x44>(hi01, hi23);
            let a37 = _mm256_shuffle_ps::<0xee>(hi01, hi23);
            let b04 = _mm256_shuffle_ps::<0x44>(lo45, lo67);
            let b15 = _mm256_shuffle_ps::<0xee>(lo45, lo67);
            let b26 = _mm256_shuffle_ps::<0x44>(hi45, hi67);
            let b37 = _mm256_shuffle_ps::<0xee>(hi45, hi67);
            [
                _mm256_permute2f128_ps::<0x20>(a04, b04),
                _mm256_permute2f128_ps::<0x20>(a15, b15),
                _mm256_permute2f128_ps::<0x20>(a26, b26),
                _mm256_permute2f128_ps::<0x20>(a37, b37),
                _mm256_permute2f128_ps::<0x31>(a04, b04),
                _mm256_permute2f128_ps::<0x31>(a15, b15),
                _mm256_permute2f128_ps::<0x31>(a26, b26),
                _mm256_permute2f128_ps::<0x31>(a37, b37),
            ]
        }
    }
}

/// Row `8 - n` starts a mask whose first `n` lanes are set.
static MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

impl Simd for Avx2 {
    type F32 = __m256;
    type I32 = __m256i;
    type I16 = __m256i;
    type I8 = __m256i;
    const LANES: usize = 8;

    #[inline(always)]
    fn outline<K: Kernel>(self, kernel: K) -> K::Output {
        self.run(kernel)
    }
    #[inline(always)]
    fn prefetch<T>(self, src: &[T], at: usize) {
        // SAFETY: a prefetch reads nothing and faults nowhere; `self` proves AVX2, hence SSE.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(src.as_ptr().wrapping_add(at).cast()) }
    }
    #[cfg(feature = "std")]
    #[inline(always)]
    fn prefetch_far<T>(self, src: &[T], at: usize) {
        // SAFETY: as for `prefetch`.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(src.as_ptr().wrapping_add(at).cast()) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, src: &[f32]) -> __m256 {
        assert!(src.len() >= 8);
        // SAFETY: the assert gives eight readable floats; `loadu` needs no alignment; `self` proves AVX2.
        unsafe { _mm256_loadu_ps(src.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: __m256, dst: &mut [f32]) {
        assert!(dst.len() >= 8);
        // SAFETY: the assert gives eight writable floats; `storeu` needs no alignment; `self` proves AVX2.
        unsafe { _mm256_storeu_ps(dst.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn load_partial(self, src: &[f32]) -> __m256 {
        assert!(src.len() <= 8);
        // SAFETY: the mask starts at 8 - len, at most 8 before the end of its sixteen; only the lanes it sets, `len` of them,
        // are read from `src`; `self` proves AVX2.
        unsafe {
            let mask = _mm256_loadu_si256(MASK.as_ptr().add(8 - src.len()).cast());
            _mm256_maskload_ps(src.as_ptr(), mask)
        }
    }
    #[inline(always)]
    fn store_partial(self, v: __m256, dst: &mut [f32]) {
        let n = dst.len();
        assert!(n < 8);
        // A masked store takes some twenty cycles on Zen; halves take three.
        // SAFETY: 4 + 2 + 1 floats are written only where the bits of `n`, the length of `dst`, say that they fit, each after
        // the ones before it; `self` proves AVX2.
        unsafe {
            let mut at = dst.as_mut_ptr();
            let mut low = _mm256_castps256_ps128(v);
            if n & 4 != 0 {
                _mm_storeu_ps(at, low);
                at = at.add(4);
                low = _mm256_extractf128_ps::<1>(v);
            }
            if n & 2 != 0 {
                _mm_storel_pd(at.cast(), _mm_castps_pd(low));
                at = at.add(2);
                low = _mm_movehl_ps(low, low);
            }
            if n & 1 != 0 {
                _mm_store_ss(at, low);
            }
        }
    }
    #[inline(always)]
    fn load_u8(self, src: &[u8]) -> __m256 {
        assert!(src.len() >= 8);
        // SAFETY: the assert gives eight readable bytes; `self` proves AVX2.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(src.as_ptr().cast()))) }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: `self` proves FMA; no memory is touched.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[cfg(feature = "train")]
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    fn select_lt(self, a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)) }
    }
    #[inline(always)]
    fn relu(self, v: __m256) -> __m256 {
        // Of a NaN and a number the second is taken.
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_max_ps(_mm256_setzero_ps(), v) }
    }
    #[inline(always)]
    fn clear_lt(self, a: __m256, b: __m256, v: __m256) -> __m256 {
        // The compiler would see through a mask, and store by it; it does not see through the sign instruction: times 0 or times 1.
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe {
            let below = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b));
            let keep = _mm256_add_epi32(below, _mm256_set1_epi32(1));
            _mm256_castsi256_ps(_mm256_sign_epi32(_mm256_castps_si256(v), keep))
        }
    }
    #[inline(always)]
    fn larger(self, best: __m256, place_of_best: __m256i, v: __m256, place: __m256i) -> (__m256, __m256i) {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe {
            let take = _mm256_or_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(v, best), _mm256_cmp_ps::<_CMP_UNORD_Q>(v, v));
            let places = _mm256_blendv_epi8(place_of_best, place, _mm256_castps_si256(take));
            (_mm256_blendv_ps(best, v, take), places)
        }
    }
    #[inline(always)]
    fn even(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe {
            // Within halves first: a0 a2 b0 b2 | a4 a6 b4 b6; then the quarters in order.
            let halves = _mm256_castps_pd(_mm256_shuffle_ps::<0b1000_1000>(a, b));
            _mm256_castpd_ps(_mm256_permute4x64_pd::<0b1101_1000>(halves))
        }
    }
    #[inline(always)]
    fn exp2i(self, n: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe {
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        }
    }
    #[inline(always)]
    fn sum(self, v: __m256) -> f32 {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    fn max_lane(self, v: __m256) -> f32 {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    fn transpose<const R: usize>(self, rows: [__m256; R], dst: &mut [f32], dst_stride: usize) {
        assert!(R <= 8);
        let mut r = [self.splat(0.0); 8];
        r[..R].copy_from_slice(&rows);
        let columns = self.columns(r);
        for p in 0..8 {
            self.store(columns[p], &mut dst[p * dst_stride..]);
        }
    }
    #[inline(always)]
    fn load_f16(self, src: &[f16]) -> __m256 {
        assert!(src.len() >= 8);
        // SAFETY: the assert gives eight readable half floats, 16 bytes; `loadu` needs no alignment; `self` proves F16C.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(src.as_ptr().cast())) }
    }
    #[inline(always)]
    fn load_f16_partial(self, src: &[f16]) -> __m256 {
        let mut eight = [f16::ZERO; 8];
        eight[..src.len()].copy_from_slice(src);
        self.load_f16(&eight)
    }
    #[inline(always)]
    fn store_f16(self, v: __m256, dst: &mut [f16]) {
        assert!(dst.len() >= 8);
        // SAFETY: the assert gives eight writable half floats, 16 bytes; `storeu` needs no alignment; `self` proves F16C.
        unsafe { _mm_storeu_si128(dst.as_mut_ptr().cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v)) }
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_set1_epi32(x) }
    }
    #[inline(always)]
    fn load_i32(self, src: &[i32]) -> __m256i {
        assert!(src.len() >= 8);
        // SAFETY: the assert gives eight readable integers; `loadu` needs no alignment; `self` proves AVX2.
        unsafe { _mm256_loadu_si256(src.as_ptr().cast()) }
    }
    #[inline(always)]
    fn store_i32(self, v: __m256i, dst: &mut [i32]) {
        assert!(dst.len() >= 8);
        // SAFETY: the assert gives eight writable integers; `storeu` needs no alignment; `self` proves AVX2.
        unsafe { _mm256_storeu_si256(dst.as_mut_ptr().cast(), v) }
    }
    #[inline(always)]
    fn load_i32_partial(self, src: &[i32]) -> __m256i {
        assert!(src.len() <= 8);
        // SAFETY: the mask starts at 8 - len, at most 8 before the end of its sixteen; only the lanes it sets, `len` of them,
        // are read from `src`; `self` proves AVX2.
        unsafe {
            let mask = _mm256_loadu_si256(MASK.as_ptr().add(8 - src.len()).cast());
            _mm256_maskload_epi32(src.as_ptr(), mask)
        }
    }
    #[inline(always)]
    fn store_i8(self, v: __m256i, dst: &mut [i8]) {
        assert!(dst.len() >= 8);
        // SAFETY: the assert gives eight writable bytes; `storel` needs no alignment; `self` proves AVX2.
        unsafe {
            // The low bytes of each half to its first four, then the two fours side by side.
            let low = _mm256_set1_epi32(0x0c08_0400);
            let fours = _mm256_shuffle_epi8(v, low);
            let eight = _mm256_permutevar8x32_epi32(fours, _mm256_setr_epi32(0, 4, 0, 0, 0, 0, 0, 0));
            _mm_storel_epi64(dst.as_mut_ptr().cast(), _mm256_castsi256_si128(eight));
        }
    }
    #[inline(always)]
    fn store_clamped<const N: usize>(self, v: [__m256i; N], zero_point: i32, clamp: (i32, i32), dst: &mut [i8]) {
        assert!(dst.len() >= 8 * N);
        for j in (0..N).step_by(2) {
            let both = j + 1 < N;
            // SAFETY: the assert gives eight writable bytes for each register, and sixteen are written from the eighth part of them on
            // only where two registers are left; the stores need no alignment; `self` proves AVX2.
            unsafe {
                // Narrowing to 16 bits, adding there and narrowing to 8 bits all stop at their ends, which lie at those of a byte or beyond.
                let narrow = _mm256_packs_epi32(v[j], v[if both { j + 1 } else { j }]);
                let moved = _mm256_adds_epi16(narrow, _mm256_set1_epi16(zero_point as i16));
                let bytes = _mm256_packs_epi16(moved, moved);
                let bytes = _mm256_min_epi8(bytes, _mm256_set1_epi8(clamp.1 as i8));
                let bytes = _mm256_max_epi8(bytes, _mm256_set1_epi8(clamp.0 as i8));
                // Fours of the first and the second register in each half.
                let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
                let sixteen = _mm_unpacklo_epi32(low, high);
                let at = dst.as_mut_ptr().add(8 * j).cast();
                if both {
                    _mm_storeu_si128(at, sixteen);
                } else {
                    _mm_storel_epi64(at, sixteen);
                }
            }
        }
    }
    #[inline(always)]
    fn add_i32(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_add_epi32(a, b) }
    }
    #[inline(always)]
    fn min_i32(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_min_epi32(a, b) }
    }
    #[inline(always)]
    fn max_i32(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_max_epi32(a, b) }
    }
    #[inline(always)]
    fn scale_i32(self, x: __m256i, multiplier: __m256i, shift: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe {
            // AVX2 multiplies the even lanes, and shifts 64 bits only without sign: 2^62 is added before and taken off after.
            let offset = _mm256_set1_epi64x(1 << 62);
            let half = _mm256_set1_epi64x(1 << 30);
            let low = _mm256_set1_epi64x(31);
            let mut halves = [_mm256_setzero_si256(); 2];
            let odd = [x, multiplier, shift];
            let odd =
                [_mm256_srli_epi64::<32>(odd[0]), _mm256_srli_epi64::<32>(odd[1]), _mm256_srli_epi64::<32>(odd[2])];
            for (half_of, [x, multiplier, shift]) in halves.iter_mut().zip([[x, multiplier, shift], odd]) {
                let shift = _mm256_and_si256(shift, low); // the even lanes' 64 bits hold the odd lanes above
                let product = _mm256_mul_epi32(x, multiplier);
                let rounded = _mm256_add_epi64(product, _mm256_sllv_epi64(half, shift));
                let shift = _mm256_add_epi64(shift, low);
                let shifted = _mm256_srlv_epi64(_mm256_add_epi64(rounded, offset), shift);
                *half_of = _mm256_sub_epi64(shifted, _mm256_srlv_epi64(offset, shift));
            }
            _mm256_blend_epi32::<0b1010_1010>(halves[0], _mm256_slli_epi64::<32>(halves[1]))
        }
    }
    #[inline(always)]
    fn scale_down_i32(self, x: __m256i, multiplier: __m256i, shift: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe {
            // As the half that is added before the shift is a multiple of 2^31, the product may lose its 31 lowest bits first; what is
            // left fits 32 bits. The last bit is kept for rounding: adding the half to the whole could overflow.
            let even = _mm256_mul_epi32(x, multiplier);
            let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(x), _mm256_srli_epi64::<32>(multiplier));
            let (even, odd) = (_mm256_srli_epi64::<31>(even), _mm256_slli_epi64::<1>(odd));
            let high = _mm256_blend_epi32::<0b1010_1010>(even, odd);
            let one = _mm256_set1_epi32(1);
            let twice = _mm256_srav_epi32(high, _mm256_sub_epi32(shift, one));
            _mm256_srai_epi32::<1>(_mm256_add_epi32(twice, one))
        }
    }
    #[inline(always)]
    fn sum_i32(self, v: __m256i) -> i32 {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe {
            let four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
            let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b1110>(four));
            _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b01>(two)))
        }
    }
    #[inline(always)]
    fn sum_four(self, v: [__m256i; 4]) -> [i32; 4] {
        // SAFETY: `self` proves AVX2; no memory is touched but the array.
        unsafe {
            let pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
            let four = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
            core::mem::transmute::<__m128i, [i32; 4]>(four)
        }
    }
    #[inline(always)]
    fn splat_pair(self, pair: [i16; 2]) -> __m256i {
        self.splat_i32(bytemuck::cast(pair))
    }
    #[inline(always)]
    fn load_i16(self, src: &[i16]) -> __m256i {
        assert!(src.len() >= 16);
        // SAFETY: the assert gives sixteen readable integers; `loadu` needs no alignment; `self` proves AVX2.
        unsafe { _mm256_loadu_si256(src.as_ptr().cast()) }
    }
    #[inline(always)]
    fn sub_i32(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_sub_epi32(a, b) }
    }
    #[inline(always)]
    fn mul_i32(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_mullo_epi32(a, b) }
    }
    #[inline(always)]
    fn shift_right_i32<const BITS: i32>(self, v: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_srai_epi32::<BITS>(v) }
    }
    #[inline(always)]
    fn store_i16(self, v: __m256i, dst: &mut [i16]) {
        assert!(dst.len() >= 16);
        // SAFETY: the assert gives sixteen writable integers; `storeu` needs no alignment; `self` proves AVX2.
        unsafe { _mm256_storeu_si256(dst.as_mut_ptr().cast(), v) }
    }
    #[inline(always)]
    fn add_i16(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_add_epi16(a, b) }
    }
    #[inline(always)]
    fn sub_i16(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_sub_epi16(a, b) }
    }
    #[inline(always)]
    fn dot_pairs(self, a: __m256i, b: __m256i, acc: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_add_epi32(acc, _mm256_madd_epi16(a, b)) }
    }
    #[inline(always)]
    fn interleave_pairs<const R: usize>(self, src: &[i8], stride: usize, dst: &mut [i16], dst_stride: usize) {
        assert!(R <= 8);
        let rows = Band::new(src, R, 16, stride);
        let mut r = [self.splat(0.0); 8];
        for j in 0..R {
            let row = rows.row(j);
            assert!(row.len() >= 16);
            // SAFETY: the assert gives sixteen readable bytes; `loadu` needs no alignment; `self` proves AVX2.
            r[j] = unsafe { _mm256_castsi256_ps(_mm256_cvtepi8_epi16(_mm_loadu_si128(row.as_ptr().cast()))) };
        }
        // Pairs move as whole lanes: their bits as floats are never computed with.
        for (p, v) in self.columns(r).into_iter().enumerate() {
            let dst = &mut dst[p * dst_stride..];
            assert!(dst.len() >= 16);
            // SAFETY: the assert gives sixteen writable integers; `storeu` needs no alignment; `self` proves AVX2.
            unsafe { _mm256_storeu_si256(dst.as_mut_ptr().cast(), _mm256_castps_si256(v)) }
        }
    }
    #[inline(always)]
    fn interleave_all(self, src: &[i8], stride: usize, dst: &mut [i16], dst_stride: usize) {
        self.interleave_pairs::<8>(src, stride, dst, dst_stride);
    }
    #[inline(always)]
    fn load_i8(self, src: &[i8]) -> __m256i {
        assert!(src.len() >= 32);
        // SAFETY: the assert gives 32 readable bytes; `loadu` needs no alignment; `self` proves AVX2.
        unsafe { _mm256_loadu_si256(src.as_ptr().cast()) }
    }
    #[inline(always)]
    fn splat_quad(self, quad: [i8; 4]) -> __m256i {
        self.splat_i32(bytemuck::cast(quad))
    }
    #[inline(always)]
    fn xor_i8(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_xor_si256(a, b) }
    }
    const UNSIGNED: bool = true;
    const NARROW: bool = true;
    #[inline(always)]
    fn dot_quads(self, x: __m256i, w: __m256i, acc: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; no memory is touched.
        unsafe { _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1))) }
    }
    #[inline(always)]
    fn interleave_quads<const R: usize>(self, src: &[i8], stride: usize, dst: &mut [i8], dst_stride: usize) {
        assert!(R <= 8);
        let rows = Band::new(src, R, 32, stride);
        let mut r = [self.splat(0.0); 8];
        for j in 0..R {
            let row = rows.row(j);
            assert!(row.len() >= 32);
            // SAFETY: the assert gives 32 readable bytes; `loadu` needs no alignment; `self` proves AVX2.
            r[j] = unsafe { _mm256_castsi256_ps(_mm256_loadu_si256(row.as_ptr().cast())) };
        }
        for (p, v) in self.columns(r).into_iter().enumerate() {
            let dst = &mut dst[p * dst_stride..];
            assert!(dst.len() >= 32);
            // SAFETY: the assert gives 32 writable bytes; `storeu` needs no alignment; `self` proves AVX2.
            unsafe { _mm256_storeu_si256(dst.as_mut_ptr().cast(), _mm256_castps_si256(v)) }
        }
    }
}

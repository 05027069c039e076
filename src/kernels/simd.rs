//! The two traits between an algorithm and an instruction set: [`Simd`] is the set, [`Kernel`] the work compiled for it.

use super::piece::piece;
use half::f16;

/// One instruction set: a register of `LANES` floats and what it can do with them.
///
/// A value of an implementing type is the proof that the CPU has the instructions. Every method is `#[inline(always)]`,
/// so that it is compiled inside the one function that enabled them.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// A register of floats.
    type F32: Copy;
    /// A register of as many 32-bit integers.
    type I32: Copy;
    /// A register of twice as many 16-bit integers.
    type I16: Copy;
    /// A register of four times as many bytes.
    type I8: Copy;
    /// Floats in a register.
    const LANES: usize;

    /// Runs `kernel` in a function of its own: registers are allotted function by function, so a loop that needs them all must not
    /// share one with other code.
    fn outline<K: Kernel>(self, kernel: K) -> K::Output;

    /// Asks for the cache line of element `at`, inside `src` or not, where the instruction set can ask.
    fn prefetch<T>(self, src: &[T], at: usize);
    /// The same into the second cache, for what is read later: more of such requests can be under way. Where there is no such hint, nothing.
    #[cfg(feature = "std")]
    #[inline(always)]
    fn prefetch_far<T>(self, _src: &[T], _at: usize) {}

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F32;
    /// The first `LANES` elements. Panics if there are fewer.
    fn load(self, src: &[f32]) -> Self::F32;
    /// Writes the first `LANES` elements. Panics if there are fewer.
    fn store(self, v: Self::F32, dst: &mut [f32]);
    /// `src` (shorter than a register) in the low lanes, zero in the others.
    fn load_partial(self, src: &[f32]) -> Self::F32;
    /// Writes the low lanes to all of `dst` (shorter than a register).
    fn store_partial(self, v: Self::F32, dst: &mut [f32]);
    /// The first `LANES` bytes as floats. Panics if there are fewer.
    fn load_u8(self, src: &[u8]) -> Self::F32;

    /// `a + b`
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a - b`
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b`
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a / b`, correctly rounded.
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`, rounded once where the instruction set fuses, twice elsewhere.
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// Square root, correctly rounded.
    #[cfg(feature = "train")]
    fn sqrt(self, a: Self::F32) -> Self::F32;
    /// `a < b` per lane: `yes` there, `no` elsewhere (also where either is NaN).
    fn select_lt(self, a: Self::F32, b: Self::F32, yes: Self::F32, no: Self::F32) -> Self::F32;
    /// `max(v, 0)`; NaN stays. Its own operation, as a select that is stored where it was loaded becomes a masked store, which takes AMD
    /// some twenty cycles.
    #[inline(always)]
    fn relu(self, v: Self::F32) -> Self::F32 {
        let zero = self.splat(0.0);
        self.select_lt(v, zero, zero, v)
    }
    /// 0 where `a < b`, `v` elsewhere (also where either is NaN): for results that are stored where `v` was loaded, as `relu`'s are.
    #[inline(always)]
    fn clear_lt(self, a: Self::F32, b: Self::F32, v: Self::F32) -> Self::F32 {
        self.select_lt(a, b, self.splat(0.0), v)
    }
    /// The larger of two and what belongs to it: `(v, place)` where `v > best` or `v` is NaN, `(best, place_of_best)` elsewhere.
    fn larger(
        self,
        best: Self::F32,
        place_of_best: Self::I32,
        v: Self::F32,
        place: Self::I32,
    ) -> (Self::F32, Self::I32);
    /// Every second lane from the first on, of two registers side by side.
    fn even(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `2^n` for integral `n` in `-126..=127`, given as floats.
    fn exp2i(self, n: Self::F32) -> Self::F32;
    /// The sum of all lanes, always in the same order: halves are added until one lane is left.
    fn sum(self, v: Self::F32) -> f32;
    /// The largest lane, for registers without NaN.
    fn max_lane(self, v: Self::F32) -> f32;
    /// Transposes `R <= LANES` rows: row `p` of `dst` (`dst_stride` apart) holds lane `p` of every one of them, and zeros or leftovers
    /// from `R` on. Every row of `dst` is written `LANES` wide, in order.
    fn transpose<const R: usize>(self, rows: [Self::F32; R], dst: &mut [f32], dst_stride: usize);

    /// The first `LANES` half floats, exactly. Panics if there are fewer.
    fn load_f16(self, src: &[f16]) -> Self::F32;
    /// `src` (shorter than a register) in the low lanes, zero in the others.
    fn load_f16_partial(self, src: &[f16]) -> Self::F32;
    /// Writes the first `LANES` elements, rounded to nearest, ties to even. Panics if there are fewer.
    fn store_f16(self, v: Self::F32, dst: &mut [f16]);

    /// All lanes `x`.
    fn splat_i32(self, x: i32) -> Self::I32;
    /// The first `LANES` elements. Panics if there are fewer.
    fn load_i32(self, src: &[i32]) -> Self::I32;
    /// Writes the first `LANES` elements. Panics if there are fewer.
    fn store_i32(self, v: Self::I32, dst: &mut [i32]);
    /// `src` (shorter than a register) in the low lanes, zero in the others.
    #[inline(always)]
    fn load_i32_partial(self, src: &[i32]) -> Self::I32 {
        let mut whole = [0; MAX_LANES];
        whole[..src.len()].copy_from_slice(src);
        self.load_i32(&whole)
    }
    /// Writes the low lanes to all of `dst` (shorter than a register).
    #[inline(always)]
    fn store_i32_partial(self, v: Self::I32, dst: &mut [i32]) {
        let mut whole = [0; MAX_LANES];
        self.store_i32(v, &mut whole);
        dst.copy_from_slice(&whole[..dst.len()]);
    }
    /// Writes the low byte of every lane. Panics if `dst` holds fewer.
    fn store_i8(self, v: Self::I32, dst: &mut [i8]);
    /// Writes the low bytes of the low lanes to all of `dst` (shorter than a register).
    #[inline(always)]
    fn store_i8_partial(self, v: Self::I32, dst: &mut [i8]) {
        let mut whole = [0; MAX_LANES];
        self.store_i8(v, &mut whole);
        dst.copy_from_slice(&whole[..dst.len()]);
    }
    /// Writes `max(low, min(high, v + zero_point))` of `N` registers as bytes, for a `zero_point` and a `clamp = (low, high)` that are bytes;
    /// the sum does not wrap. Panics if `dst` holds fewer.
    #[inline(always)]
    fn store_clamped<const N: usize>(self, v: [Self::I32; N], zero_point: i32, clamp: (i32, i32), dst: &mut [i8]) {
        // Clamped before the zero point is added: the sum of both may need more than 32 bits.
        let (low, high) = (self.splat_i32(clamp.0 - zero_point), self.splat_i32(clamp.1 - zero_point));
        for j in 0..N {
            let clamped = self.min_i32(self.max_i32(v[j], low), high);
            self.store_i8(self.add_i32(clamped, self.splat_i32(zero_point)), &mut dst[j * Self::LANES..]);
        }
    }
    /// `a - b`, wrapping.
    fn sub_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// The low 32 bits of `a * b`.
    fn mul_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// `⌊v / 2^BITS⌋`
    fn shift_right_i32<const BITS: i32>(self, v: Self::I32) -> Self::I32;
    /// `a + b`, wrapping.
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// The smaller of the two.
    fn min_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// The larger of the two.
    fn max_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// `⌊x · multiplier / 2^(31 + shift) + 1/2⌋` by a product of 64 bits; multipliers are not negative, shifts 0 to 31.
    fn scale_i32(self, x: Self::I32, multiplier: Self::I32, shift: Self::I32) -> Self::I32;
    /// The same for shifts of at least 1, which some sets do faster.
    #[inline(always)]
    fn scale_down_i32(self, x: Self::I32, multiplier: Self::I32, shift: Self::I32) -> Self::I32 {
        self.scale_i32(x, multiplier, shift)
    }
    /// The sum of all lanes, wrapping.
    fn sum_i32(self, v: Self::I32) -> i32;
    /// The sums of the lanes of four registers, wrapping.
    #[inline(always)]
    fn sum_four(self, v: [Self::I32; 4]) -> [i32; 4] {
        [self.sum_i32(v[0]), self.sum_i32(v[1]), self.sum_i32(v[2]), self.sum_i32(v[3])]
    }

    /// All pairs of lanes `pair`.
    fn splat_pair(self, pair: [i16; 2]) -> Self::I16;
    /// The first `2 · LANES` elements. Panics if there are fewer.
    fn load_i16(self, src: &[i16]) -> Self::I16;
    /// Writes the first `2 · LANES` elements. Panics if there are fewer.
    fn store_i16(self, v: Self::I16, dst: &mut [i16]);
    /// `a + b`, wrapping.
    fn add_i16(self, a: Self::I16, b: Self::I16) -> Self::I16;
    /// `a - b`, wrapping.
    fn sub_i16(self, a: Self::I16, b: Self::I16) -> Self::I16;
    /// `acc[i] + a[2i] · b[2i] + a[2i + 1] · b[2i + 1]`, wrapping.
    fn dot_pairs(self, a: Self::I16, b: Self::I16, acc: Self::I32) -> Self::I32;
    /// Widens `R <= LANES` rows of `2 · LANES` bytes, `stride` apart, to pairs side by side: row `p` of `dst` (`dst_stride` apart)
    /// holds bytes `2p` and `2p + 1` of each of them, then zeros or leftovers. Every row of `dst` may be written a register wide, in order.
    #[inline(always)]
    fn interleave_pairs<const R: usize>(self, src: &[i8], stride: usize, dst: &mut [i16], dst_stride: usize) {
        for p in 0..Self::LANES {
            let dst = &mut dst[p * dst_stride..][..2 * R];
            for j in 0..R {
                let src = &src[j * stride + 2 * p..][..2];
                dst[2 * j] = src[0].into();
                dst[2 * j + 1] = src[1].into();
            }
        }
    }

    /// [`interleave_pairs`](Self::interleave_pairs) of `LANES` rows.
    fn interleave_all(self, src: &[i8], stride: usize, dst: &mut [i16], dst_stride: usize);

    /// The first `4 · LANES` bytes. Panics if there are fewer.
    fn load_i8(self, src: &[i8]) -> Self::I8;
    /// All quads of lanes `quad`.
    fn splat_quad(self, quad: [i8; 4]) -> Self::I8;
    /// `a ^ b`
    fn xor_i8(self, a: Self::I8, b: Self::I8) -> Self::I8;
    /// Whether [`dot_quads`](Self::dot_quads) takes the bytes of `x` without sign, as 0 to 255.
    const UNSIGNED: bool = false;
    /// Whether `dot_quads` adds products two by two in 16 bits, in which they must fit: those of bytes `4i` and `4i + 1`, and of the
    /// next two.
    const NARROW: bool = false;
    /// `acc[i] + Σ x[4i + j] · w[4i + j]` for `j` from 0 to 3, wrapping.
    fn dot_quads(self, x: Self::I8, w: Self::I8, acc: Self::I32) -> Self::I32;
    /// Sets `R <= LANES` rows of `4 · LANES` bytes, `stride` apart, side by side, four bytes at a time: row `p` of `dst` (`dst_stride`
    /// apart) holds bytes `4p` to `4p + 3` of each of them, then zeros or leftovers. Every row of `dst` may be written a register wide,
    /// in order.
    #[inline(always)]
    fn interleave_quads<const R: usize>(self, src: &[i8], stride: usize, dst: &mut [i8], dst_stride: usize) {
        for p in 0..Self::LANES {
            let dst = &mut dst[p * dst_stride..][..4 * R];
            for j in 0..R {
                dst[4 * j..][..4].copy_from_slice(&src[j * stride + 4 * p..][..4]);
            }
        }
    }

    /// Four bytes in two words, widened: the first and the third, the second and the fourth. For sets of one lane, whose registers are few.
    #[inline(always)]
    fn spread(self, quad: [i8; 4]) -> [i32; 2] {
        let [a, b, c, d] = quad.map(i16::from);
        [bytemuck::cast([a, c]), bytemuck::cast([b, d])]
    }
    /// `Σ x[i] · w[r · stride + i]` for four rows `r`, `x` as [`spread`](Self::spread) left it; of no use if `w` is shorter.
    #[inline(always)]
    fn dot_rows(self, x: &[[i32; 2]], w: &[i8], stride: usize) -> [i32; 4] {
        plain_rows(x, w, stride)
    }
    /// `sums[p · fours + q][r] = Σ x[p · pitch + i] · w`, wrapping, for as many `p` as there are sums for, and `fours` pieces of `w`, one
    /// after the other, of `steps` words: number `r` of step `i` holds the weights of two numbers of `x`, 16 bits each. For sets of one
    /// lane. Sums that lack numbers or weights are left as they are.
    #[inline(always)]
    fn dot_fours(self, x: &[i16], pitch: usize, w: &[[i32; 4]], steps: usize, sums: &mut [[i32; 4]]) {
        plain_fours(x, pitch, w, steps, sums);
    }
}

/// Floats in the widest register of any instruction set here.
pub(crate) const MAX_LANES: usize = if cfg!(target_arch = "x86_64") { 16 } else { 8 };

/// Work that is compiled once per instruction set.
pub(crate) trait Kernel {
    /// What the work returns.
    type Output;
    /// Does the work; implementations are `#[inline(always)]`.
    fn eval<S: Simd>(self, simd: S) -> Self::Output;
}

/// [`Simd::dot_rows`] without any instruction of its own. Not inlined: four copies would be half of a small program's products.
#[inline(never)]
pub(super) fn plain_rows(x: &[[i32; 2]], w: &[i8], stride: usize) -> [i32; 4] {
    let row = |r: usize| piece(w, r * stride, 4 * x.len());
    let [Some(first), Some(second), Some(third), Some(fourth)] = [row(0), row(1), row(2), row(3)] else {
        return [0; 4];
    };
    let [first, second, third, fourth] = [first, second, third, fourth].map(|row| row.as_chunks::<4>().0);
    let mut acc = [0_i32; 4];
    for ((((x, w0), w1), w2), w3) in x.iter().zip(first).zip(second).zip(third).zip(fourth) {
        let [[a, c], [b, d]]: [[i16; 2]; 2] = [bytemuck::cast(x[0]), bytemuck::cast(x[1])];
        let dot = |w: &[i8; 4]| {
            let even = i32::from(a) * i32::from(w[0]) + i32::from(c) * i32::from(w[2]);
            even + i32::from(b) * i32::from(w[1]) + i32::from(d) * i32::from(w[3])
        };
        let [s0, s1, s2, s3] = acc;
        acc = [s0.wrapping_add(dot(w0)), s1.wrapping_add(dot(w1)), s2.wrapping_add(dot(w2)), s3.wrapping_add(dot(w3))];
    }
    acc
}

/// [`Simd::dot_fours`] without any instruction of its own. Not inlined, and without a division: where that is a function, it would take longer
/// than some of the sums.
#[inline(never)]
pub(super) fn plain_fours(x: &[i16], pitch: usize, w: &[[i32; 4]], steps: usize, sums: &mut [[i32; 4]]) {
    let whole = steps > 0 && w.len().is_multiple_of(steps) && !w.is_empty();
    debug_assert!(whole, "{steps} steps of {} words", w.len());
    if w.len() < steps.max(1) {
        return;
    }
    let (mut x, mut sums) = (x, sums);
    while let Some(patch) = x.get(..2 * steps) {
        // Each pixel meets all of the weights.
        let mut left = w;
        while let Some((four, others)) = left.split_at_checked(steps) {
            let Some((place, later)) = sums.split_first_mut() else {
                return;
            };
            *place = fours(patch, four);
            (left, sums) = (others, later);
        }
        let Some(next) = x.get(pitch..) else {
            break;
        };
        x = next;
    }
    debug_assert!(sums.is_empty(), "{} fours of sums without numbers", sums.len());
}

/// The sums of four rows.
#[inline(always)]
fn fours(x: &[i16], w: &[[i32; 4]]) -> [i32; 4] {
    let steps = x.as_chunks::<2>().0.iter().zip(w);
    let dot = |x: &[i16; 2], w: i32| {
        let [low, high]: [i16; 2] = bytemuck::cast(w);
        i32::from(x[0]) * i32::from(low) + i32::from(x[1]) * i32::from(high)
    };
    // By name: in small code, elements of an array would stay in memory.
    let [mut first, mut second, mut third, mut fourth] = [0_i32; 4];
    for (x, w) in steps {
        first = first.wrapping_add(dot(x, w[0]));
        second = second.wrapping_add(dot(x, w[1]));
        third = third.wrapping_add(dot(x, w[2]));
        fourth = fourth.wrapping_add(dot(x, w[3]));
    }
    [first, second, third, fourth]
}

//! Winograd's transforms of three taps in integers, one direction at a time.
//!
//! A row of the usual matrix for the weights that has fractions is taken a whole number of times, and the transform back makes up for it,
//! so that what comes out is the convolution times a known number: exactly, modulo `2³²`, as every step is. Dividing by that number is
//! exact too: by its odd part as a product with the inverse modulo `2³²`, by its power of two as a shift.

use crate::kernels::simd::Simd;

/// Side of the largest tile.
pub(super) const SIDE: usize = 6;

/// One size of the algorithm: `OUT` outputs from `ALPHA = OUT + 2` inputs. Arrays hold the first `ALPHA` or `OUT` values that count.
pub(in crate::kernels::conv_i8) trait Transform: Copy + Send + Sync + 'static {
    const OUT: usize;
    const ALPHA: usize;
    /// Most input channels: sums of nine products each, times the power of two that is divided by last, have to fit 32 bits.
    const MAX_CHANNELS: usize;
    /// `Bᵀ·d`
    fn input<S: Simd>(simd: S, d: [S::I16; SIDE]) -> [S::I16; SIDE];
    /// `G·g`, in whole numbers.
    fn filter<S: Simd>(simd: S, g: [S::I16; 3]) -> [S::I16; SIDE];
    /// `Aᵀ·m`, each place as many times as its weights lack.
    fn output<S: Simd>(simd: S, m: [S::I32; SIDE]) -> [S::I32; SIDE];
    /// What came out of both directions, to the convolution.
    fn finish<S: Simd>(simd: S, v: S::I32) -> S::I32;
}

/// F(2, 3): weights twice the usual, `[2 0 0; 1 1 1; 1 -1 1; 0 0 2]`, so four times the convolution in two directions. Inputs, sums of
/// four bytes, need 10 bits; weights, sums of nine, 12.
#[derive(Clone, Copy)]
pub(in crate::kernels::conv_i8) struct Two;

impl Transform for Two {
    const OUT: usize = 2;
    const ALPHA: usize = 4;
    const MAX_CHANNELS: usize = 3_640; // 9 · 3,640 · 2¹⁴ < 2²⁹
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::I16; SIDE]) -> [S::I16; SIDE] {
        let last = simd.sub_i16(d[1], d[3]);
        [simd.sub_i16(d[0], d[2]), simd.add_i16(d[1], d[2]), simd.sub_i16(d[2], d[1]), last, last, last]
    }
    #[inline(always)]
    fn filter<S: Simd>(simd: S, g: [S::I16; 3]) -> [S::I16; SIDE] {
        let (outer, last) = (simd.add_i16(g[0], g[2]), simd.add_i16(g[2], g[2]));
        [simd.add_i16(g[0], g[0]), simd.add_i16(outer, g[1]), simd.sub_i16(outer, g[1]), last, last, last]
    }
    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::I32; SIDE]) -> [S::I32; SIDE] {
        let last = simd.sub_i32(simd.sub_i32(m[1], m[2]), m[3]);
        [simd.add_i32(simd.add_i32(m[0], m[1]), m[2]), last, last, last, last, last]
    }
    #[inline(always)]
    fn finish<S: Simd>(simd: S, v: S::I32) -> S::I32 {
        simd.shift_right_i32::<2>(v)
    }
}

/// F(4, 3): weights by `[1 0 0; 1 1 1; 1 -1 1; 1 2 4; 1 -2 4; 0 0 1]`, which are 4, -6, -6, 24, 24 and 1 times the usual rows; the
/// transform back takes them 6, -4, -4, 1, 1 and 24 times, so that 24² = 576 = 9 · 2⁶ times the convolution comes out. Inputs are at most
/// 10² · 2⁷ = 12,800, weights 7² · 2⁷ = 6,272: both fit 16 bits.
#[derive(Clone, Copy)]
pub(in crate::kernels::conv_i8) struct Four;

/// The inverse of 9 modulo `2³²`.
const NINTH: i32 = 954_437_177;
const _: () = assert!(NINTH.wrapping_mul(9) == 1);

impl Transform for Four {
    const OUT: usize = 4;
    const ALPHA: usize = 6;
    const MAX_CHANNELS: usize = 227; // 9 · 227 · 2¹⁴ < 2²⁵
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::I16; SIDE]) -> [S::I16; SIDE] {
        /// `4·a − 5·b + c`
        #[inline(always)]
        fn outer<S: Simd>(simd: S, a: S::I16, b: S::I16, c: S::I16) -> S::I16 {
            simd.add_i16(four(simd, simd.sub_i16(a, b)), simd.sub_i16(c, b))
        }
        #[inline(always)]
        fn four<S: Simd>(simd: S, v: S::I16) -> S::I16 {
            let two = simd.add_i16(v, v);
            simd.add_i16(two, two)
        }
        let (even, odd) = (simd.sub_i16(d[4], four(simd, d[2])), simd.sub_i16(d[3], four(simd, d[1])));
        let (far_even, far_odd) = (simd.sub_i16(d[4], d[2]), simd.sub_i16(d[3], d[1]));
        let far_odd = simd.add_i16(far_odd, far_odd);
        [
            outer(simd, d[0], d[2], d[4]),
            simd.add_i16(even, odd),
            simd.sub_i16(even, odd),
            simd.add_i16(far_even, far_odd),
            simd.sub_i16(far_even, far_odd),
            outer(simd, d[1], d[3], d[5]),
        ]
    }
    #[inline(always)]
    fn filter<S: Simd>(simd: S, g: [S::I16; 3]) -> [S::I16; SIDE] {
        let (twice, middle) = (simd.add_i16(g[2], g[2]), simd.add_i16(g[1], g[1]));
        let (near, far) = (simd.add_i16(g[0], g[2]), simd.add_i16(g[0], simd.add_i16(twice, twice)));
        [
            g[0],
            simd.add_i16(near, g[1]),
            simd.sub_i16(near, g[1]),
            simd.add_i16(far, middle),
            simd.sub_i16(far, middle),
            g[2],
        ]
    }
    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::I32; SIDE]) -> [S::I32; SIDE] {
        #[inline(always)]
        fn two<S: Simd>(simd: S, v: S::I32) -> S::I32 {
            simd.add_i32(v, v)
        }
        let (even, odd) = (simd.add_i32(m[1], m[2]), simd.sub_i32(m[1], m[2]));
        let (far_even, far_odd) = (simd.add_i32(m[3], m[4]), two(simd, simd.sub_i32(m[3], m[4])));
        let outer = two(simd, m[5]);
        // 6·m₀ − 4·even + far, 2·far − 4·odd, 4·(far − even), 8·far − 4·odd + 24·m₅
        let half = simd.add_i32(m[0], two(simd, simd.sub_i32(m[0], even))); // 3·m₀ − 2·even
        let last = simd.add_i32(simd.sub_i32(far_odd, odd), simd.add_i32(outer, two(simd, outer)));
        [
            simd.add_i32(two(simd, half), far_even),
            simd.sub_i32(far_odd, two(simd, two(simd, odd))),
            two(simd, two(simd, simd.sub_i32(far_even, even))),
            two(simd, two(simd, last)),
            last,
            last,
        ]
    }
    #[inline(always)]
    fn finish<S: Simd>(simd: S, v: S::I32) -> S::I32 {
        simd.shift_right_i32::<6>(simd.mul_i32(v, simd.splat_i32(NINTH)))
    }
}

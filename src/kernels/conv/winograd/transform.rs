//! The transforms of Winograd's minimal filtering of three taps (Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks*,
//! 2015), one direction at a time: `y = Aᵀ[(G·g) ⊙ (Bᵀ·d)]`.

use crate::kernels::simd::Simd;

/// Side of the largest transformed tile.
pub(in crate::kernels::conv) const SIDE: usize = 6;

/// One size of the algorithm: `OUT` outputs of three taps from `ALPHA = OUT + 2` inputs by `ALPHA` products. Arrays hold the first
/// `ALPHA` or `OUT` values that count.
pub(in crate::kernels::conv) trait Transform: Copy + Send + Sync + 'static {
    const OUT: usize;
    const ALPHA: usize;
    /// Largest sum of magnitudes that an output has in one direction, of inputs and taps of at most 1: `max Σ |Aᵀ|·(Σ|Bᵀ|)·(Σ|G|)`.
    const GROWTH: f64;
    /// `Bᵀ·d`
    fn input<S: Simd>(simd: S, d: [S::F32; SIDE]) -> [S::F32; SIDE];
    /// `G·g`
    fn filter<S: Simd>(simd: S, g: [S::F32; 3]) -> [S::F32; SIDE];
    /// `Aᵀ·m`
    fn output<S: Simd>(simd: S, m: [S::F32; SIDE]) -> [S::F32; SIDE];
}

/// F(2, 3), from the points 0, 1, -1 and infinity.
#[derive(Clone, Copy)]
pub(in crate::kernels::conv) struct Two;

impl Transform for Two {
    const OUT: usize = 2;
    const ALPHA: usize = 4;
    const GROWTH: f64 = 8.0; // 2·1 + 2·1.5 + 2·1.5
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::F32; SIDE]) -> [S::F32; SIDE] {
        let (outer, sum) = (simd.sub(d[0], d[2]), simd.add(d[1], d[2]));
        let (difference, last) = (simd.sub(d[2], d[1]), simd.sub(d[1], d[3]));
        [outer, sum, difference, last, last, last]
    }
    #[inline(always)]
    fn filter<S: Simd>(simd: S, g: [S::F32; 3]) -> [S::F32; SIDE] {
        let half = simd.splat(0.5);
        let (even, odd) = (simd.mul(simd.add(g[0], g[2]), half), simd.mul(g[1], half));
        [g[0], simd.add(even, odd), simd.sub(even, odd), g[2], g[2], g[2]]
    }
    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::F32; SIDE]) -> [S::F32; SIDE] {
        let (first, last) = (simd.add(simd.add(m[0], m[1]), m[2]), simd.sub(simd.sub(m[1], m[2]), m[3]));
        [first, last, last, last, last, last]
    }
}

/// F(4, 3), from the points 0, 1, -1, 2, -2 and infinity.
#[derive(Clone, Copy)]
pub(in crate::kernels::conv) struct Four;

impl Transform for Four {
    const OUT: usize = 4;
    const ALPHA: usize = 6;
    const GROWTH: f64 = 48.0; // the last: 10·0.5 + 10·0.5 + 8·(6·7/24 + 6·7/24) + 10·1
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::F32; SIDE]) -> [S::F32; SIDE] {
        // No closure: it would not be compiled with the instructions of the set.
        let (two, less_two, four) = (simd.splat(2.0), simd.splat(-2.0), simd.splat(4.0));
        let (less_four, less_five) = (simd.splat(-4.0), simd.splat(-5.0));
        let (even, odd) = (simd.mul_add(less_four, d[2], d[4]), simd.mul_add(less_four, d[1], d[3]));
        let (far_even, far_odd) = (simd.sub(d[4], d[2]), simd.sub(d[3], d[1]));
        [
            simd.mul_add(four, d[0], simd.mul_add(less_five, d[2], d[4])),
            simd.add(even, odd),
            simd.sub(even, odd),
            simd.mul_add(two, far_odd, far_even),
            simd.mul_add(less_two, far_odd, far_even),
            simd.mul_add(four, d[1], simd.mul_add(less_five, d[3], d[5])),
        ]
    }
    #[inline(always)]
    fn filter<S: Simd>(simd: S, g: [S::F32; 3]) -> [S::F32; SIDE] {
        let (quarter, sixth) = (simd.splat(1.0 / 4.0), simd.splat(1.0 / 6.0));
        let (twelfth, part) = (simd.splat(1.0 / 12.0), simd.splat(1.0 / 24.0));
        let (even, odd) = (simd.mul(simd.add(g[0], g[2]), simd.splat(-1.0 / 6.0)), simd.mul(g[1], sixth));
        let (far_even, far_odd) = (simd.mul_add(g[2], sixth, simd.mul(g[0], part)), simd.mul(g[1], twelfth));
        [
            simd.mul(g[0], quarter),
            simd.sub(even, odd),
            simd.add(even, odd),
            simd.add(far_even, far_odd),
            simd.sub(far_even, far_odd),
            g[2],
        ]
    }
    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::F32; SIDE]) -> [S::F32; SIDE] {
        let (even, odd) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
        let (far_even, far_odd) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
        let last = simd.add(simd.mul_add(simd.splat(8.0), far_odd, odd), m[5]);
        [
            simd.add(simd.add(m[0], even), far_even),
            simd.mul_add(simd.splat(2.0), far_odd, odd),
            simd.mul_add(simd.splat(4.0), far_even, even),
            last,
            last,
            last,
        ]
    }
}

/// A transform of a tile in both directions: of the columns by `one`, then of the rows, `$from` values to `$to`.
macro_rules! both_directions {
    ($name:ident, $one:ident, $from:expr, $to:expr) => {
        #[inline(always)]
        pub(super) fn $name<S: Simd, T: Transform>(simd: S, tile: [[S::F32; SIDE]; SIDE]) -> [[S::F32; SIDE]; SIDE] {
            let mut half = [[simd.splat(0.0); SIDE]; SIDE];
            for x in 0..$from {
                let mut column = [simd.splat(0.0); SIDE];
                for y in 0..$from {
                    column[y] = tile[y][x];
                }
                let column = T::$one(simd, column);
                for y in 0..$to {
                    half[y][x] = column[y];
                }
            }
            for row in &mut half[..$to] {
                *row = T::$one(simd, *row);
            }
            half
        }
    };
}
both_directions!(input, input, T::ALPHA, T::ALPHA);
both_directions!(output, output, T::ALPHA, T::OUT);

/// A kernel of three rows by three columns in both directions.
#[inline(always)]
pub(super) fn filter<S: Simd, T: Transform>(simd: S, kernel: [[S::F32; 3]; 3]) -> [[S::F32; SIDE]; SIDE] {
    let mut half = [[simd.splat(0.0); 3]; SIDE];
    for x in 0..3 {
        let column = T::filter(simd, [kernel[0][x], kernel[1][x], kernel[2][x]]);
        for y in 0..T::ALPHA {
            half[y][x] = column[y];
        }
    }
    let mut whole = [[simd.splat(0.0); SIDE]; SIDE];
    for y in 0..T::ALPHA {
        whole[y] = T::filter(simd, half[y]);
    }
    whole
}

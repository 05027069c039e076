//! A register of output pixels: four taps each, gathered lane by lane, weighed in registers.

use super::Warp;
use crate::kernels::simd::{MAX_LANES, Simd};

/// A pixel as it is stored.
pub(super) trait Pixel: Copy + Default {
    /// The first `LANES` pixels. Panics if there are fewer.
    fn load<S: Simd>(simd: S, src: &[Self]) -> S::F32;
}

impl Pixel for u8 {
    #[inline(always)]
    fn load<S: Simd>(simd: S, src: &[u8]) -> S::F32 {
        simd.load_u8(src)
    }
}

impl Pixel for f32 {
    #[inline(always)]
    fn load<S: Simd>(simd: S, src: &[f32]) -> S::F32 {
        simd.load(src)
    }
}

/// The image at `(x, y)`, lane by lane: bilinear between its pixels, and to the zeros around it; NaN where a coordinate is.
#[inline(always)]
pub(super) fn sample<S: Simd, P: Pixel>(simd: S, warp: &Warp, image: &[P], x: S::F32, y: S::F32) -> S::F32 {
    let (x0, dx) = split(simd, x, warp.w);
    let (y0, dy) = split(simd, y, warp.h);
    let taps = Taps::at(simd, warp, image, x0, y0);
    let [[a, b], [c, d]] = [[taps.load(simd, 0), taps.load(simd, 1)], [taps.load(simd, 2), taps.load(simd, 3)]];
    between(simd, between(simd, a, b, dx), between(simd, c, d, dx), dy)
}

/// `a + t·(b − a)`: `a` itself where `b` is the same or `t` is 0.
#[inline(always)]
fn between<S: Simd>(simd: S, a: S::F32, b: S::F32, t: S::F32) -> S::F32 {
    simd.mul_add(t, simd.sub(b, a), a)
}

/// `⌊v⌋` and `v − ⌊v⌋`, for coordinates first brought to at most two pixels outside of a side: further out all is the same, and numbers
/// this small are rounded to whole ones by adding a large one. NaN stays, as comparisons with it are false.
#[inline(always)]
fn split<S: Simd>(simd: S, v: S::F32, side: usize) -> (S::F32, S::F32) {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: a sum with it has no bits for fractions
    // Not −1: there the first pixel would be a tap of weight 0, which shows if it is infinite.
    let (low, high) = (simd.splat(-2.0), simd.splat(side as f32));
    let v = simd.select_lt(v, low, low, v);
    let v = simd.select_lt(high, v, high, v);
    let nearest = simd.sub(simd.add(v, simd.splat(ROUND)), simd.splat(ROUND));
    let floor = simd.select_lt(v, nearest, simd.sub(nearest, simd.splat(1.0)), nearest);
    (floor, simd.sub(v, floor))
}

/// The four pixels around each of a register of places: rows before columns.
struct Taps<P>([[P; MAX_LANES]; 4]);

impl<P: Pixel> Taps<P> {
    /// Of the places whose first taps, in row `y0` and column `x0`, may lie outside of the image.
    #[inline(always)]
    fn at<S: Simd>(simd: S, warp: &Warp, image: &[P], x0: S::F32, y0: S::F32) -> Self {
        let &Warp { h, w, .. } = warp;
        let (mut cols, mut rows) = ([0.0; MAX_LANES], [0.0; MAX_LANES]);
        simd.store(x0, &mut cols);
        simd.store(y0, &mut rows);
        let (mut col, mut row) = ([0; MAX_LANES], [0; MAX_LANES]);
        for i in 0..S::LANES {
            (col[i], row[i]) = (cols[i] as i32, rows[i] as i32); // small and whole; NaN gives 0, and its weight is NaN anyway
        }
        let mut taps = Self([[P::default(); MAX_LANES]; 4]);
        if simd.max_lane(outside(simd, x0, y0, warp)) == 0.0 {
            for i in 0..S::LANES {
                // Two rows from one tap to the other end: one check for four.
                let at = row[i] as usize * w + col[i] as usize;
                let Some(near) = image.get(at..at + w + 2) else { continue };
                (taps.0[0][i], taps.0[1][i]) = (near[0], near[1]);
                (taps.0[2][i], taps.0[3][i]) = (near[w], near[w + 1]);
            }
        } else {
            for i in 0..S::LANES {
                for tap in 0..4 {
                    let (row, col) = (row[i] + tap as i32 / 2, col[i] + tap as i32 % 2);
                    if (0..h as i32).contains(&row) && (0..w as i32).contains(&col) {
                        taps.0[tap][i] = image[row as usize * w + col as usize];
                    }
                }
            }
        }
        taps
    }

    #[inline(always)]
    fn load<S: Simd>(&self, simd: S, tap: usize) -> S::F32 {
        P::load(simd, &self.0[tap])
    }
}

/// 1 in lanes with a tap outside of the image, 0 where all four lie in it.
#[inline(always)]
fn outside<S: Simd>(simd: S, x0: S::F32, y0: S::F32, warp: &Warp) -> S::F32 {
    let (zero, one) = (simd.splat(0.0), simd.splat(1.0));
    let (last_x, last_y) = (simd.splat(warp.w as f32 - 2.0), simd.splat(warp.h as f32 - 2.0));
    let outside = simd.select_lt(x0, zero, one, zero);
    let outside = simd.select_lt(last_x, x0, one, outside);
    let outside = simd.select_lt(y0, zero, one, outside);
    simd.select_lt(last_y, y0, one, outside)
}

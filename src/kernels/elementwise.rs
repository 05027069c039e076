//! Activations and their gradients, sums of tensors and of columns, pixels to floats: one element at a time, a register at once.

mod sum;

use super::simd::{Kernel, Simd};
use super::{Activation, Isa};
use crate::error::ShapeError;
pub use sum::{add, add_assign, blend, scale};

/// Largest error of [`Activation::Tanh`], in units in the last place, on every instruction set.
pub const TANH_ULP: f64 = 2.0;
/// Largest error of [`Activation::Sigmoid`] in units in the last place, for results that are not subnormal.
pub const SIGMOID_ULP: f64 = 3.0;
/// Largest error of `exp` as softmax uses it, in units in the last place, for results that are not subnormal.
pub const EXP_ULP: f64 = 1.5;

/// `x = activation(x)`, element by element.
///
/// # Accuracy
/// ReLU is exact; tanh and sigmoid within [`TANH_ULP`] and [`SIGMOID_ULP`].
pub fn activate(isa: Isa, activation: Activation, x: &mut [f32]) {
    struct Activate<'a>(Activation, &'a mut [f32]);
    impl Kernel for Activate<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            activate_simd(simd, self.0, self.1);
        }
    }
    isa.run(Activate(activation, x));
}

/// [`activate`] inside another kernel.
#[inline(always)]
pub(super) fn activate_simd<S: Simd>(simd: S, activation: Activation, x: &mut [f32]) {
    // One loop for each function: the choice must not stand inside.
    match activation {
        Activation::Identity => {}
        Activation::Relu => {
            let mut chunks = x.chunks_exact_mut(S::LANES);
            for x in &mut chunks {
                simd.store(simd.relu(simd.load(x)), x);
            }
            let x = chunks.into_remainder();
            simd.store_partial(simd.relu(simd.load_partial(x)), x);
        }
        Activation::Tanh => {
            let mut chunks = x.chunks_exact_mut(S::LANES);
            for x in &mut chunks {
                simd.store(tanh(simd, simd.load(x)), x);
            }
            let x = chunks.into_remainder();
            simd.store_partial(tanh(simd, simd.load_partial(x)), x);
        }
        Activation::Sigmoid => {
            let mut chunks = x.chunks_exact_mut(S::LANES);
            for x in &mut chunks {
                simd.store(sigmoid(simd, simd.load(x)), x);
            }
            let x = chunks.into_remainder();
            simd.store_partial(sigmoid(simd, simd.load_partial(x)), x);
        }
    }
}

/// `exp(x)`: 0 below -87.33, where it would be subnormal, infinity above 88.72; NaN stays NaN.
///
/// `x = n·ln 2 + r` with `|r| ≤ ln 2 / 2`, `ln 2` in two parts (Cody and Waite), a polynomial of degree 7 in `r` (the Taylor
/// coefficients, whose rest is under 5.3e-9, a tenth of half a unit), then `2ⁿ` in two factors so that the largest results do not overflow
/// early.
#[inline(always)]
pub(super) fn exp<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    const LOG2_E: f32 = core::f32::consts::LOG2_E;
    const LN2_HI: f32 = 0.693_359_4; // ten bits: n · LN2_HI is exact
    const LN2_LO: f32 = -2.121_944_4e-4;
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it leaves an integer in the low bits
    let low = simd.splat(-87.336_54);
    let high = simd.splat(88.722_83);
    let clamped = simd.select_lt(x, low, low, x);
    let clamped = simd.select_lt(high, clamped, high, clamped);
    let n = simd.sub(simd.mul_add(clamped, simd.splat(LOG2_E), simd.splat(ROUND)), simd.splat(ROUND));
    let r = simd.mul_add(n, simd.splat(-LN2_HI), clamped);
    let r = simd.mul_add(n, simd.splat(-LN2_LO), r);
    let mut p = simd.splat(1.0 / 5040.0);
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        p = simd.mul_add(p, r, simd.splat(c));
    }
    // 1 + (r + r²·p): the small part first, so that the last addition rounds once
    let p = simd.add(simd.mul_add(p, simd.mul(r, r), r), simd.splat(1.0));
    // n reaches 128 at the top: 2^(n/2) · 2^(n - n/2)
    let half = simd.sub(simd.mul_add(n, simd.splat(0.5), simd.splat(ROUND)), simd.splat(ROUND));
    let result = simd.mul(simd.mul(p, simd.exp2i(half)), simd.exp2i(simd.sub(n, half)));
    // Comparisons with NaN are false: `x` itself is returned where it is not a number.
    let infinity = simd.splat(f32::INFINITY);
    let result = simd.select_lt(high, x, infinity, result);
    let result = simd.select_lt(x, low, simd.splat(0.0), result);
    propagate_nan(simd, x, result)
}

/// `x` where it is NaN, `y` elsewhere.
#[inline(always)]
fn propagate_nan<S: Simd>(simd: S, x: S::F32, y: S::F32) -> S::F32 {
    let infinity = simd.splat(f32::INFINITY);
    let below = simd.select_lt(x, infinity, y, x); // NaN and +infinity fall through to x ...
    let top = simd.splat(f32::MAX);
    simd.select_lt(top, x, y, below) // ... and +infinity is sorted out here
}

/// `tanh(x) = x·P(x²)/Q(x²)` near 0, `1 − 2/(exp(2|x|) + 1)` further out.
#[inline(always)]
fn tanh<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let zero = simd.splat(0.0);
    let one = simd.splat(1.0);
    let magnitude = simd.select_lt(x, zero, simd.sub(zero, x), x);
    // Odd Taylor-like polynomial for |x| < 0.625 (Cephes, tanhf): tanh(x) = x + x·z·p(z), z = x².
    let z = simd.mul(x, x);
    let mut p = simd.splat(-5.704_988_7e-3);
    for c in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        p = simd.mul_add(p, z, simd.splat(c));
    }
    let near = simd.mul_add(simd.mul(p, z), x, x);
    let e = exp(simd, simd.add(magnitude, magnitude));
    let far = simd.sub(one, simd.div(simd.splat(2.0), simd.add(e, one)));
    let far = simd.select_lt(x, zero, simd.sub(zero, far), far);
    let y = simd.select_lt(magnitude, simd.splat(0.625), near, far);
    propagate_nan(simd, x, y)
}

/// `1 / (1 + exp(−x))`; the argument of `exp` is never positive, so nothing overflows and small results keep their digits.
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let zero = simd.splat(0.0);
    let one = simd.splat(1.0);
    let e = exp(simd, simd.select_lt(x, zero, x, simd.sub(zero, x))); // exp(−|x|)
    let above = simd.div(one, simd.add(one, e));
    let below = simd.div(e, simd.add(one, e));
    propagate_nan(simd, x, simd.select_lt(x, zero, below, above))
}

/// `dy = dy · activation'(x)`, with the derivative taken from the output `y = activation(x)`.
///
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn activate_backward(isa: Isa, activation: Activation, y: &[f32], dy: &mut [f32]) -> Result<(), ShapeError> {
    struct Backward<'a>(Activation, &'a [f32], &'a mut [f32]);
    impl Kernel for Backward<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            match self.0 {
                Activation::Identity => {}
                Activation::Relu => map2(simd, self.1, self.2, Relu),
                Activation::Tanh => map2(simd, self.1, self.2, Tanh),
                Activation::Sigmoid => map2(simd, self.1, self.2, Sigmoid),
            }
        }
    }
    if y.len() != dy.len() {
        return Err(ShapeError::Length { what: "the gradient", expected: y.len(), got: dy.len() });
    }
    isa.run(Backward(activation, y, dy));
    Ok(())
}

/// The gradient of an activation: a trait, not a closure, so that it is compiled with the enabled instructions.
trait Gradient {
    fn of<S: Simd>(&self, simd: S, y: S::F32, dy: S::F32) -> S::F32;
}

struct Relu;
impl Gradient for Relu {
    #[inline(always)]
    fn of<S: Simd>(&self, simd: S, y: S::F32, dy: S::F32) -> S::F32 {
        // y ≤ 0 only where it is 0; NaN compares false and lets the gradient pass, as it must not be hidden.
        simd.clear_lt(y, simd.splat(f32::from_bits(1)), dy)
    }
}

struct Tanh;
impl Gradient for Tanh {
    #[inline(always)]
    fn of<S: Simd>(&self, simd: S, y: S::F32, dy: S::F32) -> S::F32 {
        let one = simd.splat(1.0);
        simd.mul(dy, simd.mul(simd.sub(one, y), simd.add(one, y))) // 1 − y² without cancellation near ±1
    }
}

struct Sigmoid;
impl Gradient for Sigmoid {
    #[inline(always)]
    fn of<S: Simd>(&self, simd: S, y: S::F32, dy: S::F32) -> S::F32 {
        simd.mul(dy, simd.mul(y, simd.sub(simd.splat(1.0), y)))
    }
}

/// `dy = gradient(y, dy)`.
#[inline(always)]
fn map2<S: Simd, G: Gradient>(simd: S, y: &[f32], dy: &mut [f32], gradient: G) {
    let (mut ys, mut dys) = (y.chunks_exact(S::LANES), dy.chunks_exact_mut(S::LANES));
    for (y, dy) in (&mut ys).zip(&mut dys) {
        simd.store(gradient.of(simd, simd.load(y), simd.load(dy)), dy);
    }
    let (y, dy) = (ys.remainder(), dys.into_remainder());
    simd.store_partial(gradient.of(simd, simd.load_partial(y), simd.load_partial(dy)), dy);
}

/// `sums[j] = Σᵢ x[i][j]`, rows in order: the gradient of a bias.
///
/// # Shapes
/// `x [rows, cols]`, `sums [cols]`.
/// # Errors
/// [`ShapeError::Length`] if `x` is not a whole number of rows.
pub fn column_sums(isa: Isa, x: &[f32], sums: &mut [f32]) -> Result<(), ShapeError> {
    struct Sums<'a>(&'a [f32], &'a mut [f32]);
    impl Kernel for Sums<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            let Self(x, sums) = self;
            let cols = sums.len();
            let mut from = 0;
            // Four registers of columns at a time stay in registers down all the rows.
            while from + 4 * S::LANES <= cols {
                let mut acc = [simd.splat(0.0); 4];
                for row in x.chunks_exact(cols) {
                    let row = &row[from..from + 4 * S::LANES];
                    for j in 0..4 {
                        acc[j] = simd.add(acc[j], simd.load(&row[j * S::LANES..]));
                    }
                }
                for j in 0..4 {
                    simd.store(acc[j], &mut sums[from + j * S::LANES..]);
                }
                from += 4 * S::LANES;
            }
            while from < cols {
                let to = (from + S::LANES).min(cols);
                let mut acc = simd.splat(0.0);
                if to - from == S::LANES {
                    for row in x.chunks_exact(cols) {
                        acc = simd.add(acc, simd.load(&row[from..to]));
                    }
                    simd.store(acc, &mut sums[from..to]);
                } else {
                    for row in x.chunks_exact(cols) {
                        acc = simd.add(acc, simd.load_partial(&row[from..to]));
                    }
                    simd.store_partial(acc, &mut sums[from..to]);
                }
                from = to;
            }
        }
    }
    if !x.len().is_multiple_of(sums.len()) {
        let expected = x.len() - x.len().checked_rem(sums.len()).unwrap_or(x.len());
        return Err(ShapeError::Length { what: "a matrix of whole rows", expected, got: x.len() });
    }
    if !sums.is_empty() {
        isa.run(Sums(x, sums));
    }
    Ok(())
}

/// `out[i] = pixels[i] · scale + offset`: raw bytes to what a network is trained on.
///
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn pixels_to_f32(isa: Isa, pixels: &[u8], scale: f32, offset: f32, out: &mut [f32]) -> Result<(), ShapeError> {
    struct Pixels<'a>(&'a [u8], f32, f32, &'a mut [f32]);
    impl Kernel for Pixels<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            let Self(pixels, scale, offset, out) = self;
            let (scales, offsets) = (simd.splat(scale), simd.splat(offset));
            let (mut from, mut to) = (pixels.chunks_exact(S::LANES), out.chunks_exact_mut(S::LANES));
            for (pixels, out) in (&mut from).zip(&mut to) {
                simd.store(simd.mul_add(simd.load_u8(pixels), scales, offsets), out);
            }
            let (pixels, out) = (from.remainder(), to.into_remainder());
            let mut last = [0u8; super::simd::MAX_LANES];
            last[..pixels.len()].copy_from_slice(pixels);
            simd.store_partial(simd.mul_add(simd.load_u8(&last), scales, offsets), out);
        }
    }
    if pixels.len() != out.len() {
        return Err(ShapeError::Length { what: "the output", expected: pixels.len(), got: out.len() });
    }
    isa.run(Pixels(pixels, scale, offset, out));
    Ok(())
}

/// Asks for the cache lines of `bytes`, which will be read a little later, where the instruction set can ask. Changes nothing but time.
#[cfg(feature = "std")]
pub(crate) fn prefetch(isa: Isa, bytes: &[u8]) {
    struct Prefetch<'a>(&'a [u8]);
    impl Kernel for Prefetch<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            /// Bytes of a cache line; where lines are longer, some are asked for twice.
            const LINE: usize = 64;
            for at in (0..self.0.len()).step_by(LINE) {
                simd.prefetch_far(self.0, at);
            }
        }
    }
    isa.run(Prefetch(bytes));
}

#[cfg(test)]
mod tests;

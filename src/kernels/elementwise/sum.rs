//! Sums, multiples and running means of whole tensors: where a residual branch joins its trunk, and weights are averaged.

use super::activate;
use crate::error::{ShapeError, length};
use crate::kernels::map::{Formula, InPlace, Map, Operand, rectified};
use crate::kernels::simd::Simd;
use crate::kernels::{Activation, Isa};

/// `out = activation(a + b)`; ReLU in the same pass, as at the end of a residual block.
///
/// Its gradient by `a` and by `b` is that of the activation alone: [`activate_backward`](super::activate_backward).
///
/// # Accuracy
/// `|error| ≤ u·|a + b|`, `u = 2⁻²⁴`, and that of the [activation](activate).
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn add(isa: Isa, activation: Activation, a: &[f32], b: &[f32], out: &mut [f32]) -> Result<(), ShapeError> {
    length("the second addend", a.len(), b.len())?;
    length("the sum", a.len(), out.len())?;
    added(isa, activation, a, b, out);
    Ok(())
}

/// `a = activation(a + b)`: [`add`] in place.
///
/// # Accuracy
/// As [`add`].
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn add_assign(isa: Isa, activation: Activation, a: &mut [f32], b: &[f32]) -> Result<(), ShapeError> {
    length("the addend", a.len(), b.len())?;
    added(isa, activation, InPlace, b, a);
    Ok(())
}

/// `x = factor · x`.
///
/// # Accuracy
/// `|error| ≤ u·|factor · x|`, `u = 2⁻²⁴`.
pub fn scale(isa: Isa, factor: f32, x: &mut [f32]) {
    isa.run(Map { formula: Product, x: InPlace, with: (factor, 0.0), out: x });
}

/// `average += rate · (x − average)`: a step of a running mean towards `x`.
///
/// # Accuracy
/// `|error| ≤ 3u·(|rate · (x − average)| + |average|)`, `u = 2⁻²⁴`. With `rate = 1` the difference is rounded before it is added: copy instead.
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn blend(isa: Isa, rate: f32, x: &[f32], average: &mut [f32]) -> Result<(), ShapeError> {
    length("the average", x.len(), average.len())?;
    isa.run(Map { formula: Blend, x: InPlace, with: (x, rate), out: average });
    Ok(())
}

fn added(isa: Isa, activation: Activation, a: impl Operand, b: &[f32], out: &mut [f32]) {
    if activation == Activation::Relu {
        isa.run(Map { formula: Sum::<true>, x: a, with: (b, 0.0), out });
    } else {
        isa.run(Map { formula: Sum::<false>, x: a, with: (b, 0.0), out: &mut *out });
        activate(isa, activation, out);
    }
}

#[derive(Clone, Copy)]
struct Sum<const RELU: bool>;

impl<const RELU: bool> Formula for Sum<RELU> {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::F32, a: S::F32, _b: S::F32) -> S::F32 {
        rectified::<RELU, S>(simd, simd.add(x, a))
    }
}

#[derive(Clone, Copy)]
struct Product;

impl Formula for Product {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::F32, a: S::F32, _b: S::F32) -> S::F32 {
        simd.mul(x, a)
    }
}

#[derive(Clone, Copy)]
struct Blend;

impl Formula for Blend {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, average: S::F32, x: S::F32, rate: S::F32) -> S::F32 {
        simd.mul_add(rate, simd.sub(x, average), average)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::kernels::testing::uniform;
    use crate::reference::UNIT_ROUNDOFF;
    use std::{vec, vec::Vec};

    fn bits(x: &[f32]) -> Vec<u32> {
        x.iter().map(|x| x.to_bits()).collect()
    }

    /// One rounded operation an element: the same bits as a plain loop, at sizes around a register.
    #[test]
    fn sums_and_multiples_match_plain_loops_on_every_isa() {
        for isa in Isa::available() {
            let lanes = isa.lanes();
            for len in [0, 1, lanes - 1, lanes, lanes + 1, 2 * lanes + 1, 7 * lanes + 3, 1000] {
                let (mut a, b) = (uniform(len, 1), uniform(len, 2));
                if let Some(last) = a.last_mut() {
                    *last = f32::NAN;
                }
                let plain: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
                for activation in [Activation::Identity, Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
                    let mut want = plain.clone();
                    activate(isa, activation, &mut want);
                    let mut got = vec![f32::INFINITY; len];
                    add(isa, activation, &a, &b, &mut got).unwrap();
                    assert_eq!(bits(&got), bits(&want), "{isa} {len} {activation:?}");
                    let mut got = a.clone();
                    add_assign(isa, activation, &mut got, &b).unwrap();
                    assert_eq!(bits(&got), bits(&want), "{isa} {len} {activation:?} in place");
                }
                let want: Vec<f32> = a.iter().map(|a| 0.3 * a).collect();
                scale(isa, 0.3, &mut a);
                assert_eq!(bits(&a), bits(&want), "{isa} {len} scaled");
            }
        }
    }

    #[test]
    fn a_blend_is_within_its_bound_on_every_isa() {
        for isa in Isa::available() {
            let lanes = isa.lanes();
            for len in [0, 1, lanes - 1, lanes, lanes + 1, 2 * lanes + 1, 7 * lanes + 3, 1000] {
                let (mut x, before) = (uniform(len, 3), uniform(len, 4));
                if let Some(last) = x.last_mut() {
                    *last = f32::NAN;
                }
                for rate in [0.0f32, 1e-3, 0.5, 1.0] {
                    let mut average = before.clone();
                    blend(isa, rate, &x, &mut average).unwrap();
                    for ((got, x), before) in average.iter().zip(&x).zip(&before) {
                        let (x, before) = (f64::from(*x), f64::from(*before));
                        let step = f64::from(rate) * (x - before);
                        let bound = 3.0 * UNIT_ROUNDOFF * (step.abs() + before.abs());
                        let close = (f64::from(*got) - (before + step)).abs() <= bound;
                        assert!(close || x.is_nan() && got.is_nan(), "{isa} {len} {rate}: {got} of {before} and {x}");
                    }
                }
            }
        }
    }

    #[test]
    fn lengths_that_differ_are_refused() {
        let isa = Isa::best();
        assert!(add(isa, Activation::Relu, &[0.0; 3], &[0.0; 4], &mut [0.0; 3]).is_err());
        assert!(add(isa, Activation::Relu, &[0.0; 3], &[0.0; 3], &mut [0.0; 4]).is_err());
        assert!(blend(isa, 0.5, &[0.0; 3], &mut [0.0; 4]).is_err());
        let error = add_assign(isa, Activation::Identity, &mut [0.0; 3], &[0.0; 2]).unwrap_err();
        assert_eq!(error, ShapeError::Length { what: "the addend", expected: 3, got: 2 });
    }
}

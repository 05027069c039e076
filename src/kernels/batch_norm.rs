//! Batch normalisation: `out = gamma·(x − mean)/√(variance + eps) + beta`, channel by channel.
//!
//! A training step takes the [`statistics`] of its batch, [folds](Norm::fold) them into one factor and one summand a channel, which it
//! [applies](apply), and keeps the mean and the [inverse deviation](inverse_deviation) for the gradient, [`backward`]. A trained network
//! folds running averages instead, or has them folded into the convolution before.

mod fold;
mod gradient;
mod shape;
mod sums;

use super::map::{Formula, InPlace, Operand, map, rectified};
use super::simd::{Kernel, Simd};
use super::{Activation, Isa, elementwise};
use crate::error::ShapeError;
pub use fold::{Norm, inverse_deviation};
pub use gradient::{Forward, Grads, backward, backward_input, backward_sums};
pub use shape::Planes;

/// The mean of every channel, and its biased variance, `Σ (x − mean)² / count`: two passes over `x`, sums of planes added in the order
/// of the batch.
///
/// # Shapes
/// `x [n, c, plane]`; `mean` and `variance [c]`.
/// # Accuracy
/// With `γ(k) = k·u / (1 − k·u)`, `k = plane + n + 2`, `u = 2⁻²⁴`, the mean is within `e = γ(k)·Σ|x| / count` and the variance within
/// `γ(k + 3)·(variance + e²) + e²`, on every instruction set: the mean's error enters only squared. Those with more lanes are several
/// times nearer, as each lane sums its share of a plane.
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length, [`ShapeError::Range`] for a batch without samples, which has no mean.
#[cfg_attr(not(feature = "std"), inline)]
pub fn statistics(
    isa: Isa,
    planes: &Planes,
    x: &[f32],
    mean: &mut [f32],
    variance: &mut [f32],
) -> Result<(), ShapeError> {
    planes.check("the input of a batch norm", x.len())?;
    planes.check_channels("the means of a batch norm", mean.len())?;
    planes.check_channels("the variances of a batch norm", variance.len())?;
    if planes.is_empty() {
        return Err(ShapeError::Range { what: "the samples of a batch norm", min: 1, max: i64::MAX, got: 0 });
    }
    isa.run(sums::Statistics { planes, x, mean, variance });
    Ok(())
}

/// `out = activation(x · scale[channel] + shift[channel])`; ReLU in the same pass.
///
/// # Shapes
/// `x` and `out [n, c, plane]`; `scale` and `shift [c]`.
/// # Accuracy
/// `|error| ≤ γ·(|x · scale| + |shift|)`, `γ = 2u / (1 − 2u)`, `u = 2⁻²⁴`, before the activation, and that of the
/// [activation](elementwise::activate).
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
#[cfg_attr(not(feature = "std"), inline)]
pub fn apply(
    isa: Isa,
    planes: &Planes,
    x: &[f32],
    [scale, shift]: [&[f32]; 2],
    activation: Activation,
    out: &mut [f32],
) -> Result<(), ShapeError> {
    planes.check("the input of a batch norm", x.len())?;
    applied(isa, planes, x, [scale, shift], activation, out)
}

/// [`apply`] in place: `x = activation(x · scale[channel] + shift[channel])`.
///
/// # Shapes
/// `x [n, c, plane]`; `scale` and `shift [c]`.
/// # Accuracy
/// As [`apply`].
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
#[cfg_attr(not(feature = "std"), inline)]
pub fn apply_in_place(
    isa: Isa,
    planes: &Planes,
    x: &mut [f32],
    [scale, shift]: [&[f32]; 2],
    activation: Activation,
) -> Result<(), ShapeError> {
    applied(isa, planes, InPlace, [scale, shift], activation, x)
}

#[cfg_attr(not(feature = "std"), inline)]
fn applied(
    isa: Isa,
    planes: &Planes,
    x: impl Operand,
    [scale, shift]: [&[f32]; 2],
    activation: Activation,
    out: &mut [f32],
) -> Result<(), ShapeError> {
    planes.check("the output of a batch norm", out.len())?;
    planes.check_channels("the factors of a batch norm", scale.len())?;
    planes.check_channels("the summands of a batch norm", shift.len())?;
    if activation == Activation::Relu {
        isa.run(Apply { planes, line: Line::<true>, x, scale, shift, out });
    } else {
        isa.run(Apply { planes, line: Line::<false>, x, scale, shift, out: &mut *out });
        elementwise::activate(isa, activation, out);
    }
    Ok(())
}

/// `x · scale + shift`, then ReLU if that is asked for.
#[derive(Clone, Copy)]
struct Line<const RELU: bool>;

impl<const RELU: bool> Formula for Line<RELU> {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::F32, scale: S::F32, shift: S::F32) -> S::F32 {
        rectified::<RELU, S>(simd, simd.mul_add(x, scale, shift))
    }
}

struct Apply<'a, 'o, F, X> {
    planes: &'a Planes,
    line: F,
    x: X,
    scale: &'a [f32],
    shift: &'a [f32],
    out: &'o mut [f32],
}

impl<F: Formula, X: Operand> Kernel for Apply<'_, '_, F, X> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { planes: &Planes { c, plane, .. }, line, x, scale, shift, out } = self;
        for (sample, out) in out.chunks_exact_mut(c * plane).enumerate() {
            let x = x.cut(sample * c * plane..(sample + 1) * c * plane);
            if plane == 1 {
                // Neighbours are channels: their factors fill a register as they lie.
                map(simd, line, x, (scale, shift), out);
                continue;
            }
            let lines = scale.iter().zip(shift);
            for (channel, (out, (scale, shift))) in out.chunks_exact_mut(plane).zip(lines).enumerate() {
                map(simd, line, x.cut(channel * plane..(channel + 1) * plane), (*scale, *shift), out);
            }
        }
    }
}

#[cfg(test)]
mod tests;

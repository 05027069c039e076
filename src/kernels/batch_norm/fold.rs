//! What of a batch normalisation does not depend on its input: one factor and one summand a channel.

use crate::error::{ShapeError, length};

/// The statistics and the parameters of a batch normalisation, one number a channel.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Mean of the batch, or its running average.
    pub mean: &'a [f32],
    /// Biased variance of the batch, or a running average.
    pub variance: &'a [f32],
    /// Deviation of the output.
    pub gamma: &'a [f32],
    /// Mean of the output.
    pub beta: &'a [f32],
    /// Added to the variance, so that nothing is divided by zero; PyTorch's default is 1e-5.
    pub eps: f32,
}

impl Norm<'_> {
    /// `scale = gamma / √(variance + eps)` and `shift = beta − mean · scale`, so that `out = x · scale + shift`.
    ///
    /// Where `variance + eps` is 0 the results are infinite or NaN, where it is negative NaN.
    ///
    /// # Accuracy
    /// In f64, rounded once: `|error| ≤ (u + 2⁻⁵⁰)·|scale|` where that is not subnormal, and for the summand, which belongs to the rounded factor,
    /// `u·|shift| + 2⁻⁵²·(|beta| + |mean · scale|)`; `u = 2⁻²⁴`.
    /// # Errors
    /// [`ShapeError::Length`] if the slices differ in length.
    pub fn fold(&self, scale: &mut [f32], shift: &mut [f32]) -> Result<(), ShapeError> {
        let Self { mean, variance, gamma, beta, eps } = *self;
        let c = mean.len();
        length("the variances of a batch norm", c, variance.len())?;
        length("the gammas of a batch norm", c, gamma.len())?;
        length("the betas of a batch norm", c, beta.len())?;
        length("the factors of a batch norm", c, scale.len())?;
        length("the summands of a batch norm", c, shift.len())?;
        for i in 0..c {
            scale[i] = (f64::from(gamma[i]) * inverse_root(f64::from(variance[i]) + f64::from(eps))) as f32;
            shift[i] = (f64::from(beta[i]) - f64::from(mean[i]) * f64::from(scale[i])) as f32;
        }
        Ok(())
    }
}

/// `inv_std = 1 / √(variance + eps)`, which [`backward`](super::backward) needs.
///
/// # Accuracy
/// `|error| ≤ (u + 2⁻⁵⁰)·inv_std`, `u = 2⁻²⁴`; infinite where `variance + eps` is 0, NaN where it is negative.
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn inverse_deviation(variance: &[f32], eps: f32, inv_std: &mut [f32]) -> Result<(), ShapeError> {
    length("the inverse deviations of a batch norm", variance.len(), inv_std.len())?;
    for (inv_std, variance) in inv_std.iter_mut().zip(variance) {
        *inv_std = inverse_root(f64::from(*variance) + f64::from(eps)) as f32;
    }
    Ok(())
}

/// `1/√x` within `2⁻⁵⁰` of itself, for sums of two f32: `core` has no square root.
///
/// The halved exponent gives a start within 3.5 % (constant: Robertson, *A Brief History of InvSqrt*, 2012); each of Newton's steps leaves
/// `3/2·e²` of an error `e`: 1.8e-3, 5e-6, 4e-11, then rounding alone.
fn inverse_root(x: f64) -> f64 {
    if x == 0.0 {
        return f64::INFINITY;
    }
    if x == f64::INFINITY {
        return 0.0;
    }
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    let mut y = f64::from_bits(0x5fe6_eb50_c7b5_37a9 - (x.to_bits() >> 1));
    for _ in 0..4 {
        y *= 1.5 - 0.5 * x * y * y;
    }
    y
}

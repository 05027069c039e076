//! The gradients of batch normalisation as a training step has it: mean and variance depend on the input too.

use super::Planes;
use crate::error::ShapeError;
use crate::kernels::Isa;
use crate::kernels::map::{Formula, load, map, store};
use crate::kernels::simd::{Kernel, Simd};

/// What the forward pass of a training step leaves for the gradient.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// The input, `[n, c, plane]`.
    pub x: &'a [f32],
    /// Means of the batch, `[c]`.
    pub mean: &'a [f32],
    /// `1 / √(variance + eps)` of the batch, `[c]`.
    pub inv_std: &'a [f32],
    /// `[c]`
    pub gamma: &'a [f32],
}

/// Where the gradients go; all are overwritten.
#[derive(Debug)]
pub struct Grads<'a> {
    /// `[n, c, plane]`
    pub x: &'a mut [f32],
    /// `[c]`
    pub gamma: &'a mut [f32],
    /// `[c]`
    pub beta: &'a mut [f32],
}

/// The gradients of a loss from that by the output, with `x̂ = (x − mean)·inv_std`:
/// `d_gamma = Σ d_out·x̂`, `d_beta = Σ d_out`, `d_x = gamma·inv_std·(d_out − d_beta/count − x̂·d_gamma/count)`.
///
/// Sums of planes are added in the order of the batch. All gradients of an empty batch are 0.
///
/// # Shapes
/// `d_out [n, c, plane]`, the others as [`Forward`] and [`Grads`] say.
/// # Accuracy
/// With `γ(k) = k·u / (1 − k·u)`, `k = plane + n + 12`, `u = 2⁻²⁴`: `d_beta` within `γ(k)·Σ|d_out|`, `d_gamma` within `γ(k)·Σ|d_out·x̂|`,
/// `d_x` within `γ(k)·|gamma·inv_std|·(|d_out| + Σ|d_out|/count + |x̂|·Σ|d_out·x̂|/count)`; the statistics taken as they are given.
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
#[cfg_attr(not(feature = "std"), inline)]
pub fn backward(
    isa: Isa,
    planes: &Planes,
    forward: Forward<'_>,
    d_out: &[f32],
    grads: Grads<'_>,
) -> Result<(), ShapeError> {
    planes.check("the input of a batch norm", forward.x.len())?;
    planes.check("the output gradient of a batch norm", d_out.len())?;
    planes.check("the input gradient of a batch norm", grads.x.len())?;
    planes.check_channels("the means of a batch norm", forward.mean.len())?;
    planes.check_channels("the inverse deviations of a batch norm", forward.inv_std.len())?;
    planes.check_channels("the gammas of a batch norm", forward.gamma.len())?;
    planes.check_channels("the gradient of the gammas of a batch norm", grads.gamma.len())?;
    planes.check_channels("the gradient of the betas of a batch norm", grads.beta.len())?;
    grads.gamma.fill(0.0);
    grads.beta.fill(0.0);
    if !planes.is_empty() {
        isa.run(Backward { planes, forward, d_out, grads });
    }
    Ok(())
}

struct Backward<'a, 'o> {
    planes: &'a Planes,
    forward: Forward<'a>,
    d_out: &'a [f32],
    grads: Grads<'o>,
}

impl Kernel for Backward<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        if self.planes.plane == 1 {
            self.columns(simd);
        } else {
            self.planes(simd);
        }
    }
}

impl Backward<'_, '_> {
    /// Planes of several elements: along them, with the numbers of their channel in every lane.
    #[inline(always)]
    fn planes<S: Simd>(self, simd: S) {
        let Self { planes, forward: Forward { x, mean, inv_std, gamma }, d_out, grads } = self;
        let &Planes { c, plane, .. } = planes;
        let sample = c * plane;
        for (x, d_out) in x.chunks_exact(sample).zip(d_out.chunks_exact(sample)) {
            let pairs = x.chunks_exact(plane).zip(d_out.chunks_exact(plane));
            let sums = grads.gamma.iter_mut().zip(&mut *grads.beta);
            for (((x, d_out), mean), (moment, sum)) in pairs.zip(mean).zip(sums) {
                let [m, s] = moments(simd, x, d_out, *mean);
                *moment += m;
                *sum += s;
            }
        }
        for (moment, inv_std) in grads.gamma.iter_mut().zip(inv_std) {
            *moment *= inv_std;
        }
        let count = planes.count() as f32;
        let samples = x.chunks_exact(sample).zip(d_out.chunks_exact(sample));
        for ((x, d_out), d_x) in samples.zip(grads.x.chunks_exact_mut(sample)) {
            let pairs = x.chunks_exact(plane).zip(d_out.chunks_exact(plane));
            for (channel, ((x, d_out), d_x)) in pairs.zip(d_x.chunks_exact_mut(plane)).enumerate() {
                let formula = Gradient {
                    mean_d_out: grads.beta[channel] / count,
                    slope: inv_std[channel] * grads.gamma[channel] / count,
                    factor: gamma[channel] * inv_std[channel],
                };
                map(simd, formula, d_out, (x, mean[channel]), d_x);
            }
        }
    }

    /// Planes of one element: a register of channels at a time, down the samples.
    #[inline(always)]
    fn columns<S: Simd>(self, simd: S) {
        let Self { planes, forward: Forward { x, mean, inv_std, gamma }, d_out, grads } = self;
        let c = planes.c;
        let count = simd.splat(planes.count() as f32);
        let mut from = 0;
        while from < c {
            let at = from..(from + S::LANES).min(c);
            let (mean, inv_std) = (load(simd, &mean[at.clone()]), load(simd, &inv_std[at.clone()]));
            let (mut moment, mut sum) = (simd.splat(0.0), simd.splat(0.0));
            for (x, d_out) in x.chunks_exact(c).zip(d_out.chunks_exact(c)) {
                let (x, d_out) = (load(simd, &x[at.clone()]), load(simd, &d_out[at.clone()]));
                moment = simd.mul_add(d_out, simd.sub(x, mean), moment);
                sum = simd.add(sum, d_out);
            }
            let d_gamma = simd.mul(moment, inv_std);
            store(simd, d_gamma, &mut grads.gamma[at.clone()]);
            store(simd, sum, &mut grads.beta[at.clone()]);
            let mean_d_out = simd.div(sum, count);
            let slope = simd.div(simd.mul(inv_std, d_gamma), count);
            let factor = simd.mul(load(simd, &gamma[at.clone()]), inv_std);
            let rows = x.chunks_exact(c).zip(d_out.chunks_exact(c));
            for ((x, d_out), d_x) in rows.zip(grads.x.chunks_exact_mut(c)) {
                let (x, d_out) = (load(simd, &x[at.clone()]), load(simd, &d_out[at.clone()]));
                let d_x = &mut d_x[at.clone()];
                store(simd, gradient(simd, d_out, simd.sub(x, mean), [mean_d_out, slope, factor]), d_x);
            }
            from = at.end;
        }
    }
}

/// `Σ d_out·(x − mean)` and `Σ d_out` over a plane, in two registers each.
#[inline(always)]
fn moments<S: Simd>(simd: S, x: &[f32], d_out: &[f32], mean: f32) -> [f32; 2] {
    let means = simd.splat(mean);
    let (mut moment, mut sum) = ([simd.splat(0.0); 2], [simd.splat(0.0); 2]);
    let (mut xs, mut ds) = (x.chunks_exact(2 * S::LANES), d_out.chunks_exact(2 * S::LANES));
    for (x, d_out) in (&mut xs).zip(&mut ds) {
        for j in 0..2 {
            let (x, d_out) = (simd.load(&x[j * S::LANES..]), simd.load(&d_out[j * S::LANES..]));
            moment[j] = simd.mul_add(d_out, simd.sub(x, means), moment[j]);
            sum[j] = simd.add(sum[j], d_out);
        }
    }
    let (mut xs, mut ds) = (xs.remainder().chunks_exact(S::LANES), ds.remainder().chunks_exact(S::LANES));
    for (x, d_out) in (&mut xs).zip(&mut ds) {
        let (x, d_out) = (simd.load(x), simd.load(d_out));
        moment[0] = simd.mul_add(d_out, simd.sub(x, means), moment[0]);
        sum[0] = simd.add(sum[0], d_out);
    }
    // The lanes after the last element hold d_out = 0 and count nothing.
    let (x, d_out) = (simd.load_partial(xs.remainder()), simd.load_partial(ds.remainder()));
    moment[1] = simd.mul_add(d_out, simd.sub(x, means), moment[1]);
    sum[1] = simd.add(sum[1], d_out);
    [simd.sum(simd.add(moment[0], moment[1])), simd.sum(simd.add(sum[0], sum[1]))]
}

/// `factor·(d_out − mean_d_out − slope·deviation)`, `slope = inv_std·d_gamma/count`.
#[inline(always)]
fn gradient<S: Simd>(simd: S, d_out: S::F32, deviation: S::F32, [mean_d_out, slope, factor]: [S::F32; 3]) -> S::F32 {
    let centred = simd.sub(d_out, mean_d_out);
    simd.mul(factor, simd.sub(centred, simd.mul(slope, deviation)))
}

/// [`gradient`] along a plane of `d_out` and `x`, with the mean beside them.
#[derive(Clone, Copy)]
struct Gradient {
    mean_d_out: f32,
    slope: f32,
    factor: f32,
}

impl Formula for Gradient {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, d_out: S::F32, x: S::F32, mean: S::F32) -> S::F32 {
        let coefficients = [simd.splat(self.mean_d_out), simd.splat(self.slope), simd.splat(self.factor)];
        gradient(simd, d_out, simd.sub(x, mean), coefficients)
    }
}

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
    planes.check("the input gradient of a batch norm", grads.x.len())?; // before anything is written
    backward_sums(isa, planes, forward, d_out, [&mut *grads.gamma, &mut *grads.beta])?;
    backward_input(isa, planes, forward, d_out, [&*grads.gamma, &*grads.beta], planes.count(), grads.x)
}

/// The first half of [`backward`]: `d_gamma = Σ d_out·x̂` and `d_beta = Σ d_out`, over these samples alone.
///
/// # Shapes
/// `d_out [n, c, plane]`, `d_gamma` and `d_beta [c]`, which are overwritten.
/// # Accuracy
/// As [`backward`].
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
#[cfg_attr(not(feature = "std"), inline)]
pub fn backward_sums(
    isa: Isa,
    planes: &Planes,
    forward: Forward<'_>,
    d_out: &[f32],
    [d_gamma, d_beta]: [&mut [f32]; 2],
) -> Result<(), ShapeError> {
    check(planes, forward, d_out, [d_gamma, d_beta])?;
    d_gamma.fill(0.0);
    d_beta.fill(0.0);
    if !planes.is_empty() {
        isa.run(Sums { planes, forward, d_out, d_gamma, d_beta });
    }
    Ok(())
}

/// The second half of [`backward`]: `d_x = gamma·inv_std·(d_out − d_beta/count − x̂·d_gamma/count)`, for some samples of a batch of `count`
/// elements a channel, whose sums over the whole batch are given.
///
/// # Shapes
/// `d_out` and `d_x [n, c, plane]`, `d_gamma` and `d_beta [c]`; `d_x` is overwritten.
/// # Accuracy
/// As [`backward`].
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
#[cfg_attr(not(feature = "std"), inline)]
pub fn backward_input(
    isa: Isa,
    planes: &Planes,
    forward: Forward<'_>,
    d_out: &[f32],
    [d_gamma, d_beta]: [&[f32]; 2],
    count: usize,
    d_x: &mut [f32],
) -> Result<(), ShapeError> {
    check(planes, forward, d_out, [d_gamma, d_beta])?;
    planes.check("the input gradient of a batch norm", d_x.len())?;
    if !planes.is_empty() {
        isa.run(Input { planes, forward, d_out, d_gamma, d_beta, count: count as f32, d_x });
    }
    Ok(())
}

fn check(
    planes: &Planes,
    Forward { x, mean, inv_std, gamma }: Forward<'_>,
    d_out: &[f32],
    [d_gamma, d_beta]: [&[f32]; 2],
) -> Result<(), ShapeError> {
    planes.check("the input of a batch norm", x.len())?;
    planes.check("the output gradient of a batch norm", d_out.len())?;
    planes.check_channels("the means of a batch norm", mean.len())?;
    planes.check_channels("the inverse deviations of a batch norm", inv_std.len())?;
    planes.check_channels("the gammas of a batch norm", gamma.len())?;
    planes.check_channels("the gradient of the gammas of a batch norm", d_gamma.len())?;
    planes.check_channels("the gradient of the betas of a batch norm", d_beta.len())
}

struct Sums<'a, 'o> {
    planes: &'a Planes,
    forward: Forward<'a>,
    d_out: &'a [f32],
    d_gamma: &'o mut [f32],
    d_beta: &'o mut [f32],
}

impl Kernel for Sums<'_, '_> {
    type Output = ();
    /// Along planes of several elements; planes of one a register of channels at a time, down the samples.
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { planes: &Planes { c, plane, .. }, forward: Forward { x, mean, inv_std, .. }, d_out, .. } = self;
        let (d_gamma, d_beta) = (self.d_gamma, self.d_beta);
        if plane == 1 {
            let mut from = 0;
            while from < c {
                let at = from..(from + S::LANES).min(c);
                let mean = load(simd, &mean[at.clone()]);
                let (mut moment, mut sum) = (simd.splat(0.0), simd.splat(0.0));
                for (x, d_out) in x.chunks_exact(c).zip(d_out.chunks_exact(c)) {
                    let (x, d_out) = (load(simd, &x[at.clone()]), load(simd, &d_out[at.clone()]));
                    moment = simd.mul_add(d_out, simd.sub(x, mean), moment);
                    sum = simd.add(sum, d_out);
                }
                let d_gamma_here = simd.mul(moment, load(simd, &inv_std[at.clone()]));
                store(simd, d_gamma_here, &mut d_gamma[at.clone()]);
                store(simd, sum, &mut d_beta[at.clone()]);
                from = at.end;
            }
            return;
        }
        let sample = c * plane;
        for (x, d_out) in x.chunks_exact(sample).zip(d_out.chunks_exact(sample)) {
            let pairs = x.chunks_exact(plane).zip(d_out.chunks_exact(plane));
            let sums = d_gamma.iter_mut().zip(&mut *d_beta);
            for (((x, d_out), mean), (moment, sum)) in pairs.zip(mean).zip(sums) {
                let [m, s] = moments(simd, x, d_out, *mean);
                *moment += m;
                *sum += s;
            }
        }
        for (moment, inv_std) in d_gamma.iter_mut().zip(inv_std) {
            *moment *= inv_std;
        }
    }
}

struct Input<'a, 'o> {
    planes: &'a Planes,
    forward: Forward<'a>,
    d_out: &'a [f32],
    d_gamma: &'a [f32],
    d_beta: &'a [f32],
    count: f32,
    d_x: &'o mut [f32],
}

impl Kernel for Input<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { planes: &Planes { c, plane, .. }, forward, d_out, d_gamma, d_beta, count, d_x } = self;
        let Forward { x, mean, inv_std, gamma } = forward;
        if plane == 1 {
            let counts = simd.splat(count);
            let mut from = 0;
            while from < c {
                let at = from..(from + S::LANES).min(c);
                let (mean, inv_std) = (load(simd, &mean[at.clone()]), load(simd, &inv_std[at.clone()]));
                let mean_d_out = simd.div(load(simd, &d_beta[at.clone()]), counts);
                let slope = simd.div(simd.mul(inv_std, load(simd, &d_gamma[at.clone()])), counts);
                let factor = simd.mul(load(simd, &gamma[at.clone()]), inv_std);
                let rows = x.chunks_exact(c).zip(d_out.chunks_exact(c));
                for ((x, d_out), d_x) in rows.zip(d_x.chunks_exact_mut(c)) {
                    let (x, d_out) = (load(simd, &x[at.clone()]), load(simd, &d_out[at.clone()]));
                    let d_x = &mut d_x[at.clone()];
                    store(simd, gradient(simd, d_out, simd.sub(x, mean), [mean_d_out, slope, factor]), d_x);
                }
                from = at.end;
            }
            return;
        }
        let sample = c * plane;
        let samples = x.chunks_exact(sample).zip(d_out.chunks_exact(sample));
        for ((x, d_out), d_x) in samples.zip(d_x.chunks_exact_mut(sample)) {
            let pairs = x.chunks_exact(plane).zip(d_out.chunks_exact(plane));
            for (channel, ((x, d_out), d_x)) in pairs.zip(d_x.chunks_exact_mut(plane)).enumerate() {
                let formula = Gradient {
                    mean_d_out: d_beta[channel] / count,
                    slope: inv_std[channel] * d_gamma[channel] / count,
                    factor: gamma[channel] * inv_std[channel],
                };
                map(simd, formula, d_out, (x, mean[channel]), d_x);
            }
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

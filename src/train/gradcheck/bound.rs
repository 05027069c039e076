//! How far the f32 computation may be from the oracle: a bound beside every value, forward and backward.
//!
//! Running error analysis from first principles (Higham, chapters 2 and 3). If the operands are `w` and `x ± ex`, a sum of `k`
//! products is off by at most `Σ|w|·ex` because of them, and by `γ(k + 2)·(Σ|w|·(|x| + ex) + |b|)` because of its own
//! roundings, in whatever order the kernel adds and whether or not it fuses. So the bounds hold for every instruction set
//! and any number of threads. Weights, inputs and labels are the same numbers in both computations.

use super::oracle::{Gradients, Linear, Point, Values, add_scaled};
use crate::graph::Op;
use crate::kernels::elementwise::{EXP_ULP, SIGMOID_ULP, TANH_ULP};
use crate::reference::{self, UNIT_ROUNDOFF};

/// Unit roundoff of f32 and a millionth more: that covers the oracle's own roundings, which are `2²⁹` times finer.
const U: f64 = UNIT_ROUNDOFF * WIDER;
const WIDER: f64 = 1.0 + 1.0 / 1_048_576.0;
/// Largest error of a product that underflows: half of the smallest subnormal, `2⁻¹⁵⁰`.
const UNDERFLOW: f64 = 0.5 * f32::from_bits(1) as f64;
/// The smallest normal number, `2⁻¹²⁶`: functions promise their units in the last place down to here, and this error below.
const SMALLEST_NORMAL: f64 = f32::MIN_POSITIVE as f64;
/// Largest error of the logarithm that turns a softmax sum into a loss, in units in the last place.
const LN_ULP: f64 = 2.0;

/// `γ(k)` with the unit roundoff of this file.
fn gamma(k: usize) -> f64 {
    reference::gamma(k) * WIDER
}

/// Largest error of a function good to `ulp` units in the last place if its result is at most `size`:
/// a unit is at most `2u = 2⁻²³` of a normal number.
fn ulps(ulp: f64, size: f64) -> f64 {
    ulp * 2.0 * U * size + SMALLEST_NORMAL
}

/// Bounds on the error of every value of a forward pass.
pub(super) fn forward(point: &Point<'_>, values: &Values) -> Values {
    let mut errors: Values = vec![vec![0.0; values[0].len()]];
    for (node, op) in point.graph.nodes().iter().map(|node| node.op).enumerate() {
        let (x, ex) = (&values[node], &errors[node]);
        let y = match op {
            Op::Flatten => ex.clone(),
            Op::Relu => map2(x, ex, |x, ex| if x < -ex { 0.0 } else { ex }),
            Op::Tanh => map2(x, ex, |x, ex| curved(reference::tanh(x), ex * tanh_slope(x, ex), TANH_ULP)),
            Op::Sigmoid => map2(x, ex, |x, ex| curved(reference::sigmoid(x), ex * sigmoid_slope(x, ex), SIGMOID_ULP)),
            Op::Linear { .. } => linear(point, node, x, ex),
        };
        errors.push(y);
    }
    errors
}

/// A function's inherited error and the error of its own.
fn curved(y: f64, inherited: f64, ulp: f64) -> f64 {
    inherited + ulps(ulp, y.abs() + inherited)
}

/// The steepest slope of tanh within `ex` of `x`: where the magnitude is least.
fn tanh_slope(x: f64, ex: f64) -> f64 {
    let y = reference::tanh((x.abs() - ex).max(0.0));
    (1.0 - y) * (1.0 + y)
}

/// The steepest slope of the sigmoid within `ex` of `x`.
fn sigmoid_slope(x: f64, ex: f64) -> f64 {
    let y = reference::sigmoid(-(x.abs() - ex).max(0.0));
    y * (1.0 - y)
}

/// Bounds for `x·Wᵀ + b`.
fn linear(point: &Point<'_>, node: usize, x: &[f64], ex: &[f64]) -> Vec<f64> {
    let Some(Linear { weight, bias, in_features: k, .. }) = point.linear(node) else { return Vec::new() };
    let mut errors = Vec::new();
    for (x, ex) in x.chunks_exact(k).zip(ex.chunks_exact(k)) {
        for (weight, bias) in weight.chunks_exact(k).zip(bias) {
            let (mut inherited, mut magnitude) = (0.0, bias.abs());
            for ((w, x), ex) in weight.iter().zip(x).zip(ex) {
                inherited += w.abs() * ex;
                magnitude += w.abs() * (x.abs() + ex);
            }
            errors.push(inherited + gamma(k + 2) * magnitude + k as f64 * UNDERFLOW);
        }
    }
    errors
}

/// What is known of one row of logits and the softmax over it.
struct Softmax<'a> {
    z: &'a [f64],
    ez: &'a [f64],
    max: f64,
    sum: f64,
    /// The largest error of a logit of this row.
    worst: f64,
    /// Bound on the error of `ln Σₖ exp(zₖ − max)` that the kernel's own roundings make.
    ln_sum: f64,
}

impl<'a> Softmax<'a> {
    fn new(z: &'a [f64], ez: &'a [f64]) -> Self {
        let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum = z.iter().map(|z| (z - max).exp()).sum();
        let worst = ez.iter().copied().fold(0.0, f64::max);
        let mut row = Self { z, ez, max, sum, worst, ln_sum: 0.0 };
        let terms = (0..z.len()).map(|j| row.ln_term(j)).fold(0.0, f64::max);
        // the terms' relative errors, the additions', and terms so small that `exp` gave up its units in the last place
        row.ln_sum = terms + gamma(z.len()) + z.len() as f64 * 2.0 * SMALLEST_NORMAL;
        row
    }

    /// `max − z[j]` at most, as the kernel sees it.
    fn depth(&self, j: usize) -> f64 {
        self.max - self.z[j] + 2.0 * self.worst
    }

    /// Bound on the kernel's own error of `exp(z[j] − max)`, as a difference of logarithms: the subtraction's rounding
    /// and the function's error.
    fn ln_term(&self, j: usize) -> f64 {
        U * self.depth(j) - (-2.0 * EXP_ULP * U).ln_1p()
    }

    /// The probability and a bound on its error.
    ///
    /// Logits off by at most `ez` move the odds `p / (1 − p)` by a factor of at most `exp(ez[j] + max ez)`, hence `p` by at most
    /// `p·(1 − p)` times that factor less 1. To this come the roundings of the term, of the sum, and of the division (by way
    /// of a reciprocal: two).
    fn prob(&self, j: usize) -> (f64, f64) {
        let p = (self.z[j] - self.max).exp() / self.sum;
        let moved = p * (1.0 - p) * (self.ez[j] + self.worst).exp_m1();
        let rounding = (self.ln_term(j) + self.ln_sum + gamma(2)).exp_m1();
        (p, moved + (p + moved) * rounding + 2.0 * SMALLEST_NORMAL)
    }

    /// Bound on the error of the loss `ln Σ − (z[label] − max)`.
    fn loss(&self, label: usize) -> f64 {
        let ln = self.sum.ln();
        let parts = self.depth(label) + ln + self.ln_sum; // the two parts of the last subtraction, at most
        self.ez[label] + self.worst + self.ln_sum + ulps(LN_ULP, ln + self.ln_sum) + gamma(2) * parts
    }
}

/// Bounds on the error of each sample's loss, not scaled.
pub(super) fn losses(point: &Point<'_>, values: &Values, errors: &Values) -> Vec<f64> {
    rows(point, values, errors).map(|(row, label)| row.loss(label)).collect()
}

/// Each sample's softmax and label.
fn rows<'a>(
    point: &'a Point<'_>,
    values: &'a Values,
    errors: &'a Values,
) -> impl Iterator<Item = (Softmax<'a>, usize)> {
    let (classes, last) = (point.graph.classes(), values.len() - 1);
    let rows = values[last].chunks_exact(classes).zip(errors[last].chunks_exact(classes));
    rows.zip(&point.labels).map(|((z, ez), &label)| (Softmax::new(z, ez), usize::from(label)))
}

/// Bounds on the error of the gradient by every parameter, in the order of the flat vector.
pub(super) fn backward(point: &Point<'_>, values: &Values, errors: &Values, gradients: &Gradients) -> Vec<f64> {
    let nodes = point.graph.nodes();
    let mut params = vec![0.0; point.params.len()];
    let mut d_errors = loss_gradient(point, values, errors);
    for (node, op) in nodes.iter().map(|node| node.op).enumerate().rev() {
        let (x, ex, y, ey) = (&values[node], &errors[node], &values[node + 1], &errors[node + 1]);
        let dy = &gradients.tensors[node + 1];
        let through = |slope: fn(f64, f64) -> (f64, f64)| {
            let slopes = y.iter().zip(ey).map(|(&y, &ey)| slope(y, ey));
            slopes.zip(dy.iter().zip(&d_errors)).map(|((d, ed), (&dy, &edy))| product(d, ed, dy, edy)).collect()
        };
        d_errors = match op {
            Op::Flatten => d_errors,
            Op::Relu => {
                // Beyond the bound both computations are on the same side; within it either may pass what the other stops.
                let sides = x.iter().zip(ex).zip(dy.iter().zip(&d_errors));
                let error = |((&x, &ex), (&dy, &edy)): ((&f64, &f64), (&f64, &f64))| match x {
                    x if x > ex => edy,
                    x if x < -ex => 0.0,
                    _ => dy.abs() + edy,
                };
                sides.map(error).collect()
            }
            // (1 − y)·(1 + y): both factors off by ey, three roundings before the product with dy
            Op::Tanh => through(|y, ey| {
                let (d, moved) = ((1.0 - y) * (1.0 + y), ey * (2.0 * y.abs() + ey));
                (d, moved + gamma(3) * (d.abs() + moved))
            }),
            // y·(1 − y)
            Op::Sigmoid => through(|y, ey| {
                let (d, moved) = (y * (1.0 - y), ey * ((1.0 - 2.0 * y).abs() + ey));
                (d, moved + gamma(2) * (d.abs() + moved))
            }),
            Op::Linear { .. } => linear_backward(point, node, [x, ex, dy, &d_errors], &mut params),
        };
    }
    params
}

/// Bound on the error of `d·dy` if the factors are off by `ed` and `edy`.
fn product(d: f64, ed: f64, dy: f64, edy: f64) -> f64 {
    let inherited = d.abs() * edy + dy.abs() * ed + ed * edy;
    inherited + gamma(1) * ((d * dy).abs() + inherited) + UNDERFLOW
}

/// Bounds for `dW = dyᵀ·x`, `db = Σ dy` (written into `params`) and `dx = dy·W` (returned).
fn linear_backward(point: &Point<'_>, node: usize, [x, ex, dy, edy]: [&Vec<f64>; 4], params: &mut [f64]) -> Vec<f64> {
    let Some(Linear { weight, in_features, out_features, .. }) = point.linear(node) else { return Vec::new() };
    let [d_weight, d_bias] = point.graph.node_params(node) else { return Vec::new() };
    let batch = point.labels.len();
    let at_most = |x: &[f64], ex: &[f64]| -> Vec<f64> { x.iter().zip(ex).map(|(x, ex)| x.abs() + ex).collect() };
    let (x_most, dy_most, w_most) = (at_most(x, ex), at_most(dy, edy), at_most(weight, &vec![0.0; weight.len()]));
    let mut dx = Vec::with_capacity(x.len());
    for n in 0..batch {
        let (ins, outs) = (n * in_features..(n + 1) * in_features, n * out_features..(n + 1) * out_features);
        let (mut inherited, mut magnitude) = (vec![0.0; in_features], vec![0.0; in_features]);
        for (o, at) in outs.enumerate() {
            let row = o * in_features..(o + 1) * in_features;
            // |dy|·ex + edy·(|x| + ex), and γ times the largest that the products can be
            let e_weight = &mut params[d_weight.range()][row.clone()];
            add_scaled(e_weight, dy[at].abs(), &ex[ins.clone()]);
            add_scaled(e_weight, edy[at] + gamma(batch + 2) * dy_most[at], &x_most[ins.clone()]);
            params[d_bias.range()][o] += edy[at] + gamma(batch) * dy_most[at];
            add_scaled(&mut inherited, edy[at], &w_most[row.clone()]);
            add_scaled(&mut magnitude, dy_most[at], &w_most[row]);
        }
        let rounded =
            |(inherited, magnitude)| inherited + gamma(out_features + 2) * magnitude + out_features as f64 * UNDERFLOW;
        dx.extend(inherited.iter().zip(magnitude).map(rounded));
    }
    params[d_weight.range()].iter_mut().for_each(|error| *error += batch as f64 * UNDERFLOW);
    dx
}

/// Bounds for `scale · (probs − onehot)`: three roundings (of the scale itself, the difference and the product), of terms
/// no larger than `probs + onehot`.
fn loss_gradient(point: &Point<'_>, values: &Values, errors: &Values) -> Vec<f64> {
    let classes = point.graph.classes();
    let mut bounds = Vec::new();
    for (row, label) in rows(point, values, errors) {
        for j in 0..classes {
            let ((p, ep), onehot) = (row.prob(j), f64::from(j == label));
            bounds.push(point.scale * (ep + gamma(3) * (p + ep + onehot)) + UNDERFLOW);
        }
    }
    bounds
}

/// `f(x, ex)`, element by element.
fn map2(x: &[f64], ex: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    x.iter().zip(ex).map(|(&x, &ex)| f(x, ex)).collect()
}

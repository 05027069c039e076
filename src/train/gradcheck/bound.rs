//! How far the f32 computation may be from the oracle: a bound beside every value, forward and backward.
//!
//! Running error analysis from first principles (Higham, chapters 2 and 3). If the operands are `w` and `x ± ex`, a sum of `k`
//! products is off by at most `Σ|w|·ex` because of them, and by `γ(k + 2)·(Σ|w|·(|x| + ex) + |b|)` because of its own
//! roundings, in whatever order the kernel adds and whether or not it fuses. So the bounds hold for every instruction set
//! and any number of threads. Weights, inputs and labels are the same numbers in both computations.

use super::norm::Norm;
use super::oracle::{Gradients, Point, Values, add_scaled};
use super::taps::{Factor, Tap, Taps};
use crate::graph::{Node, Op};
use crate::kernels::elementwise::{EXP_ULP, SIGMOID_ULP, TANH_ULP};
use crate::reference::{self, UNIT_ROUNDOFF};

/// Unit roundoff of f32 and a millionth more: that covers the oracle's own roundings, which are `2²⁹` times finer.
pub(super) const U: f64 = UNIT_ROUNDOFF * WIDER;
const WIDER: f64 = 1.0 + 1.0 / 1_048_576.0;
/// Largest error of a product that underflows: half of the smallest subnormal, `2⁻¹⁵⁰`.
pub(super) const UNDERFLOW: f64 = 0.5 * f32::from_bits(1) as f64;
/// The smallest normal number, `2⁻¹²⁶`: functions promise their units in the last place down to here, and this error below.
const SMALLEST_NORMAL: f64 = f32::MIN_POSITIVE as f64;
/// Largest error of the logarithm that turns a softmax sum into a loss, in units in the last place.
const LN_ULP: f64 = 2.0;

/// `γ(k)` with the unit roundoff of this file.
pub(super) fn gamma(k: usize) -> f64 {
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
    for (node, Node { op, inputs, .. }) in point.graph.nodes().iter().enumerate() {
        let (x, ex) = (&values[inputs[0].0], &errors[inputs[0].0]);
        if let Some(taps) = &point.maps[node] {
            let y = linear(point, node, taps, x, ex);
            errors.push(y);
            continue;
        }
        let y = match *op {
            Op::Relu => map2(x, ex, |x, ex| if x < -ex { 0.0 } else { ex }),
            Op::Tanh => map2(x, ex, |x, ex| curved(reference::tanh(x), ex * tanh_slope(x, ex), TANH_ULP)),
            Op::Sigmoid => map2(x, ex, |x, ex| curved(reference::sigmoid(x), ex * sigmoid_slope(x, ex), SIGMOID_ULP)),
            Op::BatchNorm { .. } => Norm::of(point, node, x).forward_errors(x, ex),
            // Whichever is the largest, it is no further off than the worst of the window.
            Op::MaxPool2d(window) => {
                let windows = point.windows(node, window, x.len()).into_iter();
                windows.map(|places| places.into_iter().map(|at| ex[at]).fold(0.0, f64::max)).collect()
            }
            Op::Dropout { .. } => {
                let mask = point.mask(node, x.len());
                let error = |((x, ex), factor): ((&f64, &f64), &f64)| factor * (ex + gamma(1) * (x.abs() + ex));
                x.iter().zip(ex).zip(&mask).map(error).collect()
            }
            Op::Add => {
                let (b, eb) = (&values[inputs[1].0], &errors[inputs[1].0]);
                let sum = |((a, ea), (b, eb)): ((&f64, &f64), (&f64, &f64))| ea + eb + U * ((a + b).abs() + ea + eb);
                x.iter().zip(ex).zip(b.iter().zip(eb)).map(sum).collect()
            }
            Op::LogSoftmax => {
                let classes = point.graph.shape(inputs[0]).elements();
                let rows = x.chunks_exact(classes).zip(ex.chunks_exact(classes)).map(|(z, ez)| Softmax::new(z, ez));
                rows.flat_map(|row| (0..classes).map(move |j| row.loss(j))).collect()
            }
            _ => ex.clone(), // flatten
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

/// Bounds for sums of products and a bias, of as many terms as an output has, or as the convolution's transforms make of them.
fn linear(point: &Point<'_>, node: usize, taps: &Taps, x: &[f64], ex: &[f64]) -> Vec<f64> {
    let params = &point.params;
    let mut terms = vec![0usize; taps.outputs];
    taps.taps.iter().for_each(|tap| terms[tap.to] += 1);
    let transformed = Transformed::of(point, node, false);
    let mut errors = Vec::new();
    for (x, ex) in x.chunks_exact(taps.inputs).zip(ex.chunks_exact(taps.inputs)) {
        let (mut inherited, mut magnitude) = (vec![0.0; taps.outputs], vec![0.0; taps.outputs]);
        for Tap { from, to, factor } in &taps.taps {
            let w = factor.get(params).abs();
            inherited[*to] += w * ex[*from];
            magnitude[*to] += w * (x[*from].abs() + ex[*from]);
        }
        if let Some(transformed) = &transformed {
            let most: Vec<f64> = x.iter().zip(ex).map(|(x, ex)| x.abs() + ex).collect();
            magnitude = transformed.magnitudes(params, &most, &magnitude);
        }
        for to in 0..taps.outputs {
            let bias = taps.bias.get(to).map_or(0.0, |&at| params[at].abs());
            let g = transformed.as_ref().map_or(gamma(terms[to] + 2), |transformed| transformed.factor * WIDER);
            errors.push(inherited[to] + g * (magnitude[to] + bias) + terms[to] as f64 * UNDERFLOW);
        }
    }
    errors
}

/// A convolution that goes by Winograd's transforms, whose error depends on whole channels.
struct Transformed {
    factor: f64,
    conv: crate::graph::Conv2d,
    weight: usize,
    /// Rows times columns of what is read and of what is written.
    pixels: [usize; 2],
    gradient: bool,
}

impl Transformed {
    fn of(point: &Point<'_>, node: usize, gradient: bool) -> Option<Self> {
        let Node { op, inputs, output, .. } = &point.graph.nodes()[node];
        let Op::Conv2d(conv) = *op else { return None };
        let (input, output) = (point.graph.shape(inputs[0]), point.graph.shape(*output));
        let sizes = conv.sizes(point.labels.len(), input.dims()[1], input.dims()[2]).ok()?;
        let weight = point.graph.node_params(node).first()?.offset;
        let mut pixels = [input, output].map(|shape| shape.dims()[1] * shape.dims()[2]);
        if gradient {
            pixels.reverse();
        }
        let factor = sizes.error_factor(gradient);
        sizes.is_transformed(gradient).then_some(Self { factor, conv, weight, pixels, gradient })
    }

    /// For each element written `Σ max|x_c|·max|w_c|` and its own magnitude, which is at least its size.
    fn magnitudes(&self, params: &[f64], x: &[f64], own: &[f64]) -> Vec<f64> {
        let [c_out, group, kh, kw] = self.conv.weight();
        let largest = |x: &[f64]| x.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        let of_weight = |o: usize, c: usize| {
            let start = self.weight + (o * group + c) * kh * kw;
            largest(&params[start..start + kh * kw])
        };
        let planes: Vec<f64> = x.chunks_exact(self.pixels[0]).map(largest).collect();
        let per_group = c_out / self.conv.groups;
        let sum = |channel: usize| -> f64 {
            if self.gradient {
                let first = channel / group * per_group;
                (first..first + per_group).map(|o| planes[o] * of_weight(o, channel % group)).sum()
            } else {
                let first = channel / per_group * group;
                (0..group).map(|c| planes[first + c] * of_weight(channel, c)).sum()
            }
        };
        own.iter().enumerate().map(|(at, own)| sum(at / self.pixels[1]) + own).collect()
    }
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
    let mut d_errors: Values = values.iter().map(|values| vec![0.0; values.len()]).collect();
    d_errors[nodes.len()] = loss_gradient(point, values, errors);
    let mut read = vec![0usize; values.len()];
    for (node, Node { op, inputs, .. }) in nodes.iter().enumerate().rev() {
        let from = inputs[0].0;
        let (x, ex, y, ey) = (&values[from], &errors[from], &values[node + 1], &errors[node + 1]);
        let (dy, edy) = (&gradients.tensors[node + 1], std::mem::take(&mut d_errors[node + 1]));
        let through = |slope: fn(f64, f64) -> (f64, f64)| -> Vec<f64> {
            let slopes = y.iter().zip(ey).map(|(&y, &ey)| slope(y, ey));
            slopes.zip(dy.iter().zip(&edy)).map(|((d, ed), (&dy, &edy))| product(d, ed, dy, edy)).collect()
        };
        let e_x = match (*op, &point.maps[node]) {
            (_, Some(taps)) => linear_backward(point, node, taps, [x, ex, dy, &edy], &mut params),
            (Op::Relu, _) => {
                // Beyond the bound both computations are on the same side; within it either may pass what the other stops.
                let sides = x.iter().zip(ex).zip(dy.iter().zip(&edy));
                let error = |((&x, &ex), (&dy, &edy)): ((&f64, &f64), (&f64, &f64))| match x {
                    x if x > ex => edy,
                    x if x < -ex => 0.0,
                    _ => dy.abs() + edy,
                };
                sides.map(error).collect()
            }
            // (1 − y)·(1 + y): both factors off by ey, three roundings before the product with dy
            (Op::Tanh, _) => through(|y, ey| {
                let (d, moved) = ((1.0 - y) * (1.0 + y), ey * (2.0 * y.abs() + ey));
                (d, moved + gamma(3) * (d.abs() + moved))
            }),
            // y·(1 − y)
            (Op::Sigmoid, _) => through(|y, ey| {
                let (d, moved) = (y * (1.0 - y), ey * ((1.0 - 2.0 * y).abs() + ey));
                (d, moved + gamma(2) * (d.abs() + moved))
            }),
            (Op::BatchNorm { .. }, _) => {
                let ([e_gamma, e_beta], e_x) = Norm::of(point, node, x).backward_errors([x, ex, dy, &edy]);
                if let [d_gamma, d_beta] = point.graph.node_params(node) {
                    params[d_gamma.range()].copy_from_slice(&e_gamma);
                    params[d_beta.range()].copy_from_slice(&e_beta);
                }
                e_x
            }
            // Points are chosen so that rounding moves no maximum; a pixel may be that of several windows.
            (Op::MaxPool2d(window), _) => {
                let (mut inherited, mut size, mut windows) =
                    (vec![0.0; x.len()], vec![0.0; x.len()], vec![0usize; x.len()]);
                for ((at, dy), edy) in point.maxima(node, window, x).into_iter().zip(dy).zip(&edy) {
                    inherited[at] += edy;
                    size[at] += dy.abs() + edy;
                    windows[at] += 1;
                }
                let bound = |at: usize| inherited[at] + gamma(windows[at]) * size[at];
                (0..x.len()).map(bound).collect()
            }
            (Op::Dropout { .. }, _) => {
                let mask = point.mask(node, x.len());
                let error = |((dy, edy), factor): ((&f64, &f64), &f64)| factor * (edy + gamma(1) * (dy.abs() + edy));
                dy.iter().zip(&edy).zip(&mask).map(error).collect()
            }
            (Op::LogSoftmax, _) => log_softmax_backward(point.graph.shape(inputs[0]).elements(), [y, ey, dy, &edy]),
            _ => edy, // flatten and both addends of a sum
        };
        for input in inputs {
            let sum = &mut d_errors[input.0];
            add_scaled(sum, 1.0, &e_x);
            read[input.0] += 1;
            if read[input.0] > 1 {
                // Added to what other readers left: a rounding of a sum that is no larger than all its parts.
                let parts = &gradients.parts[input.0];
                sum.iter_mut().zip(parts).for_each(|(sum, parts)| *sum += U * (parts + *sum));
            }
        }
    }
    params
}

/// Bounds for `d = dy − exp(y)·Σ dy`, row by row.
fn log_softmax_backward(classes: usize, [y, ey, dy, edy]: [&[f64]; 4]) -> Vec<f64> {
    let mut errors = Vec::new();
    for start in (0..y.len()).step_by(classes) {
        let row = start..start + classes;
        let sum = row.clone().map(|j| dy[j]).sum::<f64>().abs();
        let most = |j: usize| dy[j].abs() + edy[j];
        let e_sum = row.clone().map(|j| edy[j] + gamma(classes) * most(j)).sum::<f64>();
        for j in row {
            let p = y[j].exp();
            let e_p = p * (ey[j] + 4.0 * U).exp_m1() + SMALLEST_NORMAL;
            let inherited = edy[j] + e_p * (sum + e_sum) + p * e_sum;
            errors.push(inherited + gamma(2) * (most(j) + (p + e_p) * (sum + e_sum)) + UNDERFLOW);
        }
    }
    errors
}

/// Bound on the error of `d·dy` if the factors are off by `ed` and `edy`.
fn product(d: f64, ed: f64, dy: f64, edy: f64) -> f64 {
    let inherited = d.abs() * edy + dy.abs() * ed + ed * edy;
    inherited + gamma(1) * ((d * dy).abs() + inherited) + UNDERFLOW
}

/// Bounds for `dW = dyᵀ·x`, `db = Σ dy` (written into `params`) and `dx = dy·W` (returned), of a linear map.
fn linear_backward(
    point: &Point<'_>,
    node: usize,
    taps: &Taps,
    [x, ex, dy, edy]: [&[f64]; 4],
    params: &mut [f64],
) -> Vec<f64> {
    let batch = point.labels.len();
    let most = |x: &[f64], ex: &[f64]| -> Vec<f64> { x.iter().zip(ex).map(|(x, ex)| x.abs() + ex).collect() };
    let (x_most, dy_most) = (most(x, ex), most(dy, edy));
    // Terms of each sum: of a weight over all samples, of an input over all outputs of its sample.
    let (mut weight_terms, mut input_terms) = (vec![0usize; params.len()], vec![0usize; taps.inputs]);
    for Tap { from, factor, .. } in &taps.taps {
        input_terms[*from] += 1;
        if let Factor::Param(at) = *factor {
            weight_terms[at] += batch;
        }
    }
    taps.bias.iter().for_each(|&at| weight_terms[at] += batch);
    let transformed = Transformed::of(point, node, true);
    let mut dx = Vec::with_capacity(x.len());
    for n in 0..batch {
        let (ins, outs) = (n * taps.inputs, n * taps.outputs);
        let (mut inherited, mut magnitude) = (vec![0.0; taps.inputs], vec![0.0; taps.inputs]);
        for Tap { from, to, factor } in &taps.taps {
            let (i, o) = (ins + from, outs + to);
            let w = factor.get(&point.params).abs();
            inherited[*from] += w * edy[o];
            magnitude[*from] += w * dy_most[o];
            if let Factor::Param(at) = *factor {
                // |dy|·ex + edy·(|x| + ex), and γ times the largest that the products can be
                let g = gamma(weight_terms[at] + 2);
                params[at] += dy[o].abs() * ex[i] + edy[o] * x_most[i] + g * dy_most[o] * x_most[i] + UNDERFLOW;
            }
        }
        for (to, &at) in taps.bias.iter().enumerate() {
            params[at] += edy[outs + to] + gamma(weight_terms[at]) * dy_most[outs + to];
        }
        if let Some(transformed) = &transformed {
            magnitude = transformed.magnitudes(&point.params, &dy_most[outs..outs + taps.outputs], &magnitude);
        }
        for i in 0..taps.inputs {
            let g = transformed.as_ref().map_or(gamma(input_terms[i] + 2), |transformed| transformed.factor * WIDER);
            dx.push(inherited[i] + g * magnitude[i] + input_terms[i] as f64 * UNDERFLOW);
        }
    }
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

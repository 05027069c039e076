//! Batch normalisation by the statistics of the batch, in f64: values, gradients, and bounds for f32.

use super::bound::{U, UNDERFLOW, gamma};
use super::oracle::Point;
use crate::graph::Op;
use crate::train::ops::batch_norm::EPS;

/// What a batch norm makes of one batch.
pub(super) struct Norm {
    channels: usize,
    plane: usize,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    mean: Vec<f64>,
    inv_std: Vec<f64>,
}

/// Bounds on the errors of a forward pass in f32, by channel.
struct Errors {
    mean: f64,
    inv_std: f64,
}

impl Norm {
    /// Node `node` over the batch `x`.
    pub(super) fn of(point: &Point<'_>, node: usize, x: &[f64]) -> Self {
        let Op::BatchNorm { features: channels } = point.graph.nodes()[node].op else { unreachable!("a batch norm") };
        let plane = x.len() / (point.labels.len() * channels);
        let param = |at: usize| point.params[point.graph.node_params(node)[at].range()].to_vec();
        let (gamma, beta) = (param(0), param(1));
        let mut norm = Self { channels, plane, gamma, beta, mean: Vec::new(), inv_std: Vec::new() };
        for channel in 0..channels {
            let own: Vec<f64> = norm.places(channel, x.len()).map(|at| x[at]).collect();
            let count = own.len() as f64;
            let mean = own.iter().sum::<f64>() / count;
            let variance = own.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            norm.mean.push(mean);
            norm.inv_std.push(1.0 / (variance + f64::from(EPS)).sqrt());
        }
        norm
    }

    /// The largest inverse deviation of a channel; 0 where a channel is one number, whose deviation is 0 whatever it is.
    pub(super) fn steepest(&self, x: &[f64]) -> f64 {
        if x.len() == self.channels { 0.0 } else { self.inv_std.iter().copied().fold(0.0, f64::max) }
    }

    /// Where the elements of a channel lie.
    fn places(&self, channel: usize, len: usize) -> impl Iterator<Item = usize> + use<> {
        let (plane, channels) = (self.plane, self.channels);
        (0..len).filter(move |at| at / plane % channels == channel)
    }

    fn channel(&self, at: usize) -> usize {
        at / self.plane % self.channels
    }

    /// Elements of a channel.
    fn count(&self, len: usize) -> f64 {
        (len / self.channels) as f64
    }

    fn hat(&self, at: usize, x: f64) -> f64 {
        (x - self.mean[self.channel(at)]) * self.inv_std[self.channel(at)]
    }

    pub(super) fn forward(&self, x: &[f64], y: &mut Vec<f64>) {
        let value =
            |(at, x): (usize, &f64)| self.gamma[self.channel(at)] * self.hat(at, *x) + self.beta[self.channel(at)];
        y.extend(x.iter().enumerate().map(value));
    }

    /// The gradients by gamma and beta, and by the input.
    pub(super) fn backward(&self, x: &[f64], dy: &[f64]) -> ([Vec<f64>; 2], Vec<f64>) {
        let (mut d_gamma, mut d_beta) = (vec![0.0; self.channels], vec![0.0; self.channels]);
        for (at, (x, dy)) in x.iter().zip(dy).enumerate() {
            d_gamma[self.channel(at)] += dy * self.hat(at, *x);
            d_beta[self.channel(at)] += dy;
        }
        let count = self.count(x.len());
        let dx = |(at, (x, dy)): (usize, (&f64, &f64))| {
            let c = self.channel(at);
            self.gamma[c] * self.inv_std[c] * (dy - d_beta[c] / count - self.hat(at, *x) * d_gamma[c] / count)
        };
        let dx = x.iter().zip(dy).enumerate().map(dx).collect();
        ([d_gamma, d_beta], dx)
    }

    /// Terms of the longest sum of the kernels, as their accuracy counts them, and one rounding where pieces are joined.
    fn terms(&self, len: usize) -> usize {
        self.plane + len / (self.plane * self.channels) + 13
    }

    /// How far the statistics of a channel may be off if the inputs are off by `ex`.
    fn errors(&self, channel: usize, x: &[f64], ex: &[f64]) -> Errors {
        let count = self.count(x.len());
        let g = gamma(self.terms(x.len()));
        let sum = |of: &dyn Fn(usize) -> f64| self.places(channel, x.len()).map(of).sum::<f64>() / count;
        let mean = sum(&|at| ex[at]) + g * sum(&|at| x[at].abs() + ex[at]);
        let deviation = |at: usize| (x[at] - self.mean[channel]).abs();
        let moved = sum(&|at| (ex[at] + mean) * (2.0 * deviation(at) + ex[at] + mean));
        let variance = sum(&|at| deviation(at).powi(2));
        let off = moved + g * (variance + moved);
        let inv = self.inv_std[channel];
        // (v − off)^(−1/2) is further away than (v + off)^(−1/2); nothing is known where the variance may vanish.
        let nearest = 1.0 / (inv * inv) - off;
        let worst = if nearest > 0.0 { 1.0 / nearest.sqrt() - inv } else { f64::INFINITY };
        Errors { mean, inv_std: worst + 2.0 * U * (inv + worst) }
    }

    /// Bounds on the error of the output.
    pub(super) fn forward_errors(&self, x: &[f64], ex: &[f64]) -> Vec<f64> {
        let mut errors = vec![0.0; x.len()];
        for channel in 0..self.channels {
            let Errors { mean, inv_std } = self.errors(channel, x, ex);
            let (g, scale) = (self.gamma[channel].abs(), self.inv_std[channel] + inv_std);
            for at in self.places(channel, x.len()) {
                let deviation = (x[at] - self.mean[channel]).abs();
                let inherited = g * (scale * (ex[at] + mean) + inv_std * deviation);
                let size =
                    g * scale * (x[at].abs() + ex[at] + self.mean[channel].abs() + mean) + self.beta[channel].abs();
                errors[at] = inherited + gamma(6) * size + UNDERFLOW;
            }
        }
        errors
    }

    /// Bounds on the errors of the gradients by gamma and beta, and by the input.
    pub(super) fn backward_errors(&self, [x, ex, dy, edy]: [&[f64]; 4]) -> ([Vec<f64>; 2], Vec<f64>) {
        let ([d_gamma, d_beta], _) = self.backward(x, dy);
        let (mut e_gamma, mut e_beta, mut e_x) = (Vec::new(), Vec::new(), vec![0.0; x.len()]);
        let (count, g) = (self.count(x.len()), gamma(self.terms(x.len())));
        for c in 0..self.channels {
            let Errors { mean, inv_std } = self.errors(c, x, ex);
            let inv = self.inv_std[c] + inv_std;
            let hat = |at: usize| self.hat(at, x[at]).abs();
            let e_hat = |at: usize| inv * (ex[at] + mean) + inv_std * (x[at] - self.mean[c]).abs();
            let most = |at: usize| dy[at].abs() + edy[at];
            let sum = |of: &dyn Fn(usize) -> f64| self.places(c, x.len()).map(of).sum::<f64>();
            let moved = sum(&|at| edy[at] * (hat(at) + e_hat(at)) + dy[at].abs() * e_hat(at));
            let of_gamma = moved + g * sum(&|at| most(at) * (hat(at) + e_hat(at)));
            let of_beta = sum(&|at| edy[at]) + g * sum(&|at| most(at));
            let factor = self.gamma[c].abs() * inv;
            for at in self.places(c, x.len()) {
                let inner = dy[at] - d_beta[c] / count - self.hat(at, x[at]) * d_gamma[c] / count;
                let slope = d_gamma[c].abs() + of_gamma;
                let moved = edy[at] + (of_beta + e_hat(at) * slope + hat(at) * of_gamma) / count;
                let size = most(at) + (d_beta[c].abs() + of_beta + (hat(at) + e_hat(at)) * slope) / count;
                let inherited = factor * moved + self.gamma[c].abs() * inv_std * inner.abs();
                e_x[at] = inherited + g * factor * size + UNDERFLOW;
            }
            e_gamma.push(of_gamma + UNDERFLOW);
            e_beta.push(of_beta + UNDERFLOW);
        }
        ([e_gamma, e_beta], e_x)
    }
}

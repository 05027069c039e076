//! Plain loops in single precision of what passes over memory: the formula, as the reference of its kernels.

use crate::kernels::Activation;
use crate::kernels::batch_norm::{Forward, Planes};
use crate::kernels::update::Update;
use std::ops::Range;

/// Pooling of planes of `h x w` by windows of 2 x 2 without overlap; `fold` joins the four pixels of one.
pub(super) fn pool2x2([h, w]: [usize; 2], input: &[f32], out: &mut [f32], fold: impl Fn([f32; 4]) -> f32) {
    for (plane, out) in input.chunks_exact(h * w).zip(out.chunks_exact_mut(h / 2 * (w / 2))) {
        for (i, out) in out.iter_mut().enumerate() {
            let at = i / (w / 2) * 2 * w + i % (w / 2) * 2;
            *out = fold([plane[at], plane[at + 1], plane[at + w], plane[at + w + 1]]);
        }
    }
}

/// The gradient of the mean of windows of 2 x 2: a quarter to each pixel.
pub(super) fn mean2x2_backward([h, w]: [usize; 2], d_out: &[f32], d_input: &mut [f32]) {
    for (d_out, d_input) in d_out.chunks_exact(h / 2 * (w / 2)).zip(d_input.chunks_exact_mut(h * w)) {
        for (i, d_input) in d_input.iter_mut().enumerate() {
            *d_input = 0.25 * d_out[i / w / 2 * (w / 2) + i % w / 2];
        }
    }
}

/// The gradient of the largest of windows of 2 x 2: all of it to the first that is.
pub(super) fn max2x2_backward([h, w]: [usize; 2], input: &[f32], d_out: &[f32], d_input: &mut [f32]) {
    d_input.fill(0.0);
    let planes = input.chunks_exact(h * w).zip(d_out.chunks_exact(h / 2 * (w / 2)));
    for ((input, d_out), d_input) in planes.zip(d_input.chunks_exact_mut(h * w)) {
        for (i, d_out) in d_out.iter().enumerate() {
            let at = i / (w / 2) * 2 * w + i % (w / 2) * 2;
            let mut best = at;
            for other in [at + 1, at + w, at + w + 1] {
                best = if input[other] > input[best] { other } else { best };
            }
            d_input[best] = *d_out;
        }
    }
}

/// Mean and biased variance of every channel.
pub(super) fn statistics(planes: &Planes, x: &[f32], mean: &mut [f32], variance: &mut [f32]) {
    let (count, channels) = (planes.count() as f32, planes.channels());
    mean.fill(0.0);
    for (at, plane) in x.chunks_exact(planes.plane()).enumerate() {
        mean[at % channels] += plane.iter().sum::<f32>();
    }
    mean.iter_mut().for_each(|mean| *mean /= count);
    variance.fill(0.0);
    for (at, plane) in x.chunks_exact(planes.plane()).enumerate() {
        let mean = mean[at % channels];
        variance[at % channels] += plane.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>();
    }
    variance.iter_mut().for_each(|variance| *variance /= count);
}

/// The gradient of a batch norm by its input.
pub(super) fn batch_norm_backward(planes: &Planes, forward: Forward<'_>, d_out: &[f32], d_x: &mut [f32]) {
    let Forward { x, mean, inv_std, gamma } = forward;
    let (plane, channels, count) = (planes.plane(), planes.channels(), planes.count() as f32);
    let mut sums = vec![[0.0f32; 2]; channels];
    for (at, (x, d_out)) in x.chunks_exact(plane).zip(d_out.chunks_exact(plane)).enumerate() {
        let (channel, mut own) = (at % channels, [0.0f32; 2]);
        for (x, d_out) in x.iter().zip(d_out) {
            own[0] += d_out * ((x - mean[channel]) * inv_std[channel]);
            own[1] += d_out;
        }
        sums[channel][0] += own[0];
        sums[channel][1] += own[1];
    }
    let planes = x.chunks_exact(plane).zip(d_out.chunks_exact(plane));
    for (at, ((x, d_out), d_x)) in planes.zip(d_x.chunks_exact_mut(plane)).enumerate() {
        let channel = at % channels;
        let [d_gamma, d_beta] = sums[channel].map(|sum| sum / count);
        for ((x, d_out), d_x) in x.iter().zip(d_out).zip(d_x) {
            let normal = (x - mean[channel]) * inv_std[channel];
            *d_x = gamma[channel] * inv_std[channel] * (d_out - d_beta - normal * d_gamma);
        }
    }
}

/// The bilinear mean of the four pixels around a place, 0 outside of the image.
pub(super) fn bilinear(image: &[u8], [h, w]: [usize; 2], x: f32, y: f32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let (right, below) = (x - left, y - top);
    let pixel = |row: f32, col: f32| {
        let inside = row >= 0.0 && col >= 0.0 && row < h as f32 && col < w as f32;
        if inside { f32::from(image[row as usize * w + col as usize]) } else { 0.0 }
    };
    let above = pixel(top, left) * (1.0 - right) + pixel(top, left + 1.0) * right;
    let under = pixel(top + 1.0, left) * (1.0 - right) + pixel(top + 1.0, left + 1.0) * right;
    above * (1.0 - below) + under * below
}

/// Each row of `cols` becomes logarithms of probabilities.
pub(super) fn log_softmax(x: &mut [f32], cols: usize) {
    for row in x.chunks_exact_mut(cols) {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|x| (x - max).exp()).sum();
        let ln = sum.ln();
        row.iter_mut().for_each(|x| *x = *x - max - ln);
    }
}

/// Means of planes of `len` elements.
pub(super) fn plane_means(len: usize, input: &[f32], out: &mut [f32]) {
    for (plane, out) in input.chunks_exact(len).zip(out) {
        *out = plane.iter().sum::<f32>() / len as f32;
    }
}

/// Each row of `cols` becomes probabilities.
pub(super) fn softmax(x: &mut [f32], cols: usize) {
    for row in x.chunks_exact_mut(cols) {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|x| *x = (*x - max).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|x| *x /= sum);
    }
}

/// Each row becomes `factor · (softmax − onehot)`, and its loss `−ln softmax` at its label.
pub(super) fn cross_entropy(x: &mut [f32], cols: usize, labels: &[u8], factor: f32, losses: &mut [f32]) {
    softmax(x, cols);
    for ((row, label), loss) in x.chunks_exact_mut(cols).zip(labels).zip(losses) {
        *loss = -row[usize::from(*label)].ln();
        row.iter_mut().for_each(|x| *x *= factor);
        row[usize::from(*label)] -= factor;
    }
}

/// Element by element.
pub(super) fn activate(activation: Activation, x: &mut [f32]) {
    match activation {
        Activation::Identity => {}
        Activation::Relu => x.iter_mut().for_each(|x| *x = x.max(0.0)),
        Activation::Tanh => x.iter_mut().for_each(|x| *x = x.tanh()),
        Activation::Sigmoid => x.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
    }
}

/// One step of `rule`.
pub(super) fn update(rule: Update, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    match rule {
        Update::Sgd { lr } => w.iter_mut().zip(g).for_each(|(w, g)| *w -= lr * g),
        Update::Momentum { lr, mu } => {
            for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
                *v = mu * *v + g;
                *w -= lr * *v;
            }
        }
        Update::Adam { lr, beta1, beta2, eps, bias1, bias2, decay } => {
            let (new1, new2) = ((1.0 - beta1) as f32, (1.0 - beta2) as f32);
            let (beta1, beta2) = (beta1 as f32, beta2 as f32);
            for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
                *m = beta1 * *m + new1 * g;
                *v = beta2 * *v + new2 * g * g;
                *w = *w * (1.0 - lr * decay) - lr * (*m / bias1) / ((*v / bias2).sqrt() + eps);
            }
        }
        Update::Ema { lr, mu } => {
            for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
                *v = mu * *v + (1.0 - mu) * g;
                *w -= lr * *v;
            }
        }
        Update::Nesterov { lr, mu } => {
            for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
                *v = mu * *v + g;
                *w -= lr * (g + mu * *v);
            }
        }
    }
}

/// `clamp(zero_point + ⌊(sum + bias) · multiplier / 2^(31 + shift) + 1/2⌋)` with one factor for all channels.
pub(super) fn requantize(sums: &[i32], bias: &[i32], multiplier: i32, shift: u8, zero_point: i8, out: &mut [i8]) {
    let half = 1i64 << (30 + shift);
    for (sums, out) in sums.chunks_exact(bias.len()).zip(out.chunks_exact_mut(bias.len())) {
        for ((sum, bias), out) in sums.iter().zip(bias).zip(out) {
            let scaled = (i64::from(sum.wrapping_add(*bias)) * i64::from(multiplier) + half) >> (31 + shift);
            *out = (scaled + i64::from(zero_point)).clamp(-128, 127) as i8;
        }
    }
}

/// The elements of `runs` of each row of `width`, close together.
pub(super) fn take(runs: &[Range<usize>], width: usize, x: &[f32], out: &mut [f32]) {
    let mut at = 0;
    for row in x.chunks_exact(width) {
        for run in runs {
            for column in run.clone() {
                out[at] = row[column];
                at += 1;
            }
        }
    }
}

/// The other way: `x` to the elements of `runs` of each row of `width`, and 0 everywhere else.
pub(super) fn put(runs: &[Range<usize>], width: usize, x: &[f32], out: &mut [f32]) {
    let mut at = 0;
    for row in out.chunks_exact_mut(width) {
        row.fill(0.0);
        for run in runs {
            for column in run.clone() {
                row[column] = x[at];
                at += 1;
            }
        }
    }
}

/// Each image of `n` raw pixels becomes bytes, in place: the formula of [`Standardize`](crate::kernels::standardize_i8::Standardize).
pub(super) fn standardize(n: usize, multiplier: i32, shift: u8, zero: i8, images: &mut [i8]) {
    for image in images.chunks_exact_mut(n) {
        let pixels = || image.iter().map(|pixel| u64::from(*pixel as u8));
        let (sum, squares) = (pixels().sum::<u64>(), pixels().map(|pixel| pixel * pixel).sum::<u64>());
        let n = n as u64;
        let spread = n * squares - sum * sum;
        let slope = if spread == 0 {
            0
        } else {
            let e = spread.leading_zeros() / 2;
            ((multiplier as u64 * n) << e) / (spread << (2 * e)).isqrt()
        };
        let (mean, rest) = ((sum / n) as i64, ((slope * (sum % n) + n / 2) / n) as i64);
        let half = if shift > 0 { 1 << (shift - 1) } else { 0 };
        for pixel in image {
            let steps = ((i64::from(*pixel as u8) - mean) * slope as i64 - rest + half) >> shift;
            *pixel = (steps + i64::from(zero)).clamp(-128, 127) as i8;
        }
    }
}

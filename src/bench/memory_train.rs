//! Passes over memory that training makes between its products: batch norms and their gradients, dropout, sums, gradients of activations and
//! poolings, resampled digits.

use super::case::{Case, Then};
use super::conv_f32::layer;
use super::cost::Arithmetic::Single;
use super::error::BenchError;
use super::memory::case;
use super::operands::uniform;
use super::pass::Pass;
use super::setup::Setup;
use super::{plain, verify};
use crate::kernels::affine::{self, Affine, Pixels, Warp};
use crate::kernels::batch_norm::{self, Forward, Grads, Planes};
use crate::kernels::conv::conv2d_d_bias;
use crate::kernels::pool::{self, Pool};
use crate::kernels::{Activation, Isa, dropout, elementwise, softmax};
use crate::reference::{self, Exact, gamma};

/// A map of a convolution: samples, channels, pixels of a plane.
const MAP: [usize; 3] = [64, 32, 28 * 28];
/// A hidden layer: samples, outputs.
const HIDDEN: [usize; 2] = [200, 512];
/// Digits of a batch.
const DIGITS: usize = 200;

/// A map of a convolution, a hidden layer, a batch of logits and one of digits.
#[must_use]
pub fn cases() -> Vec<Case> {
    let (map, hidden) = (MAP.iter().product::<usize>(), HIDDEN.iter().product::<usize>());
    vec![
        case("batch_norm/statistics/64x32x28x28".to_owned(), map, 4, 4, Single, statistics),
        case("batch_norm/apply/64x32x28x28".to_owned(), map, 3, 8, Single, apply),
        case("batch_norm/backward/64x32x28x28".to_owned(), map, 9, 12, Single, backward),
        case("sum/64x32x28x28".to_owned(), map, 2, 12, Single, sum),
        case("conv2d_d_bias/64x32x28x28".to_owned(), map, 1, 4, Single, bias_gradient),
        // A gradient and its place, and the four pixels of a window.
        case("pool/max2x2_backward/64x32x28x28".to_owned(), map / 4, 1, 24, Single, maxima_backward),
        case("activation/relu_backward/200x512".to_owned(), hidden, 1, 12, Single, |case, setup, then| {
            slopes(Activation::Relu, 1.0, case, setup, then)
        }),
        case("activation/tanh_backward/200x512".to_owned(), hidden, 3, 12, Single, |case, setup, then| {
            slopes(Activation::Tanh, 1e-8, case, setup, then)
        }),
        case("dropout/200x512".to_owned(), hidden, 1, 8, Single, lost),
        case("column_sums/200x512".to_owned(), hidden, 1, 4, Single, column_sums),
        case("log_softmax/200x10".to_owned(), 2000, 5, 8, Single, logarithms),
        // Where a pixel comes from, and the mean of four.
        case("affine/200x28x28".to_owned(), DIGITS * 784, 19, 5, Single, turned),
        case("displace/28x28".to_owned(), 784, 13, 13, Single, displaced),
    ]
}

fn statistics(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let planes = Planes::new(MAP)?;
    let (x, channels) = (uniform(planes.len(), 1), planes.channels());
    let (mut mean, mut variance) = (vec![Exact::default(); channels], vec![0.0; channels]);
    reference::batch_norm_statistics_f64(&planes, &x, &mut mean, &mut variance)?;
    let terms = planes.plane() + planes.samples() + 2;
    let off = |mean: &Exact| gamma(terms) * mean.magnitude;
    let variances = variance.iter().zip(&mean).map(|(variance, mean)| {
        let square = off(mean).powi(2);
        (*variance, gamma(terms + 3) * (variance + square) + square)
    });
    let want: Vec<(f64, f64)> = mean.iter().map(|mean| (mean.sum, off(mean))).chain(variances).collect();
    Pass {
        fresh: vec![f32::NAN; 2 * channels],
        check: |out: &[f32]| verify::close(want.iter().copied(), out),
        plain: |out: &mut [f32]| {
            let (mean, variance) = out.split_at_mut(channels);
            plain::statistics(&planes, &x, mean, variance);
        },
        ours: |isa, out: &mut [f32]| {
            let (mean, variance) = out.split_at_mut(channels);
            batch_norm::statistics(isa, &planes, &x, mean, variance)
        },
    }
    .ways(case, setup, then)
}

/// The bias's gradient of a convolution of that map.
fn bias_gradient(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let [n, channels, _] = MAP;
    let conv = layer([n, 1, 28, 28], [channels, 1, 1, 0, 1]);
    let d_out = uniform(conv.output_len(), 1);
    let plane = conv.output_len() / n / channels;
    let mut want = vec![(0.0, 0.0); channels];
    for (at, plane) in d_out.chunks_exact(plane).enumerate() {
        let (sum, off) = &mut want[at % channels];
        for x in plane {
            *sum += f64::from(*x);
            *off += gamma(n * plane.len()) * f64::from(x.abs());
        }
    }
    Pass {
        fresh: vec![f32::NAN; channels],
        check: |out: &[f32]| verify::close(want.iter().copied(), out),
        plain: |out: &mut [f32]| {
            out.fill(0.0);
            for (at, plane) in d_out.chunks_exact(plane).enumerate() {
                out[at % channels] += plane.iter().sum::<f32>();
            }
        },
        ours: |isa, out: &mut [f32]| conv2d_d_bias(isa, &conv, &d_out, out),
    }
    .ways(case, setup, then)
}

/// With ReLU in the same pass.
fn apply(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let planes = Planes::new(MAP)?;
    let x = uniform(planes.len(), 1);
    let (scale, shift) = (uniform(planes.channels(), 2), uniform(planes.channels(), 3));
    let channel = |at: usize| at / planes.plane() % planes.channels();
    let line = |(at, x): (usize, &f32)| {
        let (product, shift) = (f64::from(*x) * f64::from(scale[channel(at)]), f64::from(shift[channel(at)]));
        ((product + shift).max(0.0), gamma(2) * (product.abs() + shift.abs()))
    };
    Pass {
        fresh: vec![f32::NAN; x.len()],
        check: |out: &[f32]| verify::close(x.iter().enumerate().map(line), out),
        plain: |out: &mut [f32]| {
            for (at, (out, x)) in out.chunks_exact_mut(planes.plane()).zip(x.chunks_exact(planes.plane())).enumerate() {
                let (scale, shift) = (scale[at % planes.channels()], shift[at % planes.channels()]);
                out.iter_mut().zip(x).for_each(|(out, x)| *out = (x * scale + shift).max(0.0));
            }
        },
        ours: |isa, out: &mut [f32]| batch_norm::apply(isa, &planes, &x, [&scale, &shift], Activation::Relu, out),
    }
    .ways(case, setup, then)
}

fn backward(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let planes = Planes::new(MAP)?;
    let (x, d_out, channels) = (uniform(planes.len(), 1), uniform(planes.len(), 2), planes.channels());
    let (mean, inv_std, factors) = (uniform(channels, 3), vec![3.5; channels], uniform(channels, 4));
    let forward = Forward { x: &x, mean: &mean, inv_std: &inv_std, gamma: &factors };
    let mut want = vec![Exact::default(); x.len()];
    let (mut d_gamma, mut d_beta) = (vec![Exact::default(); channels], vec![Exact::default(); channels]);
    reference::batch_norm_backward_f64(&planes, forward, &d_out, &mut want, [&mut d_gamma, &mut d_beta])?;
    let terms = planes.plane() + planes.samples() + 12;
    let (planes, d_out) = (&planes, &d_out[..]);
    Pass {
        fresh: vec![f32::NAN; x.len()],
        check: |out: &[f32]| verify::close(want.iter().map(|d| (d.sum, gamma(terms) * d.magnitude)), out),
        plain: |out: &mut [f32]| plain::batch_norm_backward(planes, forward, d_out, out),
        ours: {
            let (mut gamma, mut beta) = (vec![0.0; channels], vec![0.0; channels]);
            move |isa, out: &mut [f32]| {
                let grads = Grads { x: out, gamma: &mut gamma, beta: &mut beta };
                batch_norm::backward(isa, planes, forward, d_out, grads)
            }
        },
    }
    .ways(case, setup, then)
}

/// The end of a residual block.
fn sum(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let len = MAP.iter().product();
    let (a, b) = (uniform(len, 1), uniform(len, 2));
    let exact = |(a, b): (&f32, &f32)| {
        let sum = f64::from(*a) + f64::from(*b);
        (sum.max(0.0), gamma(1) * sum.abs())
    };
    Pass {
        fresh: vec![f32::NAN; len],
        check: |out: &[f32]| verify::close(a.iter().zip(&b).map(exact), out),
        plain: |out: &mut [f32]| out.iter_mut().zip(a.iter().zip(&b)).for_each(|(out, (a, b))| *out = (a + b).max(0.0)),
        ours: |isa, out: &mut [f32]| elementwise::add(isa, Activation::Relu, &a, &b, out),
    }
    .ways(case, setup, then)
}

fn maxima_backward(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let [n, c, _] = MAP;
    let pool = Pool::new([n, c, 28, 28], [2, 2], 2, 0)?;
    let (x, d_out) = (uniform(pool.input_len(), 1), uniform(pool.output_len(), 2));
    let (mut out, mut places) = (vec![0.0; d_out.len()], vec![0; d_out.len()]);
    pool::max_pool2d(Isa::SCALAR, &pool, &x, &mut out, &mut places)?;
    let mut want = vec![f32::NAN; x.len()];
    plain::max2x2_backward([28, 28], &x, &d_out, &mut want);
    let (plane, small) = (28 * 28, 14 * 14);
    Pass {
        fresh: vec![f32::NAN; x.len()],
        check: |out: &[f32]| verify::equal(&want, out),
        plain: |d_input: &mut [f32]| {
            d_input.fill(0.0);
            let outputs = d_out.chunks_exact(small).zip(places.chunks_exact(small));
            for ((d_out, places), d_input) in outputs.zip(d_input.chunks_exact_mut(plane)) {
                d_out.iter().zip(places).for_each(|(d, place)| d_input[*place as usize] += d);
            }
        },
        ours: |_, d_input: &mut [f32]| pool::max_pool2d_backward(&pool, &d_out, &places, d_input),
    }
    .ways(case, setup, then)
}

/// In place, again and again, from outputs up to `size`: of ReLU 0 or the gradient itself, of tanh so near 0 that its slope is 1; other slopes
/// are the tests' of `elementwise`.
fn slopes(
    activation: Activation,
    size: f32,
    case: &Case,
    setup: &Setup,
    then: &mut Then<'_>,
) -> Result<(), BenchError> {
    let len = HIDDEN.iter().product();
    let (y, dy): (Vec<f32>, _) = (uniform(len, 1).into_iter().map(|y| size * y).collect(), uniform(len, 2));
    let slope = move |y: f32| match activation {
        Activation::Relu => f32::from(y > 0.0),
        _ => 1.0 - y * y,
    };
    let want: Vec<f64> = y.iter().zip(&dy).map(|(y, dy)| f64::from(slope(*y)) * f64::from(*dy)).collect();
    Pass {
        fresh: dy,
        check: |out: &[f32]| verify::close(want.iter().map(|d| (*d, gamma(3) * d.abs())), out),
        plain: |dy: &mut [f32]| dy.iter_mut().zip(&y).for_each(|(dy, y)| *dy *= slope(*y)),
        ours: |isa, dy: &mut [f32]| elementwise::activate_backward(isa, activation, &y, dy),
    }
    .ways(case, setup, then)
}

/// Of every four elements three are kept. The plain loop draws one word at a time, from the seed on, of which the kernel draws sixteen.
fn lost(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (x, keep) = (uniform(HIDDEN.iter().product(), 1), 0.75f32);
    let key = dropout::Key::new(1, 2).layer(3);
    let word = |at: usize| reference::dropout_word(1, 2, 3, at as u64);
    let mut want = vec![f64::NAN; x.len()];
    reference::dropout_f64(keep, word, &x, &mut want)?;
    let limit = (f64::from(keep) * 4_294_967_296.0) as u32;
    Pass {
        fresh: vec![f32::NAN; x.len()],
        check: |out: &[f32]| verify::close(want.iter().map(|x| (*x, gamma(2) * x.abs())), out),
        plain: |out: &mut [f32]| {
            let kept = out.iter_mut().zip(&x).enumerate();
            kept.for_each(|(at, (out, x))| *out = if word(at) < limit { x / keep } else { 0.0 });
        },
        ours: |isa, out: &mut [f32]| dropout::apply(isa, key, 0, keep, &x, out),
    }
    .ways(case, setup, then)
}

/// The gradient by a bias.
fn column_sums(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let [rows, cols] = HIDDEN;
    let x = uniform(rows * cols, 1);
    let column = |col: usize| {
        let values = || (0..rows).map(|row| f64::from(x[row * cols + col]));
        (values().sum::<f64>(), gamma(rows) * values().map(f64::abs).sum::<f64>())
    };
    let want: Vec<(f64, f64)> = (0..cols).map(column).collect();
    Pass {
        fresh: vec![f32::NAN; cols],
        check: |out: &[f32]| verify::close(want.iter().copied(), out),
        plain: |out: &mut [f32]| {
            out.fill(0.0);
            x.chunks_exact(cols).for_each(|row| out.iter_mut().zip(row).for_each(|(out, x)| *out += x));
        },
        ours: |isa, out: &mut [f32]| elementwise::column_sums(isa, &x, out),
    }
    .ways(case, setup, then)
}

/// In place, again and again: logarithms of probabilities stay what they are.
fn logarithms(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (logits, cols) = (uniform(2000, 1), 10);
    let mut want: Vec<f64> = logits.iter().map(|x| f64::from(*x)).collect();
    reference::log_softmax(&mut want, cols)?;
    Pass {
        fresh: logits,
        // A sum of ten powers, its logarithm, and two differences.
        check: |out: &[f32]| verify::close(want.iter().map(|x| (*x, gamma(cols + 16) * (1.0 + x.abs()))), out),
        plain: |x: &mut [f32]| plain::log_softmax(x, cols),
        ours: |isa, x: &mut [f32]| softmax::log_softmax(isa, x, cols),
    }
    .ways(case, setup, then)
}

/// Ten degrees about the middle, of bytes.
fn turned(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let warp = Warp::new([28, 28], [28, 28])?;
    let (sin, cos) = 10f32.to_radians().sin_cos();
    let matrix = [[cos, -sin, 13.5 * (1.0 - cos + sin)], [sin, cos, 13.5 * (1.0 - sin - cos)]];
    let maps = vec![Affine::new(matrix)?; DIGITS];
    let images: Vec<u8> = uniform(DIGITS * 784, 1).into_iter().map(|x| (x * 510.0).abs() as u8).collect();
    let place = move |at: usize| {
        let (x, y) = ((at % 28) as f64, (at / 28 % 28) as f64);
        matrix.map(|[a, b, c]| f64::from(a) * x + f64::from(b) * y + f64::from(c))
    };
    let floats: Vec<f32> = images.iter().map(|pixel| f32::from(*pixel)).collect();
    let exact = |at: usize| {
        let [x, y] = place(at);
        reference::bilinear_f64(&floats[at / 784 * 784..][..784], [28, 28], x, y)
    };
    let want: Vec<f64> = (0..images.len()).map(exact).collect();
    Pass {
        fresh: vec![f32::NAN; images.len()],
        check: |out: &[f32]| verify::close(want.iter().map(|x| (*x, RESAMPLED)), out),
        plain: |out: &mut [f32]| {
            for (image, out) in images.chunks_exact(784).zip(out.chunks_exact_mut(784)) {
                for (at, out) in out.iter_mut().enumerate() {
                    let (x, y) = ((at % 28) as f32, (at / 28) as f32);
                    let [x, y] = matrix.map(|[a, b, c]| a * x + b * y + c);
                    *out = plain::bilinear(image, [28, 28], x, y);
                }
            }
        },
        ours: |isa, out: &mut [f32]| affine::affine_batch(isa, &warp, &maps, Pixels::U8(&images), out),
    }
    .ways(case, setup, then)
}

/// How far off a resampled byte may be: its place by some roundings of numbers up to 64 in both directions, where a pixel further on it may be
/// another by 255; and its own.
const RESAMPLED: f64 = (2.0 * 64.0 + 1.0) * 255.0 * 8.0 / (1 << 24) as f64;

/// Elastic: each pixel by itself, up to two.
fn displaced(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let warp = Warp::new([28, 28], [28, 28])?;
    let image: Vec<u8> = uniform(784, 1).into_iter().map(|x| (x * 510.0).abs() as u8).collect();
    let [dx, dy] = [2, 3].map(|seed| uniform(784, seed).into_iter().map(|d| 4.0 * d).collect::<Vec<f32>>());
    let floats: Vec<f32> = image.iter().map(|pixel| f32::from(*pixel)).collect();
    let exact = |at: usize| {
        let (x, y) = ((at % 28) as f64 + f64::from(dx[at]), (at / 28) as f64 + f64::from(dy[at]));
        (reference::bilinear_f64(&floats, [28, 28], x, y), RESAMPLED)
    };
    Pass {
        fresh: vec![f32::NAN; 784],
        check: |out: &[f32]| verify::close((0..784).map(exact), out),
        plain: |out: &mut [f32]| {
            for (at, out) in out.iter_mut().enumerate() {
                let (x, y) = ((at % 28) as f32 + dx[at], (at / 28) as f32 + dy[at]);
                *out = plain::bilinear(&image, [28, 28], x, y);
            }
        },
        ours: |isa, out: &mut [f32]| affine::displace(isa, &warp, Pixels::U8(&image), [&dx, &dy], out),
    }
    .ways(case, setup, then)
}

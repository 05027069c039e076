//! Passes over memory, which do little with each number: conversions, requantization, poolings, softmax, activations, updates, columns
//! of a matrix.
//!
//! An operation is one of the formula; `exp`, `tanh` and a root count as one each.

use super::case::{Case, Then};
use super::cost::{Arithmetic, Bound, Cost};
use super::error::BenchError;
use super::family::Family;
use super::operands::uniform;
use super::pass::Pass;
use super::plain;
use super::setup::Setup;
use super::verify;
use crate::kernels::columns::{self, Columns};
use crate::kernels::pool::{self, Pool};
use crate::kernels::requantize::{Multiplier, Requantize};
use crate::kernels::softmax::{cross_entropy, softmax};
use crate::kernels::update::{Penalty, Update, update};
use crate::kernels::{Activation, convert, elementwise, f16};
use crate::reference::{self, gamma};
use std::ops::Range;

/// What a first look is for: of each kind the one that stands for the others, and nothing that leaves the caches.
const QUICK: [&str; 21] = [
    "convert/to_f32/512x784",
    "convert/to_f16/512x784",
    "requantize/200x512",
    "pool/max2x2/64x32x28x28",
    "pool/mean2x2/64x32x28x28",
    "pool/global/64x128x7x7",
    "softmax/200x10",
    "activation/relu/200x512",
    "activation/tanh/200x512",
    "activation/sigmoid/200x512",
    "update/sgd/407050",
    "update/momentum/407050",
    "update/adam/407050",
    "update/blend/407050",
    "columns/take/512x784",
    "columns/put/512x784",
    "columns/pixels/200x784",
    "table_i8/200x512",
    "pool_i8/max2x2/64x28x28x32",
    "pool_i8/mean2x2/64x28x28x32",
    "standardize_i8/200x784",
];

/// Weights of a layer and of one beyond the caches, images of a convolution, a batch's logits and hidden layer, the parameters of
/// 784-512-10: [`Family::Memory`].
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, len) in [("512x784", 512 * 784), ("4096x4096", 4096 * 4096)] {
        cases.push(case(format!("convert/to_f32/{name}"), len, 1, 6, Arithmetic::Single, move |case, setup, then| {
            to_f32(len, case, setup, then)
        }));
        cases.push(case(format!("convert/to_f16/{name}"), len, 1, 6, Arithmetic::Single, move |case, setup, then| {
            to_f16(len, case, setup, then)
        }));
    }
    for (rows, channels) in [(200, 512), (16 * 28 * 28, 64)] {
        let name = format!("requantize/{rows}x{channels}");
        cases.push(case(name, rows * channels, 4, 5, Arithmetic::Pairs, move |case, setup, then| {
            requantize(rows, channels, case, setup, then)
        }));
    }
    let pools = [("max2x2", Pooling::Max), ("mean2x2", Pooling::Mean), ("mean2x2_backward", Pooling::MeanBackward)];
    for (name, pooling) in pools {
        // Each output has four pixels, and the place of a maximum is an output too; the largest takes three comparisons.
        let (operations, bytes) = if name == "max2x2" { (3, 24) } else { (4, 20) };
        let (name, outputs) = (format!("pool/{name}/64x32x28x28"), 64 * 32 * 14 * 14);
        cases.push(case(name, outputs, operations, bytes, Arithmetic::Single, move |case, setup, then| {
            pool2x2(pooling, case, setup, then)
        }));
    }
    cases.push(case("pool/global/64x128x7x7".to_owned(), 64 * 128, 49, 4 * 50, Arithmetic::Single, global));
    cases.push(case("softmax/200x10".to_owned(), 2000, 5, 8, Arithmetic::Single, probabilities));
    cases.push(case("cross_entropy/200x10".to_owned(), 2000, 6, 8, Arithmetic::Single, losses));
    for (name, activation) in [("relu", Activation::Relu), ("tanh", Activation::Tanh), ("sigmoid", Activation::Sigmoid)]
    {
        let (name, operations) = (format!("activation/{name}/200x512"), if name == "sigmoid" { 4 } else { 1 });
        cases.push(case(name, 200 * 512, operations, 8, Arithmetic::Single, move |case, setup, then| {
            activate(activation, case, setup, then)
        }));
    }
    let adam = Update::Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, bias1: 0.1, bias2: 1e-3, decay: 0.0 };
    for (name, rule, operations, bytes) in [
        ("sgd", Update::Sgd { lr: 1e-3 }, 2, 12),
        ("momentum", Update::Momentum { lr: 1e-3, mu: 0.9 }, 4, 20),
        ("nesterov", Update::Nesterov { lr: 1e-3, mu: 0.9 }, 6, 20),
        ("ema", Update::Ema { lr: 1e-3, mu: 0.9 }, 5, 20),
        ("adam", adam, 12, 28),
    ] {
        let name = format!("update/{name}/407050");
        cases.push(case(name, 407_050, operations, bytes, Arithmetic::Single, move |case, setup, then| {
            step(rule, case, setup, then)
        }));
    }
    cases.push(case("update/blend/407050".to_owned(), 407_050, 3, 12, Arithmetic::Single, blend));
    // The columns are read and written once; the whole row is written where they are put back.
    let lit: usize = lit().iter().map(ExactSizeIterator::len).sum();
    cases.push(case("columns/take/512x784".to_owned(), 512 * lit, 1, 8, Arithmetic::Single, take));
    cases.push(case("columns/put/512x784".to_owned(), 512, 784, 4 * (lit + 784), Arithmetic::Single, put));
    cases.push(case("columns/pixels/200x784".to_owned(), 200 * lit, 2, 5, Arithmetic::Single, pixels));
    cases
}

/// Of `len` elements, each with so many operations and bytes.
pub(super) fn case(
    name: String,
    len: usize,
    operations: usize,
    bytes: usize,
    arithmetic: Arithmetic,
    build: impl Fn(&Case, &Setup, &mut Then<'_>) -> Result<(), BenchError> + 'static,
) -> Case {
    let (operations, bytes) = ((len * operations) as u64, (len * bytes) as u64);
    let cost = Cost { operations, bytes, arithmetic, bound: Bound::Memory };
    Case::new(Family::Memory, name, &QUICK, cost, build)
}

fn to_f32(len: usize, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let src: Vec<f16> = uniform(len, 1).into_iter().map(f16::from_f32).collect();
    Pass {
        fresh: vec![f32::NAN; len],
        check: |out: &[f32]| verify::close(src.iter().map(|x| (x.to_f64(), 0.0)), out),
        plain: |out: &mut [f32]| out.iter_mut().zip(&src).for_each(|(out, x)| *out = x.to_f32_const()),
        ours: |isa, out: &mut [f32]| convert::to_f32(isa, &src, out),
    }
    .ways(case, setup, then)
}

fn to_f16(len: usize, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let src = uniform(len, 1);
    let want: Vec<f16> = src.iter().map(|x| f16::from_f32_const(*x)).collect();
    Pass {
        fresh: vec![f16::NAN; len],
        check: |out: &[f16]| verify::equal(&want, out),
        plain: |out: &mut [f16]| out.iter_mut().zip(&src).for_each(|(out, x)| *out = f16::from_f32_const(*x)),
        ours: |isa, out: &mut [f16]| convert::to_f16(isa, &src, out),
    }
    .ways(case, setup, then)
}

fn requantize(rows: usize, channels: usize, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let sums: Vec<i32> = uniform(rows * channels, 1).into_iter().map(|x| (x * 400_000.0) as i32).collect();
    let by = Multiplier { multiplier: 1_500_000_000, shift: 10 }; // 6.8e-4: outputs over most of the bytes
    let bias: Vec<i32> = (0..channels as i32).collect();
    let (multiplier, shift) = (vec![by.multiplier; channels], vec![by.shift.into(); channels]);
    let rule = Requantize::new(&bias, &multiplier, &shift, 3, (-128, 127))?;
    let plain = |out: &mut [i8]| plain::requantize(&sums, &bias, by.multiplier, by.shift, 3, out);
    let mut want = vec![0; sums.len()];
    plain(&mut want);
    Pass {
        fresh: vec![i8::MIN; sums.len()],
        check: |out: &[i8]| verify::equal(&want, out),
        plain,
        ours: |isa, out: &mut [i8]| rule.rows(isa, &sums, out),
    }
    .ways(case, setup, then)
}

#[derive(Clone, Copy)]
enum Pooling {
    Max,
    Mean,
    MeanBackward,
}

fn pool2x2(pooling: Pooling, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let pool = Pool::new([64, 32, 28, 28], [2, 2], 2, 0)?;
    let (src, out) = match pooling {
        Pooling::MeanBackward => (pool.output_len(), pool.input_len()),
        _ => (pool.input_len(), pool.output_len()),
    };
    let (x, side) = (uniform(src, 1), [28, 28]);
    let plain = |out: &mut [f32]| match pooling {
        Pooling::Max => plain::pool2x2(side, &x, out, |[a, b, c, d]| a.max(b).max(c).max(d)),
        Pooling::Mean => plain::pool2x2(side, &x, out, |[a, b, c, d]| 0.25 * (a + b + c + d)),
        Pooling::MeanBackward => plain::mean2x2_backward(side, &x, out),
    };
    let mut want = vec![f32::NAN; out];
    plain(&mut want);
    let tolerance = if matches!(pooling, Pooling::Max) { 0.0 } else { 2.0 * gamma(6) * 0.5 }; // both sums round
    let mut places = vec![0; if matches!(pooling, Pooling::Max) { out } else { 0 }];
    Pass {
        fresh: vec![f32::NAN; out],
        check: |out: &[f32]| verify::close(want.iter().map(|x| ((*x).into(), tolerance)), out),
        plain,
        ours: {
            let (pool, x) = (&pool, &x);
            move |isa, out: &mut [f32]| match pooling {
                Pooling::Max => pool::max_pool2d(isa, pool, x, out, &mut places),
                Pooling::Mean => pool::avg_pool2d(isa, pool, x, out),
                Pooling::MeanBackward => pool::avg_pool2d_backward(isa, pool, x, out),
            }
        },
    }
    .ways(case, setup, then)
}

fn global(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (planes, len) = (64 * 128, 7 * 7);
    let x = uniform(planes * len, 1);
    let mean = |plane: &[f32]| plane.iter().map(|x| f64::from(*x)).sum::<f64>() / len as f64;
    Pass {
        fresh: vec![f32::NAN; planes],
        check: |out: &[f32]| verify::close(x.chunks_exact(len).map(|plane| (mean(plane), gamma(len + 2) * 0.5)), out),
        plain: |out: &mut [f32]| plain::plane_means(len, &x, out),
        ours: |isa, out: &mut [f32]| pool::global_avg_pool(isa, len, &x, out),
    }
    .ways(case, setup, then)
}

/// In place, again and again: probabilities become probabilities.
fn probabilities(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (logits, cols) = (uniform(2000, 1), 10);
    let mut want: Vec<f64> = logits.iter().map(|x| f64::from(*x)).collect();
    reference::softmax(&mut want, cols)?;
    Pass {
        fresh: logits,
        check: |out: &[f32]| verify::close(want.iter().map(|p| (*p, gamma(cols + 16) * p)), out),
        plain: |x: &mut [f32]| plain::softmax(x, cols),
        ours: |isa, x: &mut [f32]| softmax(isa, x, cols),
    }
    .ways(case, setup, then)
}

fn losses(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (logits, rows, cols, factor) = (uniform(2000, 1), 200, 10, 1.0 / 200.0);
    let labels: Vec<u8> = (0..rows).map(|row| (row % cols) as u8).collect();
    let mut want: Vec<f64> = logits.iter().map(|x| f64::from(*x)).collect();
    reference::cross_entropy(&mut want, &labels, f64::from(factor), &mut vec![0.0; rows])?;
    let (mut naive, mut ours) = (vec![0.0; rows], vec![0.0; rows]);
    let labels = &labels[..];
    Pass {
        fresh: logits,
        // A probability less one cancels: the bound is that of one.
        check: |out: &[f32]| verify::close(want.iter().map(|d| (*d, gamma(cols + 16) * f64::from(factor))), out),
        plain: |x: &mut [f32]| plain::cross_entropy(x, cols, labels, factor, &mut naive),
        ours: move |isa, x: &mut [f32]| cross_entropy(isa, x, labels, factor, &mut ours),
    }
    .ways(case, setup, then)
}

/// In place, again and again: the values shrink, but never so far that they would be subnormal.
fn activate(activation: Activation, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let x = uniform(200 * 512, 1);
    let want: Vec<f64> = x.iter().map(|x| reference::activate(activation, (*x).into())).collect();
    Pass {
        fresh: x,
        check: |out: &[f32]| verify::close(want.iter().map(|y| (*y, gamma(8) * y.abs())), out), // three ULP are six u
        plain: |x: &mut [f32]| plain::activate(activation, x),
        ours: |isa, x: &mut [f32]| {
            elementwise::activate(isa, activation, x);
            Ok(())
        },
    }
    .ways(case, setup, then)
}

/// The first step is checked, from moments of zero; the others go on from there.
fn step(rule: Update, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let len = 407_050;
    let (w, g) = (uniform(len, 1), uniform(len, 2));
    let (m, v) = (vec![0.0; len], vec![0.0; len]);
    let want: Vec<(f64, f64)> = w.iter().zip(&g).map(|(w, g)| first_step(rule, (*w).into(), (*g).into())).collect();
    let (mut plain_m, mut plain_v) = (m.clone(), v.clone());
    let g = &g[..];
    Pass {
        fresh: w,
        check: |out: &[f32]| verify::close(want.iter().copied(), out),
        plain: |w: &mut [f32]| plain::update(rule, w, g, &mut plain_m, &mut plain_v),
        ours: {
            let (mut m, mut v) = (m, v);
            move |isa, w: &mut [f32]| update(isa, rule, Penalty::default(), w, g, &mut m, &mut v)
        },
    }
    .ways(case, setup, then)
}

/// A weight after its first step, and how far off it may be.
fn first_step(rule: Update, w: f64, g: f64) -> (f64, f64) {
    let change = match rule {
        Update::Sgd { lr } | Update::Momentum { lr, .. } => f64::from(lr) * g,
        Update::Nesterov { lr, mu } => f64::from(lr) * (1.0 + f64::from(mu)) * g,
        Update::Ema { lr, mu } => f64::from(lr) * (1.0 - f64::from(mu)) * g,
        Update::Adam { lr, beta1, beta2, eps, bias1, bias2, .. } => {
            let (m, v) = ((1.0 - beta1) * g / f64::from(bias1), (1.0 - beta2) * g * g / f64::from(bias2));
            f64::from(lr) * m / (v.sqrt() + f64::from(eps))
        }
    };
    (w - change, gamma(4) * w.abs() + gamma(64) * change.abs())
}

/// In place, again and again: the average comes nearer, but never so near that the difference would be subnormal.
fn blend(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (average, weights, rate) = (uniform(407_050, 1), uniform(407_050, 2), 1e-3f32);
    let of = |a: f32, w: f32| f64::from(a) + f64::from(rate) * (f64::from(w) - f64::from(a));
    let want: Vec<f64> = average.iter().zip(&weights).map(|(a, w)| of(*a, *w)).collect();
    Pass {
        fresh: average,
        check: |out: &[f32]| verify::close(want.iter().map(|a| (*a, gamma(4) * (1.0 + a.abs()))), out),
        plain: |average: &mut [f32]| average.iter_mut().zip(&weights).for_each(|(a, w)| *a += rate * (w - *a)),
        ours: |isa, average: &mut [f32]| elementwise::blend(isa, rate, &weights, average),
    }
    .ways(case, setup, then)
}

/// Columns as a batch of digits lights them: 20 of the 28 of a row, but for the rows at the top and at the bottom.
fn lit() -> Vec<Range<usize>> {
    (2..26).map(|row| 28 * row + 4..28 * row + 24).collect()
}

fn take(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (runs, x) = (lit(), uniform(512 * 784, 1));
    let columns = Columns::new(&runs, 784)?;
    let plain = |out: &mut [f32]| plain::take(&runs, 784, &x, out);
    let mut want = vec![f32::NAN; 512 * columns.count()];
    plain(&mut want);
    Pass {
        fresh: vec![f32::NAN; want.len()],
        check: |out: &[f32]| verify::equal(&want, out),
        plain,
        ours: |isa, out: &mut [f32]| columns::take(isa, columns, &x, out),
    }
    .ways(case, setup, then)
}

fn put(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let runs = lit();
    let columns = Columns::new(&runs, 784)?;
    let x = uniform(512 * columns.count(), 1);
    let plain = |out: &mut [f32]| plain::put(&runs, 784, &x, out);
    let mut want = vec![f32::NAN; 512 * 784];
    plain(&mut want);
    Pass {
        fresh: vec![f32::NAN; want.len()],
        check: |out: &[f32]| verify::equal(&want, out),
        plain,
        ours: |isa, out: &mut [f32]| columns::put(isa, columns, &x, out),
    }
    .ways(case, setup, then)
}

/// Each sample by itself, as they lie far apart in an epoch.
fn pixels(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (runs, scale) = (lit(), 1.0 / 255.0);
    let columns = Columns::new(&runs, 784)?;
    let images: Vec<u8> = uniform(200 * 784, 1).into_iter().map(|x| (x * 255.0).abs() as u8).collect();
    let lit: Vec<u8> =
        images.chunks_exact(784).flat_map(|x| runs.iter().flat_map(|run| &x[run.clone()])).copied().collect();
    Pass {
        fresh: vec![f32::NAN; lit.len()],
        check: |out: &[f32]| {
            verify::close(lit.iter().map(|x| (f64::from(*x) / 255.0, gamma(3) * f64::from(*x) / 255.0)), out)
        },
        plain: |out: &mut [f32]| {
            for (image, out) in images.chunks_exact(784).zip(out.chunks_exact_mut(columns.count())) {
                let pixels = runs.iter().flat_map(|run| &image[run.clone()]);
                out.iter_mut().zip(pixels).for_each(|(out, x)| *out = f32::from(*x) * scale);
            }
        },
        ours: |isa, out: &mut [f32]| {
            for (image, out) in images.chunks_exact(784).zip(out.chunks_exact_mut(columns.count())) {
                columns::pixels_to_f32(isa, columns, image, scale, 0.0, out)?;
            }
            Ok(())
        },
    }
    .ways(case, setup, then)
}

//! A last layer of ten classes over raw pixels, as softmax regression trains: the layer, and the gradient of its weight.
//!
//! The reference converts the pixels first, then multiplies i-k-j with a contiguous inner loop. Pages are full of ink, or hold rings as wide as
//! a pen's stroke, with as many empty blocks as digits have; looking for these is part of what is timed.

use super::case::{Case, Then};
use super::cost::{Arithmetic, Cost};
use super::error::BenchError;
use super::family::Family;
use super::operands::uniform;
use super::pass::Pass;
use super::setup::Setup;
use super::verify;
use crate::kernels::Epilogue;
use crate::kernels::pixels::{Pixels, linear, linear_d_weight};
use crate::reference::gamma;

/// Both are quick.
const QUICK: [&str; 2] = ["pixels/linear/128x10x784", "pixels/d_weight/128x10x784"];
/// Samples, classes and pixels.
const SHAPE: [usize; 3] = [128, 10, 784];
/// Words for the bits of their blocks.
const INK: usize = Pixels::ink_len(SHAPE[0], SHAPE[2]);
/// What a pixel stands for.
const SCALE: f32 = 1.0 / 255.0;

/// Beside the other products of [`Family::GemmF32`].
#[must_use]
pub fn cases() -> Vec<Case> {
    let [m, n, k] = SHAPE;
    let case = |name: &str, shape, bytes, build: fn(&Case, &Setup, &mut Then<'_>) -> Result<(), BenchError>| {
        Case::new(Family::GemmF32, name.to_owned(), &QUICK, Cost::product(shape, bytes, Arithmetic::Single), build)
    };
    vec![
        case(QUICK[0], [m, n, k], [1, 4, 4], |case, setup, then| forward(&full(), case, setup, then)),
        case(QUICK[1], [n, k, m], [4, 1, 4], |case, setup, then| gradient(&full(), case, setup, then)),
        case("pixels/linear/rings/128x10x784", [m, n, k], [1, 4, 4], |case, setup, then| {
            forward(&rings(), case, setup, then)
        }),
        case("pixels/d_weight/rings/128x10x784", [n, k, m], [4, 1, 4], |case, setup, then| {
            gradient(&rings(), case, setup, then)
        }),
    ]
}

/// `c = a·b` of `m x k` by `k x n`, i-k-j; `a` and `b` by their elements.
fn product([m, n, k]: [usize; 3], a: impl Fn(usize, usize) -> f32, b: impl Fn(usize) -> f32, c: &mut [f32]) {
    c.fill(0.0);
    for (i, row) in c.chunks_exact_mut(n).enumerate().take(m) {
        for p in 0..k {
            let a = a(i, p);
            row.iter_mut().enumerate().for_each(|(j, c)| *c += a * b(p * n + j));
        }
    }
}

/// What is right, and by how much it may be missed.
fn exact([m, n, k]: [usize; 3], a: impl Fn(usize, usize) -> f32, b: impl Fn(usize) -> f32) -> Vec<(f64, f64)> {
    let element = |i: usize, j: usize| {
        let terms = (0..k).map(|p| f64::from(a(i, p)) * f64::from(b(p * n + j)));
        let (sum, magnitude) = terms.fold((0.0, 0.0), |(sum, magnitude), x| (sum + x, magnitude + x.abs()));
        (sum, gamma(k + 3) * magnitude)
    };
    (0..m * n).map(|at| element(at / n, at % n)).collect()
}

fn full() -> Vec<u8> {
    uniform(SHAPE[0] * SHAPE[2], 1).into_iter().map(|x| (x * 255.0).abs() as u8).collect()
}

/// Zeros of 28 by 28 pixels, in the middle of each image.
fn rings() -> Vec<u8> {
    let mut bytes = full();
    for (i, image) in bytes.chunks_exact_mut(28 * 28).enumerate() {
        let (across, down) = (5.0 + (i % 4) as f32, 8.0);
        for (at, pixel) in image.iter_mut().enumerate() {
            let [x, y] = [(at % 28) as f32 - 13.5, (at / 28) as f32 - 13.5];
            if ((x / across).hypot(y / down) - 1.0).abs() > 0.25 {
                *pixel = 0;
            }
        }
    }
    bytes
}

fn forward(bytes: &[u8], case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let [m, n, k] = SHAPE;
    let weight = uniform(n * k, 2);
    let pixels = Pixels::new(bytes, m, k, SCALE, 0.0)?;
    let x: Vec<f32> = bytes.iter().map(|pixel| f32::from(*pixel) * SCALE).collect();
    let turned: Vec<f32> = (0..k * n).map(|at| weight[at % n * k + at / n]).collect();
    let want = exact(SHAPE, |i, p| x[i * k + p], |at| turned[at]);
    Pass {
        fresh: vec![f32::NAN; m * n],
        check: |y: &[f32]| verify::close(want.iter().copied(), y),
        plain: |y: &mut [f32]| product(SHAPE, |i, p| f32::from(bytes[i * k + p]) * SCALE, |at| turned[at], y),
        ours: |isa, y: &mut [f32]| linear(isa, pixels.with_ink(isa, &mut [0; INK])?, &weight, Epilogue::default(), y),
    }
    .ways(case, setup, then)
}

fn gradient(bytes: &[u8], case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let [m, n, k] = SHAPE;
    let d_y = uniform(m * n, 2);
    let pixels = Pixels::new(bytes, m, k, SCALE, 0.0)?;
    let mut x = vec![0.0; m * k];
    let want = exact([n, k, m], |i, p| d_y[p * n + i], |at| f32::from(bytes[at]) * SCALE);
    Pass {
        fresh: vec![f32::NAN; n * k],
        check: |d_weight: &[f32]| verify::close(want.iter().copied(), d_weight),
        plain: |d_weight: &mut [f32]| {
            x.iter_mut().zip(bytes).for_each(|(x, pixel)| *x = f32::from(*pixel) * SCALE);
            product([n, k, m], |i, p| d_y[p * n + i], |at| x[at], d_weight);
        },
        ours: |isa, d_weight: &mut [f32]| linear_d_weight(isa, pixels.with_ink(isa, &mut [0; INK])?, &d_y, d_weight),
    }
    .ways(case, setup, then)
}

//! Passes over the bytes of quantized networks between their products: sums of two tensors, functions of one byte, poolings, images normalised
//! one by one.
//!
//! Plain loops are the formulas of the kernels' pages; where these are loops for the compiler to make vectors of, the difference is what an
//! instruction set has over the baseline.

use super::case::{Case, Then};
use super::cost::Arithmetic;
use super::error::BenchError;
use super::memory::case;
use super::operands::uniform;
use super::pass::Pass;
use super::setup::Setup;
use super::{plain, verify};
use crate::kernels::elementwise_i8::{self, Sum};
use crate::kernels::pool::Pool;
use crate::kernels::pool_i8::{self, Mean};
use crate::kernels::standardize_i8::{Standardize, standardize};

/// A hidden layer of 784-512-10, a map of a convolution and its pooling, a batch of digits.
#[must_use]
pub fn cases() -> Vec<Case> {
    let map = 64 * 28 * 28 * 32;
    vec![
        case("sum_i8/64x28x28x32".to_owned(), map, 4, 3, Arithmetic::Pairs, sum),
        case("table_i8/200x512".to_owned(), 200 * 512, 1, 2, Arithmetic::Pairs, table),
        case("pool_i8/max2x2/64x28x28x32".to_owned(), map / 4, 3, 5, Arithmetic::Pairs, maxima),
        case("pool_i8/mean2x2/64x28x28x32".to_owned(), map / 4, 5, 5, Arithmetic::Pairs, means),
        // Sums and squares of all pixels first, then a product for each, of an image that is still near.
        case("standardize_i8/200x784".to_owned(), 200 * 784, 5, 2, Arithmetic::Pairs, images),
    ]
}

fn bytes(len: usize, seed: u64) -> Vec<i8> {
    uniform(len, seed).into_iter().map(|x| (x * 128.0).floor() as i8).collect()
}

/// In place, again and again: sums that are clamped take as long as others.
fn sum(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (a, b) = (bytes(64 * 28 * 28 * 32, 1), bytes(64 * 28 * 28 * 32, 2));
    let ([first, second], [zero_a, zero_b], shift, zero_out, clamp) =
        ([2_500_000, 1_300_001], [2i8, -12], 22, -30i8, (-30i8, 127i8));
    let rule = Sum::new([first, second], [zero_a, zero_b], shift, zero_out, clamp)?;
    let plain = |a: &mut [i8]| {
        for (a, b) in a.iter_mut().zip(&b) {
            let sum = (i32::from(*a) - i32::from(zero_a)) * first + (i32::from(*b) - i32::from(zero_b)) * second;
            let steps = (sum + (1 << (shift - 1))) >> shift;
            *a = (steps + i32::from(zero_out)).clamp(clamp.0.into(), clamp.1.into()) as i8;
        }
    };
    let mut want = a.clone();
    plain(&mut want);
    Pass {
        fresh: a,
        check: |out: &[i8]| verify::equal(&want, out),
        plain,
        ours: |isa, a: &mut [i8]| elementwise_i8::add(isa, &rule, a, &b),
    }
    .ways(case, setup, then)
}

/// In place, again and again.
fn table(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (x, mut function) = (bytes(200 * 512, 1), [0; 256]);
    for (to, from) in function.iter_mut().zip(bytes(256, 2)) {
        *to = from;
    }
    let plain = |x: &mut [i8]| x.iter_mut().for_each(|x| *x = function[(i32::from(*x) + 128) as usize]);
    let mut want = x.clone();
    plain(&mut want);
    Pass {
        fresh: x,
        check: |out: &[i8]| verify::equal(&want, out),
        plain,
        ours: |_, x: &mut [i8]| {
            elementwise_i8::look_up(&function, x);
            Ok(())
        },
    }
    .ways(case, setup, then)
}

/// The four bytes of each window of 2x2 of images of 28 x 28 pixels with 32 channels, and where they go.
fn windows<'x>(x: &'x [i8], out: &mut [i8], mut fold: impl FnMut([i8; 4]) -> i8 + 'x) {
    const CHANNELS: usize = 32;
    let row = 28 * CHANNELS;
    for (rows, out) in x.chunks_exact(2 * row).zip(out.chunks_exact_mut(row / 2)) {
        for (i, out) in out.iter_mut().enumerate() {
            let at = i / CHANNELS * 2 * CHANNELS + i % CHANNELS;
            *out = fold([rows[at], rows[at + CHANNELS], rows[at + row], rows[at + row + CHANNELS]]);
        }
    }
}

fn maxima(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let pool = Pool::new([64, 32, 28, 28], [2, 2], 2, 0)?;
    let x = bytes(pool.input_len(), 1);
    let plain = |out: &mut [i8]| windows(&x, out, |[a, b, c, d]| a.max(b).max(c).max(d));
    let mut want = vec![0; pool.output_len()];
    plain(&mut want);
    Pass {
        fresh: vec![i8::MIN; pool.output_len()],
        check: |out: &[i8]| verify::equal(&want, out),
        plain,
        ours: |isa, out: &mut [i8]| pool_i8::max_pool2d(isa, &pool, &x, out),
    }
    .ways(case, setup, then)
}

fn means(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let pool = Pool::new([64, 32, 28, 28], [2, 2], 2, 0)?;
    let x = bytes(pool.input_len(), 1);
    let by = Mean { multiplier: 1_932_735_283, shift: 2, zero_in: 3, zero_out: 7, clamp: (-120, 120) };
    let plain = |out: &mut [i8]| {
        windows(&x, out, |window| {
            let sum: i64 = window.into_iter().map(|x| i64::from(x) - i64::from(by.zero_in)).sum();
            let (product, bits) = (sum * i64::from(by.multiplier), 31 + by.shift);
            let steps = (product + (1 << (bits - 1))) >> bits;
            (steps + i64::from(by.zero_out)).clamp(by.clamp.0.into(), by.clamp.1.into()) as i8
        });
    };
    let mut want = vec![0; pool.output_len()];
    plain(&mut want);
    Pass {
        fresh: vec![i8::MIN; pool.output_len()],
        check: |out: &[i8]| verify::equal(&want, out),
        plain,
        ours: |isa, out: &mut [i8]| pool_i8::avg_pool2d(isa, &pool, &x, by, out),
    }
    .ways(case, setup, then)
}

/// In place, again and again: what was standardized is an image too.
fn images(case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (multiplier, shift, zero) = (17_476_267, 19, -40); // 0.03 of a deviation to a step
    let (rule, raw) = (Standardize::new(784, multiplier, shift, zero)?, bytes(200 * 784, 1));
    let plain = |images: &mut [i8]| plain::standardize(784, multiplier, shift, zero, images);
    let mut want = raw.clone();
    plain(&mut want);
    Pass {
        fresh: raw,
        check: |out: &[i8]| verify::equal(&want, out),
        plain,
        ours: |isa, images: &mut [i8]| standardize(isa, &rule, images),
    }
    .ways(case, setup, then)
}

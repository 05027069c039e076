//! Convolutions with half-precision weights on one image, beside the same ones in single precision: weights are prepared for every call,
//! so that one image is where their storage shows most.

use super::case::{Case, Then};
use super::conv_f32::{Layer, layer};
use super::cost::{Arithmetic, Bound, Cost};
use super::error::BenchError;
use super::family::Family;
use super::operands::uniform;
use super::setup::Setup;
use super::verify;
use super::way::Ways;
use crate::kernels::conv::Conv;
use crate::kernels::{Epilogue, conv_f16, f16};

/// Name, input, output channels, kernel side, stride, padding, groups.
const LAYERS: [(&str, Conv); 3] = [
    ("1-32x3x3", layer([1, 1, 28, 28], [32, 3, 1, 1, 1])),
    ("64-64x3x3", layer([1, 64, 14, 14], [64, 3, 1, 1, 1])),
    ("64-128x1x1", layer([1, 64, 14, 14], [128, 1, 1, 0, 1])),
];

const QUICK: [&str; 2] = ["conv_f16/1-32x3x3", "conv_f16/64-64x3x3"];

/// Every layer, [`Family::ConvF16`]. The reference is in single precision.
#[must_use]
pub fn cases() -> Vec<Case> {
    let case = |(name, conv): (&str, Conv)| {
        let name = format!("conv_f16/{name}");
        Case::new(Family::ConvF16, name, &QUICK, cost(&conv, 2), move |case, setup, then| {
            ways(&conv, case, setup, then)
        })
    };
    LAYERS.into_iter().map(case).collect()
}

/// With so many bytes to a weight.
const fn cost(conv: &Conv, weight: usize) -> Cost {
    let bytes = (4 * conv.input_len() + weight * conv.weight_len() + 4 * conv.output_len()) as u64;
    Cost { operations: 2 * conv.macs(), bytes, arithmetic: Arithmetic::Single, bound: Bound::Arithmetic }
}

fn ways(conv: &Conv, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let x = uniform(conv.input_len(), 1);
    let half: Vec<f16> = uniform(conv.weight_len(), 2).into_iter().map(f16::from_f32).collect();
    let single: Vec<f32> = half.iter().map(|x| x.to_f32()).collect(); // the same numbers
    let (x, half) = (&x[..], &half[..]);
    let layer = Layer::forward(conv, x, &single);
    let want = layer.want();
    let fresh = || vec![f32::NAN; conv.output_len()];

    let mut ways = Ways::new(cost(conv, 4), fresh(), |y| verify::close(want.iter().copied(), y));
    if setup.times_reference(case.cost().operations) {
        ways.push("reference", None, 1, move |y| layer.naive(y))?;
    }
    let (isa, mut scratch) = (setup.isa, layer.scratch());
    ways.push("inkstone-f32", Some(isa), 1, move |y| layer.alone(isa, y, &mut scratch))?;

    let mut halves = Ways::new(case.cost(), fresh(), |y| verify::close(want.iter().copied(), y));
    for isa in setup.isas(true) {
        let mut scratch = layer.scratch();
        halves.push("inkstone", Some(isa), 1, move |y| {
            conv_f16::conv2d(isa, conv, x, half, Epilogue::default(), y, &mut scratch)
        })?;
    }
    let mut all = ways.done();
    all.extend(halves.done());
    then(all);
    Ok(())
}

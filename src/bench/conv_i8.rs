//! Convolutions of bytes, requantized, beside the same shapes in single precision.

use super::case::{Case, Then};
use super::conv_f32::{self, layer};
use super::cost::{Arithmetic, Bound, Cost};
use super::error::BenchError;
use super::family::Family;
use super::operands::bytes;
use super::setup::Setup;
use super::verify;
use super::way::Ways;
use crate::error::ShapeError;
use crate::kernels::Isa;
use crate::kernels::conv::Conv;
use crate::kernels::conv_i8::{self, Input};
use crate::kernels::requantize::{Multiplier, Requantize};
use crate::reference;

/// Name, input, output channels, kernel side, stride, padding, groups.
const LAYERS: [(&str, Conv); 9] = [
    ("1-8x3x3", layer([16, 1, 28, 28], [8, 3, 1, 1, 1])),
    ("1-32x3x3", layer([16, 1, 28, 28], [32, 3, 1, 1, 1])),
    ("3-16x3x3", layer([16, 3, 28, 28], [16, 3, 1, 1, 1])),
    ("8-16x3x3", layer([16, 8, 14, 14], [16, 3, 1, 1, 1])),
    ("32-64x3x3", layer([16, 32, 28, 28], [64, 3, 1, 1, 1])),
    ("64-64x3x3", layer([16, 64, 14, 14], [64, 3, 1, 1, 1])),
    ("16-32x3x3s2", layer([16, 16, 28, 28], [32, 3, 2, 1, 1])),
    ("64-128x1x1", layer([16, 64, 14, 14], [128, 1, 1, 0, 1])),
    ("32-32x3x3g32", layer([8, 32, 28, 28], [32, 3, 1, 1, 32])),
];

const QUICK: [&str; 3] = ["conv_i8/1-32x3x3", "conv_i8/8-16x3x3", "conv_i8/64-64x3x3"];

/// What padding counts as.
const ZERO_POINT: i8 = -3;

/// Every layer, [`Family::ConvI8`].
#[must_use]
pub fn cases() -> Vec<Case> {
    let case = |(name, conv): (&str, Conv)| {
        let bytes = (conv.input_len() + conv.weight_len() + conv.output_len()) as u64;
        let operations = 2 * conv.macs();
        let cost = Cost { operations, bytes, arithmetic: Arithmetic::Pairs, bound: Bound::Arithmetic };
        let name = format!("conv_i8/{name}");
        Case::new(Family::ConvI8, name, &QUICK, cost, move |case, setup, then| ways(&conv, case, setup, then))
    };
    LAYERS.into_iter().map(case).collect()
}

fn ways(conv: &Conv, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (x, weight) = (bytes(conv.input_len(), 1), bytes(conv.weight_len(), 2));
    let (c_out, products) = (conv.output()[1], conv.macs() / conv.output_len() as u64);
    let outside = ShapeError::Range { what: "the factor of requantization", min: 0, max: 1, got: 1 };
    let by = Multiplier::of(0.01 / (products as f64).sqrt()).ok_or(outside)?; // outputs spread over most of the bytes
    let (bias, multiplier, shift) = (vec![100; c_out], vec![by.multiplier; c_out], vec![by.shift.into(); c_out]);
    let requantize = Requantize::new(&bias, &multiplier, &shift, 0, (-128, 127))?;

    let mut sums = vec![0; conv.output_len()];
    let (x, weight) = (&x[..], &weight[..]);
    let mut naive = move |out: &mut [i8]| {
        reference::conv2d_i8(conv, x, ZERO_POINT, weight, &mut sums)?;
        requantize.rows(Isa::SCALAR, &sums, out)
    };
    let mut want = vec![i8::MIN; conv.output_len()];
    naive(&mut want)?;

    let mut ways = Ways::new(case.cost(), vec![i8::MIN; conv.output_len()], |out| verify::equal(&want, out));
    if setup.times_reference(case.cost().operations) {
        ways.push("reference", None, 1, naive)?;
    }
    for isa in setup.isas(true) {
        let mut scratch = vec![0; conv_i8::scratch_len(isa, conv)];
        let input = Input { bytes: x, zero_point: ZERO_POINT };
        ways.push("inkstone", Some(isa), 1, move |out| {
            conv_i8::conv2d(isa, conv, input, weight, requantize, out, &mut scratch)
        })?;
    }
    conv_f32::yardstick(conv, setup.isa, |single| {
        let mut all = ways.done();
        all.extend(single);
        then(all);
    })
}

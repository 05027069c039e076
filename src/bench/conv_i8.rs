//! Convolutions of bytes, requantized and some of them pooled, beside the same shapes in single precision.

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

/// Name, input, output channels, kernel side, stride, padding, groups, and whether a max pooling of 2x2 follows in the same call.
const LAYERS: [(&str, Conv, bool); 12] = [
    ("1-8x3x3", layer([16, 1, 28, 28], [8, 3, 1, 1, 1]), false),
    ("1-32x3x3", layer([16, 1, 28, 28], [32, 3, 1, 1, 1]), false),
    ("3-16x3x3", layer([16, 3, 28, 28], [16, 3, 1, 1, 1]), false),
    ("8-16x3x3", layer([16, 8, 14, 14], [16, 3, 1, 1, 1]), false),
    ("32-64x3x3", layer([16, 32, 28, 28], [64, 3, 1, 1, 1]), false),
    ("64-64x3x3", layer([16, 64, 14, 14], [64, 3, 1, 1, 1]), false),
    ("16-32x3x3s2", layer([16, 16, 28, 28], [32, 3, 2, 1, 1]), false),
    ("64-128x1x1", layer([16, 64, 14, 14], [128, 1, 1, 0, 1]), false),
    ("32-32x3x3g32", layer([8, 32, 28, 28], [32, 3, 1, 1, 32]), false),
    ("1-8x3x3+max2", layer([16, 1, 28, 28], [8, 3, 1, 1, 1]), true),
    ("8-16x3x3+max2", layer([16, 8, 14, 14], [16, 3, 1, 1, 1]), true),
    ("32-64x3x3+max2", layer([16, 32, 28, 28], [64, 3, 1, 1, 1]), true),
];

const QUICK: [&str; 3] = ["conv_i8/1-32x3x3", "conv_i8/8-16x3x3", "conv_i8/64-64x3x3"];

/// What padding counts as.
const ZERO_POINT: i8 = -3;

/// Every layer, [`Family::ConvI8`].
#[must_use]
pub fn cases() -> Vec<Case> {
    let case = |(name, conv, pooled): (&str, Conv, bool)| {
        let written = if pooled { conv.output_len() / 4 } else { conv.output_len() };
        let bytes = (conv.input_len() + conv.weight_len() + written) as u64;
        let operations = 2 * conv.macs();
        let cost = Cost { operations, bytes, arithmetic: Arithmetic::Pairs, bound: Bound::Arithmetic };
        let name = format!("conv_i8/{name}");
        Case::new(Family::ConvI8, name, &QUICK, cost, move |case, setup, then| ways((&conv, pooled), case, setup, then))
    };
    LAYERS.into_iter().map(case).collect()
}

fn ways((conv, pooled): (&Conv, bool), case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (x, weight) = (bytes(conv.input_len(), 1), bytes(conv.weight_len(), 2));
    let (c_out, products) = (conv.output()[1], conv.macs() / conv.output_len() as u64);
    let outside = ShapeError::Range { what: "the factor of requantization", min: 0, max: 1, got: 1 };
    let by = Multiplier::of(0.01 / (products as f64).sqrt()).ok_or(outside)?; // outputs spread over most of the bytes
    let (bias, multiplier, shift) = (vec![100; c_out], vec![by.multiplier; c_out], vec![by.shift.into(); c_out]);
    let requantize = Requantize::new(&bias, &multiplier, &shift, 0, (-128, 127))?;

    let mut sums = vec![0; conv.output_len()];
    let mut map = vec![i8::MIN; conv.output_len()];
    let (x, weight) = (&x[..], &weight[..]);
    let mut naive = move |out: &mut [i8]| {
        reference::conv2d_i8(conv, x, ZERO_POINT, weight, &mut sums)?;
        if !pooled {
            return requantize.rows(Isa::SCALAR, &sums, out);
        }
        requantize.rows(Isa::SCALAR, &sums, &mut map)?;
        largest_of_four(conv, &map, out);
        Ok(())
    };
    let fresh = vec![i8::MIN; conv.output_len() / if pooled { 4 } else { 1 }];
    let mut want = fresh.clone();
    naive(&mut want)?;

    let mut ways = Ways::new(case.cost(), fresh, |out| verify::equal(&want, out));
    if setup.times_reference(case.cost().operations) {
        ways.push("reference", None, 1, naive)?;
    }
    for isa in setup.isas(true) {
        let len = if pooled { conv_i8::pooled_scratch_len(isa, conv) } else { conv_i8::scratch_len(isa, conv) };
        let mut scratch = vec![0; len];
        let input = Input { bytes: x, zero_point: ZERO_POINT };
        ways.push("inkstone", Some(isa), 1, move |out| match pooled {
            true => conv_i8::conv2d_max_pool2(isa, conv, input, weight, requantize, out, &mut scratch),
            false => conv_i8::conv2d(isa, conv, input, weight, requantize, out, &mut scratch),
        })?;
    }
    conv_f32::yardstick(conv, setup.isa, |single| {
        let mut all = ways.done();
        all.extend(single);
        then(all);
    })
}

/// The largest of each 2x2 window of `map [n, h, w, c]`, whose sides are even.
fn largest_of_four(conv: &Conv, map: &[i8], out: &mut [i8]) {
    let [_, channels, _, width] = conv.output();
    for (at, out) in out.iter_mut().enumerate() {
        let (pixel, channel) = (at / channels, at % channels);
        let (row, col) = (pixel / (width / 2), pixel % (width / 2)); // rows of all images, one below the other
        let of = |y: usize, x: usize| map[((2 * row + y) * width + 2 * col + x) * channels + channel];
        *out = of(0, 0).max(of(0, 1)).max(of(1, 0)).max(of(1, 1));
    }
}

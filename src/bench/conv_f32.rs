//! Convolutions in single precision and their gradients.

use super::case::{Case, Then};
use super::cost::{Arithmetic, Bound, Cost};
use super::error::BenchError;
use super::family::Family;
use super::operands::uniform;
use super::setup::Setup;
use super::verify;
use super::way::{Way, Ways};
use crate::error::ShapeError;
use crate::kernels::conv::{self, Conv};
use crate::kernels::{Epilogue, Isa, parallel};
use crate::reference::{self, Exact};

/// Name, input, output channels, kernel side, stride, padding, groups: the layers of small networks for digits.
const LAYERS: [(&str, Conv); 7] = [
    ("1-32x3x3", layer([64, 1, 28, 28], [32, 3, 1, 1, 1])),
    ("32-64x3x3", layer([64, 32, 28, 28], [64, 3, 1, 1, 1])),
    ("64-64x3x3", layer([64, 64, 14, 14], [64, 3, 1, 1, 1])),
    ("8-16x3x3s2", layer([64, 8, 28, 28], [16, 3, 2, 1, 1])),
    ("32-32x3x3g32", layer([64, 32, 14, 14], [32, 3, 1, 1, 32])),
    ("64-128x1x1", layer([64, 64, 14, 14], [128, 1, 1, 0, 1])),
    ("6-16x5x5", layer([64, 6, 14, 14], [16, 5, 1, 0, 1])),
];

const QUICK: [&str; 5] = [
    "conv_f32/1-32x3x3/forward",
    "conv_f32/1-32x3x3/d_input",
    "conv_f32/1-32x3x3/d_weight",
    "conv_f32/64-64x3x3/forward",
    "conv_f32/6-16x5x5/forward",
];

/// Of `input [n, c, h, w]`, with output channels, kernel side, stride, padding and groups. Evaluated while compiling, where a shape
/// that cannot be is an error.
pub(super) const fn layer(input: [usize; 4], [c_out, side, stride, padding, groups]: [usize; 5]) -> Conv {
    match Conv::new(input, [c_out, input[1] / groups, side, side], stride, padding, groups) {
        Ok(conv) => conv,
        Err(_) => panic!("a convolution of the benches has no shape"),
    }
}

/// What a convolution is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    InputGradient,
    WeightGradient,
}

impl Pass {
    const ALL: [Self; 3] = [Self::Forward, Self::InputGradient, Self::WeightGradient];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::InputGradient => "d_input",
            Self::WeightGradient => "d_weight",
        }
    }
}

/// Every layer and both of its gradients, [`Family::ConvF32`].
#[must_use]
pub fn cases() -> Vec<Case> {
    let passes = LAYERS.into_iter().flat_map(|layer| Pass::ALL.map(|pass| (layer, pass)));
    let case = |((layer, conv), pass): ((&str, Conv), Pass)| {
        let name = format!("conv_f32/{layer}/{}", pass.name());
        Case::new(Family::ConvF32, name, &QUICK, cost(&conv), move |case, setup, then| {
            ways(&conv, pass, case, setup, then)
        })
    };
    passes.map(case).collect()
}

/// Of any pass: each reads two of input, weights and output, and writes the third.
pub(super) const fn cost(conv: &Conv) -> Cost {
    let bytes = 4 * (conv.input_len() + conv.weight_len() + conv.output_len()) as u64;
    Cost { operations: 2 * conv.macs(), bytes, arithmetic: Arithmetic::Single, bound: Bound::Arithmetic }
}

/// A convolution and its operands.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    conv: &'a Conv,
    pass: Pass,
    x: &'a [f32],
    weight: &'a [f32],
    d_out: &'a [f32],
}

impl<'a> Layer<'a> {
    pub(super) const fn forward(conv: &'a Conv, x: &'a [f32], weight: &'a [f32]) -> Self {
        Self::new(conv, Pass::Forward, [x, weight, &[]])
    }

    /// The operands that `pass` does not need may be anything.
    pub(super) const fn new(conv: &'a Conv, pass: Pass, [x, weight, d_out]: [&'a [f32]; 3]) -> Self {
        Self { conv, pass, x, weight, d_out }
    }

    fn result_len(&self) -> usize {
        match self.pass {
            Pass::Forward => self.conv.output_len(),
            Pass::InputGradient => self.conv.input_len(),
            Pass::WeightGradient => self.conv.weight_len(),
        }
    }

    pub(super) fn naive(&self, y: &mut [f32]) -> Result<(), ShapeError> {
        let Self { conv, x, weight, d_out, .. } = *self;
        match self.pass {
            Pass::Forward => reference::conv2d_f32(conv, x, weight, None, y),
            Pass::InputGradient => reference::conv2d_d_input_f32(conv, d_out, weight, y),
            Pass::WeightGradient => reference::conv2d_d_weight_f32(conv, x, d_out, y),
        }
    }

    pub(super) fn scratch(&self) -> Vec<f32> {
        vec![
            0.0;
            match self.pass {
                Pass::Forward => self.conv.scratch_len(),
                Pass::InputGradient => self.conv.d_input_scratch_len(),
                Pass::WeightGradient => self.conv.d_weight_scratch_len(),
            }
        ]
    }

    #[inline]
    pub(super) fn alone(&self, isa: Isa, y: &mut [f32], scratch: &mut [f32]) -> Result<(), ShapeError> {
        let Self { conv, x, weight, d_out, .. } = *self;
        match self.pass {
            Pass::Forward => conv::conv2d(isa, conv, x, weight, Epilogue::default(), y, scratch),
            Pass::InputGradient => conv::conv2d_d_input(isa, conv, d_out, weight, y, scratch),
            Pass::WeightGradient => conv::conv2d_d_weight(isa, conv, x, d_out, y, scratch),
        }
    }

    fn scratch_of_threads(&self, threads: usize) -> Vec<f32> {
        vec![
            0.0;
            match self.pass {
                Pass::Forward => parallel::conv2d_scratch_len(self.conv, threads),
                Pass::InputGradient => parallel::conv2d_d_input_scratch_len(self.conv, threads),
                Pass::WeightGradient => parallel::conv2d_d_weight_scratch_len(self.conv),
            }
        ]
    }

    #[inline]
    fn together(&self, isa: Isa, y: &mut [f32], scratch: &mut [f32]) -> Result<(), ShapeError> {
        let Self { conv, x, weight, d_out, .. } = *self;
        match self.pass {
            Pass::Forward => parallel::conv2d(isa, conv, x, weight, Epilogue::default(), y, scratch),
            Pass::InputGradient => parallel::conv2d_d_input(isa, conv, d_out, weight, y, scratch),
            Pass::WeightGradient => parallel::conv2d_d_weight(isa, conv, x, d_out, y, scratch),
        }
    }

    /// What f64 arithmetic gives, and how far off an element may be.
    pub(super) fn want(&self) -> Vec<(f64, f64)> {
        let Self { conv, pass, x, weight, d_out } = *self;
        let mut want = vec![Exact::default(); self.result_len()];
        let factor = match pass {
            Pass::Forward => {
                reference::conv2d_f64(conv, x, weight, &mut want);
                conv.error_factor(false)
            }
            Pass::InputGradient => {
                reference::conv2d_d_input_f64(conv, d_out, weight, &mut want);
                conv.error_factor(true)
            }
            Pass::WeightGradient => {
                reference::conv2d_d_weight_f64(conv, x, d_out, &mut want);
                reference::gamma(d_out.len() / conv.output()[1])
            }
        };
        // A transformed sum is bounded by the largest products of each channel, here 0.25, instead of its own.
        let transformed = pass != Pass::WeightGradient && conv.is_transformed(pass == Pass::InputGradient);
        let least = if transformed { 0.25 } else { 0.0 };
        want.into_iter().map(|want| (want.sum, factor * want.magnitude.max(least))).collect()
    }
}

fn ways(conv: &Conv, pass: Pass, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (x, weight) = (uniform(conv.input_len(), 1), uniform(conv.weight_len(), 2));
    let d_out = uniform(conv.output_len(), 3);
    let layer = Layer::new(conv, pass, [&x, &weight, &d_out]);
    let want = layer.want();

    let fresh = vec![f32::NAN; layer.result_len()];
    let mut ways = Ways::new(case.cost(), fresh, |y| verify::close(want.iter().copied(), y));
    if setup.times_reference(case.cost().operations) {
        ways.push("reference", None, 1, move |y| layer.naive(y))?;
    }
    for isa in setup.isas(true) {
        let mut scratch = layer.scratch();
        ways.push("inkstone", Some(isa), 1, move |y| layer.alone(isa, y, &mut scratch))?;
    }
    if setup.threads > 1 {
        let (isa, mut scratch) = (setup.isa, layer.scratch_of_threads(setup.threads));
        ways.push("inkstone", Some(isa), setup.threads, move |y| layer.together(isa, y, &mut scratch))?;
    }
    then(ways.done());
    Ok(())
}

/// Hands ours in single precision, the yardstick of bytes, to `then` while its operands exist.
pub(super) fn yardstick(conv: &Conv, isa: Isa, then: impl FnOnce(Vec<Way<'_>>)) -> Result<(), BenchError> {
    let (x, weight) = (uniform(conv.input_len(), 1), uniform(conv.weight_len(), 2));
    let layer = Layer::forward(conv, &x, &weight);
    let want = layer.want();
    let fresh = vec![f32::NAN; conv.output_len()];
    let mut ways = Ways::new(cost(conv), fresh, |y| verify::close(want.iter().copied(), y));
    let mut scratch = layer.scratch();
    ways.push("inkstone-f32", Some(isa), 1, move |y| layer.alone(isa, y, &mut scratch))?;
    then(ways.done());
    Ok(())
}

//! Every way to compute a convolution or a gradient of it, the chosen one or not: so that the thresholds between them can be measured.

use super::shape::Conv;
use super::way::Way;
use super::weight_gradient::Gradient;
use super::{check_lens, check_scratch, correlate};
use crate::error::ShapeError;
use crate::kernels::{Epilogue, Isa};

/// One way for one shape.
#[derive(Clone, Copy)]
pub(crate) struct Forced(Which);

#[derive(Clone, Copy)]
enum Which {
    Forward(Way),
    InputGradient(Way),
    WeightGradient(Gradient),
}

impl Forced {
    /// All that there are for [`conv2d`](super::conv2d), by name.
    pub(crate) fn forward(conv: &Conv) -> impl Iterator<Item = (&'static str, Self)> {
        Way::all(conv, false).map(|(name, way)| (name, Self(Which::Forward(way))))
    }

    /// All that there are for [`conv2d_d_input`](super::conv2d_d_input), by name.
    pub(crate) fn d_input(conv: &Conv) -> impl Iterator<Item = (&'static str, Self)> {
        Way::all(conv, true).map(|(name, way)| (name, Self(Which::InputGradient(way))))
    }

    /// All that there are for [`conv2d_d_weight`](super::conv2d_d_weight), by name.
    pub(crate) fn d_weight(conv: &Conv) -> impl Iterator<Item = (&'static str, Self)> {
        Gradient::all(conv).map(|(name, way)| (name, Self(Which::WeightGradient(way))))
    }

    /// Elements of scratch.
    pub(crate) const fn scratch_len(&self) -> usize {
        match &self.0 {
            Which::Forward(way) | Which::InputGradient(way) => way.prepared_len() + way.scratch_len(),
            Which::WeightGradient(way) => way.all_len(),
        }
    }

    /// `result`, of the operands in the order in which the function that is named above takes them.
    #[inline]
    pub(crate) fn run(
        &self,
        isa: Isa,
        conv: &Conv,
        [first, second]: [&[f32]; 2],
        result: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), ShapeError> {
        check_scratch(self.scratch_len(), scratch)?;
        match &self.0 {
            Which::Forward(_) => check_lens(conv, first, second, result)?,
            Which::InputGradient(_) => check_lens(conv, result, second, first)?,
            Which::WeightGradient(_) => check_lens(conv, first, result, second)?,
        }
        match &self.0 {
            Which::Forward(way) | Which::InputGradient(way) => {
                correlate(isa, way, Epilogue::default(), first, second, result, scratch);
            }
            Which::WeightGradient(way) => way.all_parts(isa, (first, second), result, scratch),
        }
        Ok(())
    }
}

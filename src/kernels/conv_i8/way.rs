//! How a convolution of bytes is computed on sets of several lanes: chosen from the shape and the lanes, as every way has the same integers.

use super::Input;
use super::direct::Direct;
use super::lanes::Lanes;
use super::winograd::{Four, Two, Winograd};
use crate::kernels::Isa;
use crate::kernels::conv::Conv;
use crate::kernels::gemm_i8::sink::Sink;

/// The way for one shape.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Direct(Direct),
    Lanes(Lanes),
    Two(Winograd<Two>),
    Four(Winograd<Four>),
}

impl Way {
    pub(super) const fn of(conv: &Conv, lanes: usize) -> Self {
        match (Winograd::<Two>::of(conv, lanes), Winograd::<Four>::of(conv, lanes)) {
            (Some(two), Some(four)) if two.products() <= four.products() => Self::Two(two),
            (_, Some(four)) => Self::Four(four),
            (Some(two), None) => Self::Two(two),
            (None, None) => match Lanes::of(conv) {
                Some(lanes) => Self::Lanes(lanes),
                None => Self::Direct(Direct::of(conv)),
            },
        }
    }

    /// Every way, whichever is chosen, by name.
    #[cfg(feature = "train")]
    pub(super) fn all(conv: &Conv) -> impl Iterator<Item = (&'static str, Self)> {
        let direct = Some(("direct", Self::Direct(Direct::of(conv))));
        let lanes = Lanes::possible(conv).map(|lanes| ("lanes", Self::Lanes(lanes)));
        let two = Winograd::<Two>::possible(conv).map(|two| ("winograd-2", Self::Two(two)));
        let four = Winograd::<Four>::possible(conv).map(|four| ("winograd-4", Self::Four(four)));
        [direct, lanes, two, four].into_iter().flatten()
    }

    /// Elements of scratch.
    pub(super) const fn scratch_len(&self) -> usize {
        match self {
            Self::Direct(direct) => direct.scratch_len(),
            Self::Lanes(lanes) => lanes.scratch_len(),
            Self::Two(two) => two.scratch_len(),
            Self::Four(four) => four.scratch_len(),
        }
    }

    /// Hands the sums of the whole output to `out`.
    pub(super) fn run<C: Sink>(&self, isa: Isa, input: Input<'_>, weight: &[i8], out: C, scratch: &mut [i32]) {
        match self {
            Self::Direct(direct) => direct.run(isa, input, weight, out, scratch),
            Self::Lanes(lanes) => lanes.run(isa, input, weight, out, scratch),
            Self::Two(two) => two.run(isa, input, weight, out, scratch),
            Self::Four(four) => four.run(isa, input, weight, out, scratch),
        }
    }
}

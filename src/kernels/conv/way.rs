//! How a convolution or its input gradient is computed: chosen from the shape alone, never from a number of threads.

use super::direct::Correlation;
use super::shape::Conv;
use super::winograd::{Four, Two, Winograd};
use crate::kernels::element::Element;
use crate::kernels::{Epilogue, Isa};

/// The way for one shape.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Direct(Correlation),
    Two(Winograd<Two>),
    Four(Winograd<Four>),
}

/// Channels on both sides from which the transforms are repaid, as `benches/thresholds.rs` measures. On images of 14x14, AVX2 and AVX-512 of an
/// EPYC 9004: 8 to 8 channels 1.4 and 1.6 times as long as direct sums, 12 to 12 1.3 and 1.6, 16 to 16 0.73 and 1.0, 16 to 32 0.75 and 0.7.
const CHANNELS: usize = 16;

/// Applies a method to whichever way it is.
macro_rules! each {
    ($self:ident, $way:ident => $call:expr) => {
        match $self {
            Self::Direct($way) => $call,
            Self::Two($way) => $call,
            Self::Four($way) => $call,
        }
    };
}

impl Way {
    pub(super) const fn forward(conv: &Conv) -> Self {
        Self::of(conv, false)
    }

    pub(super) const fn d_input(conv: &Conv) -> Self {
        Self::of(conv, true)
    }

    const fn of(conv: &Conv, flipped: bool) -> Self {
        if conv.c_in >= CHANNELS
            && conv.c_out >= CHANNELS
            && let (Some(two), Some(four)) = (Winograd::<Two>::of(conv, flipped), Winograd::<Four>::of(conv, flipped))
        {
            return if two.products() <= four.products() { Self::Two(two) } else { Self::Four(four) };
        }
        Self::Direct(if flipped { Correlation::d_input(conv) } else { Correlation::forward(conv) })
    }

    /// Every way forward, or of the input gradient, whichever is chosen, by name.
    #[cfg(feature = "train")]
    pub(super) fn all(conv: &Conv, flipped: bool) -> impl Iterator<Item = (&'static str, Self)> {
        let two = Winograd::<Two>::of(conv, flipped).map(|two| ("winograd-2", Self::Two(two)));
        let four = Winograd::<Four>::of(conv, flipped).map(|four| ("winograd-4", Self::Four(four)));
        let direct = Self::Direct(if flipped { Correlation::d_input(conv) } else { Correlation::forward(conv) });
        [Some(("direct", direct)), two, four].into_iter().flatten()
    }

    /// The error bound for a batch: see [`Conv::error_factor`].
    pub(super) fn error_factor(&self) -> f64 {
        each!(self, way => way.error_factor())
    }

    pub(super) const fn is_transformed(&self) -> bool {
        !matches!(self, Self::Direct(_))
    }

    /// Elements that [`prepare`](Self::prepare) writes, once for all threads.
    pub(super) const fn prepared_len(&self) -> usize {
        each!(self, way => way.prepared_len())
    }

    /// Elements of scratch for each thread.
    pub(super) const fn scratch_len(&self) -> usize {
        each!(self, way => way.scratch_len())
    }

    /// Elements of an image that comes in, and of one that goes out.
    #[cfg(feature = "train")]
    pub(super) const fn image_lens(&self) -> (usize, usize) {
        each!(self, way => way.image_lens())
    }

    /// Brings the weights in the order in which they are used, in single precision however they are stored.
    #[inline]
    pub(super) fn prepare<E: Element>(&self, isa: Isa, weight: &[E], prepared: &mut [f32]) {
        each!(self, way => way.prepare(isa, weight, prepared));
    }

    /// Any number of images, one after the other.
    #[inline]
    pub(super) fn images(
        &self,
        isa: Isa,
        prepared: &[f32],
        epilogue: Epilogue<'_>,
        src: &[f32],
        dst: &mut [f32],
        scratch: &mut [f32],
    ) {
        each!(self, way => way.images(isa, prepared, epilogue, src, dst, scratch));
    }
}

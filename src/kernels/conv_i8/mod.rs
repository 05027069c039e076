//! Two-dimensional convolutions of bytes, as a quantized layer computes them: exact sums of 32 bits, the same integers on every
//! instruction set, requantized to bytes on the way out.
//!
//! Images have their channels last here, as devices store them: input `[n, h, w, c_in]`, weights `[c_out, kh, kw, c_in / groups]`, output
//! `[n, oh, ow, c_out]`.

mod direct;
#[cfg(feature = "train")]
mod forced;
mod image;
mod lanes;
mod patches;
mod pooled;
mod strips;
mod tile;
mod way;
mod window;
mod winograd;

use super::Isa;
use super::arch::split::Tile;
use super::conv::Conv;
use super::gemm_i8::MAX_K;
use super::gemm_i8::sink::{Bytes, Sink, Sums};
use super::requantize::Requantize;
use crate::error::{ShapeError, length};
use crate::view::MatMut;
#[cfg(feature = "train")]
pub(crate) use forced::Forced;
use patches::Patches;
pub use pooled::{conv2d_max_pool2, conv2d_max_pool2_by, pooled_scratch_len};
use way::Way;
use window::{Window, Windowed};

/// Elements of scratch for `conv`: on a set of one lane, as microcontrollers have, at most 512 for sums of up to 72 products, and half
/// as many as products for longer ones; packed weights and transformed or widened images or rows on the others.
#[must_use]
pub const fn scratch_len(isa: Isa, conv: &Conv) -> usize {
    if isa.lanes() == 1 {
        return lane_scratch_len(conv, 1);
    }
    Way::of(conv, isa.lanes()).scratch_len()
}

/// Whether sets of one lane go by a window of the image, as they do for sums of few products; `pooled` if pooling follows.
#[must_use]
pub const fn is_short(conv: &Conv, pooled: bool) -> bool {
    Window::of(conv, if pooled { 2 } else { 1 }).is_some()
}

/// The same on a set of one lane, for strips of a multiple of `step` pixels.
const fn lane_scratch_len(conv: &Conv, step: usize) -> usize {
    match Window::of(conv, step) {
        Some(window) => window.scratch_len(),
        None => patches::scratch_len(conv),
    }
}

/// An input of bytes: `real = scale · (byte − zero_point)`.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// `[n, h, w, c_in]`
    pub bytes: &'a [i8],
    /// What padding counts as.
    pub zero_point: i8,
}

/// The sums of a convolution: `out = Σ x·w`, padding as the zero point of the input.
///
/// # Shapes
/// Those of `conv`, channels last; `out` as the output; `scratch` is overwritten and needs [`scratch_len`] elements.
/// # Accuracy
/// Exact, by Winograd's transforms too, which a 3x3 convolution of stride 1, one group and at least 16 channels on both sides (20 with sixteen
/// lanes) goes by, but for sets of one lane: F(4x4, 3x3) up to 227 input channels, F(2x2, 3x3) up to 3,640 or where that takes no more products. Their
/// fractions are multiplied away, and what they leave of the sums, a known number of times the convolution modulo `2³²`, is divided by
/// that number exactly.
/// # Errors
/// [`ShapeError`] if a buffer has another length than its shape, the scratch is too short, or a sum has more than
/// [`MAX_K`] products.
#[cfg_attr(not(feature = "std"), inline)]
pub fn conv2d_i32(
    isa: Isa,
    conv: &Conv,
    input: Input<'_>,
    weight: &[i8],
    out: &mut [i32],
    scratch: &mut [i32],
) -> Result<(), ShapeError> {
    check(isa, conv, input, weight, out.len(), scratch)?;
    let out = MatMut::new(out, conv.n * conv.oh * conv.ow, conv.c_out)?;
    run::<_, true, true>(isa, conv, input, weight, Sums(Tile::whole(out)), scratch)
}

/// `out = requantize(Σ x·w)`: the bias, the scale, the zero point and the clamp of `requantize`, one channel each for `c_out`.
///
/// # Shapes
/// As [`conv2d_i32`].
/// # Accuracy
/// The integers of the formula of [`Requantize`], on every instruction set.
/// # Errors
/// As [`conv2d_i32`]; [`ShapeError::Length`] if the channels of `requantize` are not `c_out`.
#[cfg_attr(not(feature = "std"), inline)]
pub fn conv2d(
    isa: Isa,
    conv: &Conv,
    input: Input<'_>,
    weight: &[i8],
    requantize: Requantize<'_>,
    out: &mut [i8],
    scratch: &mut [i32],
) -> Result<(), ShapeError> {
    conv2d_by::<true, true>(isa, conv, input, weight, requantize, out, scratch)
}

/// [`conv2d`] for programs that know their convolutions: of the code for sets of one lane, only that for sums of few products is linked if
/// `SHORT`, as [`is_short`] says, and that for many if `LONG`.
///
/// # Errors
/// As [`conv2d`]; [`ShapeError::Range`] for a convolution whose code is not there.
#[cfg_attr(not(feature = "std"), inline)]
pub fn conv2d_by<const SHORT: bool, const LONG: bool>(
    isa: Isa,
    conv: &Conv,
    input: Input<'_>,
    weight: &[i8],
    requantize: Requantize<'_>,
    out: &mut [i8],
    scratch: &mut [i32],
) -> Result<(), ShapeError> {
    check(isa, conv, input, weight, out.len(), scratch)?;
    requantize.check_channels(conv.c_out)?;
    let out = MatMut::new(out, conv.n * conv.oh * conv.ow, conv.c_out)?;
    run::<_, SHORT, LONG>(isa, conv, input, weight, Bytes(Tile::whole(out), requantize), scratch)
}

fn check(
    isa: Isa,
    conv: &Conv,
    input: Input<'_>,
    weight: &[i8],
    out: usize,
    scratch: &[i32],
) -> Result<(), ShapeError> {
    check_input(conv, input, weight)?;
    length("the output of a convolution", conv.output_len(), out)?;
    check_scratch(scratch_len(isa, conv), scratch)
}

fn check_scratch(needed: usize, scratch: &[i32]) -> Result<(), ShapeError> {
    if scratch.len() < needed {
        return Err(ShapeError::TooShort { what: "the scratch of a convolution", needed, got: scratch.len() });
    }
    Ok(())
}

fn check_input(conv: &Conv, input: Input<'_>, weight: &[i8]) -> Result<(), ShapeError> {
    length("the input of a convolution", conv.input_len(), input.bytes.len())?;
    length("the weights of a convolution", conv.weight_len(), weight.len())?;
    if conv.taps() > MAX_K {
        let (what, got) = ("the length of sums of bytes", conv.taps() as i64);
        return Err(ShapeError::Range { what, min: 1, max: MAX_K as i64, got });
    }
    Ok(())
}

fn run<C: Sink, const SHORT: bool, const LONG: bool>(
    isa: Isa,
    conv: &Conv,
    input: Input<'_>,
    weight: &[i8],
    out: C,
    scratch: &mut [i32],
) -> Result<(), ShapeError> {
    if isa.lanes() == 1 {
        return run_lane::<_, SHORT, LONG>(isa, conv, 1, input, weight, out, scratch);
    }
    Way::of(conv, isa.lanes()).run(isa, input, weight, out, scratch);
    Ok(())
}

/// `conv` without the last rows and columns of its output that do not fill a step.
const fn in_steps(conv: &Conv, step: usize) -> Conv {
    let mut whole = *conv;
    if let (Some(rows), Some(cols)) = (conv.oh.checked_rem(step), conv.ow.checked_rem(step)) {
        whole.oh -= rows;
        whole.ow -= cols;
    }
    whole
}

/// [`run`] on a set of one lane, in strips of a multiple of `step` pixels; what does not fill a step is left out.
/// Inlined, as what it hands on would be copied once more.
#[inline(always)]
fn run_lane<C: Sink, const SHORT: bool, const LONG: bool>(
    isa: Isa,
    conv: &Conv,
    step: usize,
    input: Input<'_>,
    weight: &[i8],
    out: C,
    scratch: &mut [i32],
) -> Result<(), ShapeError> {
    let asked = &in_steps(conv, step);
    match Window::of(conv, step) {
        Some(window) if SHORT => isa.run(Windowed { window: window.only(asked), input, weight, out, scratch }),
        None if LONG => isa.run(Patches { conv: asked, input, weight, out, scratch }),
        _ => {
            let (what, got) = ("the products in a sum of a convolution whose code is linked", conv.taps() as i64);
            return Err(ShapeError::Range { what, min: 1, max: MAX_K as i64, got });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

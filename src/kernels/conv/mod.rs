//! Two-dimensional convolutions in single precision: forward, and the gradients by the input and by the weights.

mod direct;
#[cfg(feature = "train")]
mod forced;
mod pixels;
mod planes;
mod shape;
#[cfg(feature = "train")]
pub(in crate::kernels) mod threads;
mod way;
mod weight_gradient;
mod winograd;

use super::element::Element;
use super::simd::{Kernel, Simd};
use super::{Epilogue, Isa};
use crate::error::{ShapeError, length};
#[cfg(feature = "train")]
pub(crate) use forced::Forced;
pub use shape::Conv;
use way::Way;
use weight_gradient::Gradient;

impl Conv {
    /// Elements of scratch for [`conv2d`].
    #[must_use]
    pub const fn scratch_len(&self) -> usize {
        let way = Way::forward(self);
        way.prepared_len() + way.scratch_len()
    }

    /// Whether [`conv2d`], or [`conv2d_d_input`] if `gradient`, goes by Winograd's transforms: where the kernel is 3x3 of stride 1, in
    /// one group, padded by at most 2, and there are channels enough.
    #[must_use]
    pub const fn is_transformed(&self, gradient: bool) -> bool {
        self.way(gradient).is_transformed()
    }

    /// The factor of the error bound of [`conv2d`], or [`conv2d_d_input`] if `gradient`. Plain sums are as exact as
    /// `|error| ≤ factor · (Σ|x·w| + |out| + |bias|)`. [Transformed](Self::is_transformed) ones see more than their own products:
    /// `|error| ≤ factor · (Σ_c max|x_c|·max|w_c| + |out| + |bias|)`, the maxima over the image and the kernel of channel `c`.
    #[must_use]
    pub fn error_factor(&self, gradient: bool) -> f64 {
        self.way(gradient).error_factor()
    }

    const fn way(&self, gradient: bool) -> Way {
        if gradient { Way::d_input(self) } else { Way::forward(self) }
    }

    /// Elements of scratch for [`conv2d_d_input`].
    #[must_use]
    pub const fn d_input_scratch_len(&self) -> usize {
        let way = Way::d_input(self);
        way.prepared_len() + way.scratch_len()
    }

    /// Elements of scratch for [`conv2d_d_weight`].
    #[must_use]
    pub const fn d_weight_scratch_len(&self) -> usize {
        Gradient::of(self).all_len()
    }
}

/// `out = activation(conv(input, weight) + bias)` or `out = activation(out + conv(input, weight) + bias)`, where
/// `conv(input, weight)[n, o, q] = Σ_{c, t} input[n, c, stride·q + t − padding] · weight[o, c, t]`.
///
/// `q` and `t` are rows and columns of the output and of the kernel, `c` the input channels of the group of `o`; pixels outside the
/// image are 0.
///
/// # Shapes
/// Those of [`Conv`]; `bias [c_out]`; `scratch` is overwritten and needs [`Conv::scratch_len`] elements.
/// # Accuracy
/// [`Conv::error_factor`] bounds it, before the activation. Where that is by Winograd's transforms, an infinity or NaN also turns outputs beside those
/// that see it, of the same tile, into NaN.
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length than its shape, [`ShapeError::TooShort`] for a short scratch.
#[cfg_attr(not(feature = "std"), inline)]
pub fn conv2d(
    isa: Isa,
    conv: &Conv,
    input: &[f32],
    weight: &[f32],
    epilogue: Epilogue<'_>,
    out: &mut [f32],
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    forward(isa, conv, input, weight, epilogue, out, scratch)
}

/// [`conv2d`], the weights stored as `E`.
#[cfg_attr(not(feature = "std"), inline)]
pub(in crate::kernels) fn forward<E: Element>(
    isa: Isa,
    conv: &Conv,
    input: &[f32],
    weight: &[E],
    epilogue: Epilogue<'_>,
    out: &mut [f32],
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    check_lens(conv, input, weight, out)?;
    check_bias(conv, epilogue.bias)?;
    check_scratch(conv.scratch_len(), scratch)?;
    correlate(isa, &Way::forward(conv), epilogue, input, weight, out, scratch);
    Ok(())
}

/// The gradient of a loss by the input of [`conv2d`], from the one by its output before the activation:
/// `d_input[n, c, p] = Σ_{o, t} d_out[n, o, q] · weight[o, c, t]`, over all `t` for which a `q` has `stride·q + t − padding = p`.
///
/// # Shapes
/// Those of [`Conv`]: `d_out` as the output, `d_input` as the input, which is overwritten; `scratch` needs
/// [`Conv::d_input_scratch_len`] elements.
/// # Accuracy
/// As [`conv2d`].
/// # Errors
/// As [`conv2d`].
#[cfg_attr(not(feature = "std"), inline)]
pub fn conv2d_d_input(
    isa: Isa,
    conv: &Conv,
    d_out: &[f32],
    weight: &[f32],
    d_input: &mut [f32],
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    check_lens(conv, d_input, weight, d_out)?;
    check_scratch(conv.d_input_scratch_len(), scratch)?;
    correlate(isa, &Way::d_input(conv), Epilogue::default(), d_out, weight, d_input, scratch);
    Ok(())
}

/// The gradient of a loss by the weights of [`conv2d`], from the one by its output before the activation:
/// `d_weight[o, c, t] = Σ_{n, q} d_out[n, o, q] · input[n, c, stride·q + t − padding]`.
///
/// # Shapes
/// Those of [`Conv`]: `d_out` as the output, `d_weight` as the weights, which is overwritten; `scratch` needs
/// [`Conv::d_weight_scratch_len`] elements.
/// # Accuracy
/// `|error| ≤ γ·Σ|x·d_out|`, `γ = k·u / (1 − k·u)`, `k = n · oh · ow`, `u = 2⁻²⁴`. Padding takes part as zeros: an infinity or NaN of
/// `d_out` also turns the taps that lie on it there into NaN.
/// # Errors
/// As [`conv2d`].
#[cfg_attr(not(feature = "std"), inline)]
pub fn conv2d_d_weight(
    isa: Isa,
    conv: &Conv,
    input: &[f32],
    d_out: &[f32],
    d_weight: &mut [f32],
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    check_lens(conv, input, d_weight, d_out)?;
    check_scratch(conv.d_weight_scratch_len(), scratch)?;
    Gradient::of(conv).all_parts(isa, (input, d_out), d_weight, scratch);
    Ok(())
}

/// The gradient of a loss by the bias of [`conv2d`]: the sums of the output's gradient over images and pixels,
/// `d_bias[o] = Σ_{n, q} d_out[n, o, q]`.
///
/// # Shapes
/// `d_out` as the output of `conv`; `d_bias [c_out]`, which is overwritten.
/// # Accuracy
/// `|error| ≤ γ·Σ|d_out|`, `γ` as for [`conv2d_d_weight`].
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
#[cfg_attr(not(feature = "std"), inline)]
pub fn conv2d_d_bias(isa: Isa, conv: &Conv, d_out: &[f32], d_bias: &mut [f32]) -> Result<(), ShapeError> {
    length("the output gradient", conv.output_len(), d_out.len())?;
    length("the bias gradient", conv.c_out, d_bias.len())?;
    isa.run(PlaneSums { planes: d_out, len: conv.oh * conv.ow, sums: d_bias });
    Ok(())
}

/// `sums[c] = Σ` of all planes `c`, `c + channels`...
struct PlaneSums<'a, 's> {
    planes: &'a [f32],
    len: usize,
    sums: &'s mut [f32],
}

impl Kernel for PlaneSums<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        self.sums.fill(0.0);
        for image in self.planes.chunks_exact(self.len * self.sums.len()) {
            for (plane, sum) in image.chunks_exact(self.len).zip(&mut *self.sums) {
                let mut lanes = simd.splat(0.0);
                let mut registers = plane.chunks_exact(S::LANES);
                for register in &mut registers {
                    lanes = simd.add(lanes, simd.load(register));
                }
                *sum += simd.sum(simd.add(lanes, simd.load_partial(registers.remainder())));
            }
        }
    }
}

/// All images on one thread.
#[cfg_attr(not(feature = "std"), inline)]
fn correlate<E: Element>(
    isa: Isa,
    way: &Way,
    epilogue: Epilogue<'_>,
    src: &[f32],
    weight: &[E],
    dst: &mut [f32],
    scratch: &mut [f32],
) {
    let (prepared, scratch) = scratch.split_at_mut(way.prepared_len());
    way.prepare(isa, weight, prepared);
    way.images(isa, prepared, epilogue, src, dst, scratch);
}

fn check_lens<E>(conv: &Conv, input: &[f32], weight: &[E], out: &[f32]) -> Result<(), ShapeError> {
    length("the input of a convolution, or its gradient,", conv.input_len(), input.len())?;
    length("the weights of a convolution, or their gradient,", conv.weight_len(), weight.len())?;
    length("the output of a convolution, or its gradient,", conv.output_len(), out.len())
}

fn check_bias(conv: &Conv, bias: Option<&[f32]>) -> Result<(), ShapeError> {
    length("the bias of a convolution", conv.c_out, bias.map_or(conv.c_out, <[f32]>::len))
}

fn check_scratch(needed: usize, scratch: &[f32]) -> Result<(), ShapeError> {
    if scratch.len() < needed {
        return Err(ShapeError::TooShort { what: "the scratch of a convolution", needed, got: scratch.len() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;

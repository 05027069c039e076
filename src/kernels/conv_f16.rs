//! Convolutions with half-precision weights: the input, every sum and the output in f32.
//!
//! Those of [`conv`], which bring the weights in an order of their own at the beginning of each call: there they are
//! converted, a register at a time, and nothing else differs. A network's weights so take half the memory, and no second copy of them.

use super::conv::{self, Conv};
use super::{Epilogue, Isa};
use crate::error::ShapeError;
use half::f16;

/// [`conv::conv2d`] with `weight` in half precision: `out = activation(conv(input, weight) + bias)` or
/// `out = activation(out + conv(input, weight) + bias)`, where
/// `conv(input, weight)[n, o, q] = Σ_{c, t} input[n, c, stride·q + t − padding] · weight[o, c, t]`.
///
/// # Shapes
/// Those of [`Conv`]; `bias [c_out]`; `scratch` is overwritten and needs [`Conv::scratch_len`] elements.
/// # Accuracy
/// As there, of the numbers that `weight` holds: converting them is exact.
/// # Errors
/// As there.
#[cfg_attr(not(feature = "std"), inline)]
pub fn conv2d(
    isa: Isa,
    conv: &Conv,
    input: &[f32],
    weight: &[f16],
    epilogue: Epilogue<'_>,
    out: &mut [f32],
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    conv::forward(isa, conv, input, weight, epilogue, out, scratch)
}

#[cfg(test)]
mod tests;

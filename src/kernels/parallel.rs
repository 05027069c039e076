//! The kernels that know threads: the same arithmetic, split over the current rayon pool, the same bits for any number of threads.

pub use super::conv::threads::{
    conv2d, conv2d_d_input, conv2d_d_input_scratch_len, conv2d_d_weight, conv2d_d_weight_scratch_len,
    conv2d_scratch_len,
};
pub use super::gemm_f32::threads::{matmul, matmul_scratch_len};
pub use super::pixels::threads::{linear, linear_d_weight};

use super::conv::Conv;
use super::conv::threads::forward;
use super::gemm_f32::threads::product;
use super::{Epilogue, Isa};
use crate::error::ShapeError;
use crate::view::{Mat, MatMut};
use half::f16;

/// [`matmul`] with `b` in half precision, as [`gemm_f16::matmul_with`](super::gemm_f16::matmul_with).
///
/// # Errors
/// As [`matmul`].
pub fn matmul_f16(
    isa: Isa,
    c: MatMut<'_>,
    a: Mat<'_>,
    b: Mat<'_, f16>,
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    product(isa, c, a, b, epilogue, scratch)
}

/// [`conv2d`] with `weight` in half precision, as [`conv_f16::conv2d`](super::conv_f16::conv2d).
///
/// # Shapes
/// As [`conv2d`]: `scratch` needs [`conv2d_scratch_len`] elements for the threads of the pool.
/// # Errors
/// As [`conv2d`].
pub fn conv2d_f16(
    isa: Isa,
    conv: &Conv,
    input: &[f32],
    weight: &[f16],
    epilogue: Epilogue<'_>,
    out: &mut [f32],
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    forward(isa, conv, input, weight, epilogue, out, scratch)
}

//! The kernels that know threads: the same arithmetic, split over the current rayon pool, the same bits for any number of threads.

pub use super::conv::threads::{
    conv2d, conv2d_d_input, conv2d_d_input_scratch_len, conv2d_d_weight, conv2d_d_weight_scratch_len,
    conv2d_scratch_len,
};
pub use super::gemm_f32::threads::{matmul, matmul_scratch_len};

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

//! Matrix products with half-precision weights: `C = A·B`, B stored in f16, every sum in f32.
//!
//! The products of [`gemm_f32`](super::gemm_f32), whose packing and whose loops over unpacked operands convert B as they load it:
//! half the bytes to read for the same arithmetic. Where a matrix is used once, as by a layer on one sample, that is half the time.

use super::gemm_f32::product;
use super::{Epilogue, Isa, convert, matmul_scratch_len};
use crate::error::ShapeError;
use crate::view::{Mat, MatMut};
use half::f16;

/// `c = activation(a·b + bias)` or `c = activation(c + a·b + bias)` on the fastest instruction set of this machine.
///
/// # Shapes
/// As [`matmul`](super::matmul): `scratch` needs [`matmul_scratch_len`] elements.
/// # Accuracy
/// As [`matmul`](super::matmul), of the numbers that B holds: converting them is exact.
/// # Errors
/// [`ShapeError`] if the shapes do not fit together or a buffer is too short.
pub fn matmul(
    c: MatMut<'_>,
    a: Mat<'_>,
    b: Mat<'_, f16>,
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    product(Isa::best, c, a, b, epilogue, scratch)
}

/// [`matmul`] on a chosen instruction set.
///
/// # Errors
/// As [`matmul`].
pub fn matmul_with(
    isa: Isa,
    c: MatMut<'_>,
    a: Mat<'_>,
    b: Mat<'_, f16>,
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    product(|| isa, c, a, b, epilogue, scratch)
}

/// Elements of scratch that [`matmul_halves_with`] needs: those of [`matmul`], and A in single precision.
#[must_use]
pub const fn halves_scratch_len(m: usize, n: usize, k: usize) -> usize {
    m.saturating_mul(k).saturating_add(matmul_scratch_len(m, n, k))
}

/// [`matmul_with`] on activations in f16 too: `a` holds `m` rows of `k`, without a gap.
///
/// # Shapes
/// `a [m, k]`; `scratch` needs [`halves_scratch_len`] elements.
/// # Errors
/// As [`matmul`], and [`ShapeError::Length`] if `a` is no `m` by `k` matrix.
pub fn matmul_halves_with(
    isa: Isa,
    c: MatMut<'_>,
    a: &[f16],
    b: Mat<'_, f16>,
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    let (m, k) = (c.rows(), b.rows());
    let expected = m.checked_mul(k).ok_or(ShapeError::Overflow)?;
    if a.len() != expected {
        return Err(ShapeError::Length { what: "the activations", expected, got: a.len() });
    }
    let Some((single, scratch)) = scratch.split_at_mut_checked(expected) else {
        let needed = halves_scratch_len(m, b.cols(), k);
        return Err(ShapeError::TooShort { what: "the scratch of matmul", needed, got: scratch.len() });
    };
    convert::to_f32(isa, a, single)?;
    product(|| isa, c, Mat::new(single, m, k)?, b, epilogue, scratch)
}

#[cfg(test)]
mod tests;

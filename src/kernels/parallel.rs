//! stub
use super::{Epilogue, Isa};
use crate::{error::ShapeError, view::{Mat, MatMut}};
/// Scratch.
pub const fn matmul_scratch_len(_m: usize, _n: usize, _k: usize) -> usize { 0 }
/// C = A B on the current rayon pool; equal bits for any number of threads.
pub fn matmul(isa: Isa, c: MatMut<'_>, a: Mat<'_>, b: Mat<'_>, epilogue: Epilogue<'_>, scratch: &mut [f32]) -> Result<(), ShapeError> {
    super::matmul_with(isa, c, a, b, epilogue, scratch)
}

//! stub
use super::{Epilogue, Isa};
use crate::{error::ShapeError, view::{Mat, MatMut}};
/// Scratch.
pub const fn matmul_scratch_len(_m: usize, _n: usize, _k: usize) -> usize { 0 }
/// C = A B on the best ISA.
pub fn matmul(c: MatMut<'_>, a: Mat<'_>, b: Mat<'_>, epilogue: Epilogue<'_>, scratch: &mut [f32]) -> Result<(), ShapeError> {
    matmul_with(Isa::best(), c, a, b, epilogue, scratch)
}
/// C = A B.
pub fn matmul_with(isa: Isa, c: MatMut<'_>, a: Mat<'_>, b: Mat<'_>, epilogue: Epilogue<'_>, _scratch: &mut [f32]) -> Result<(), ShapeError> {
    let (data, m, n, rs) = c.into_parts();
    for i in 0..m { for j in 0..n {
        let mut s = if epilogue.accumulate { data[i*rs+j] } else { 0.0 };
        for p in 0..a.cols() { s += a.data()[i*a.row_stride()+p*a.col_stride()] * b.data()[p*b.row_stride()+j*b.col_stride()]; }
        if let Some(bias) = epilogue.bias { s += bias[j]; }
        data[i*rs+j] = s;
    } super::elementwise::activate(isa, epilogue.activation, &mut data[i*rs..i*rs+n]); }
    Ok(())
}

//! The same layer split over the threads of the current rayon pool: forward by rows, its gradient by columns of the weight, so that no
//! element is summed by two of them and the bits are equal for any number.

use super::{Forward, Gradient, Pixels, forward_shapes, gradient_shapes};
use crate::error::ShapeError;
use crate::kernels::parts::Parts;
use crate::kernels::simd::MAX_LANES;
use crate::kernels::{Epilogue, Isa};

/// Multiply-adds of the smallest part that is handed over: some 5 us, against 1 to 2 us for handing it to a thread that is awake.
const PART: usize = 400_000;
/// Columns at which a gradient is cut: whole tiles of every instruction set, and whole blocks of pixels.
const COLUMNS: usize = 2 * MAX_LANES;

/// [`linear`](crate::kernels::pixels::linear) on all threads of the current rayon pool where that pays.
///
/// # Errors
/// As [`linear`](crate::kernels::pixels::linear).
pub fn linear(
    isa: Isa,
    x: Pixels<'_>,
    weight: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) -> Result<(), ShapeError> {
    let (weight, y) = forward_shapes(&x, weight, &epilogue, y)?;
    forward(isa, Forward { x, weight, y, epilogue }, Parts::new(rayon::current_num_threads(), 2 * PART));
    Ok(())
}

/// [`linear_d_weight`](crate::kernels::pixels::linear_d_weight) on all threads of the current rayon pool where that pays.
///
/// # Errors
/// As [`linear_d_weight`](crate::kernels::pixels::linear_d_weight).
pub fn linear_d_weight(isa: Isa, x: Pixels<'_>, d_y: &[f32], d_weight: &mut [f32]) -> Result<(), ShapeError> {
    let (d_y, d_weight) = gradient_shapes(&x, d_y, d_weight)?;
    gradient(isa, Gradient { x, d_y, d_weight }, Parts::new(rayon::current_num_threads(), 2 * PART));
    Ok(())
}

/// Multiply-adds of a product.
fn work(m: usize, n: usize, k: usize) -> usize {
    m.saturating_mul(n).saturating_mul(k)
}

/// Halves the rows until there are `parts`.
fn forward(isa: Isa, whole: Forward<'_, '_, '_, '_>, parts: Parts) {
    let Forward { x, weight, y, epilogue } = whole;
    let (rows, outputs) = (y.rows(), y.cols());
    let Some((at, [parts, others])) = parts.halve(work(rows, outputs, x.width()), rows, 2) else {
        return isa.run(Forward { x, weight, y, epilogue });
    };
    let (top, bottom) = y.split_rows(at);
    let (first, second) = (x.rows_range(0, at), x.rows_range(at, rows));
    rayon::join(
        || forward(isa, Forward { x: first, weight, y: top, epilogue }, parts),
        || forward(isa, Forward { x: second, weight, y: bottom, epilogue }, others),
    );
}

/// Halves the columns until there are `parts`.
fn gradient(isa: Isa, whole: Gradient<'_, '_, '_>, parts: Parts) {
    let Gradient { x, d_y, d_weight } = whole;
    let width = x.width();
    let Some((at, [parts, others])) = parts.halve(work(d_y.rows(), d_y.cols(), width), width, COLUMNS) else {
        return isa.run(Gradient { x, d_y, d_weight });
    };
    let (left, right) = d_weight.split_cols(at);
    let (first, second) = (x.cols_range(0, at), x.cols_range(at, width));
    rayon::join(
        || gradient(isa, Gradient { x: first, d_y, d_weight: left }, parts),
        || gradient(isa, Gradient { x: second, d_y, d_weight: right }, others),
    );
}

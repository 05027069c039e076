//! Matrix multiply of bytes, `x·Wᵀ`, as a quantized layer computes it: exact sums of 32 bits, and the same integers on every
//! instruction set. The sums are the output, or they are requantized to bytes on the way out.
//!
//! [`Weights`] that serve many products are packed once. For others two ways, chosen from the shape and the lanes of the instruction set:
//! - **packed**: both operands widened to 16 bits and multiplied in pairs, in register tiles, `k` in one piece;
//! - **dot**: few rows of `x`, or few of weights, along whose `k` the weights are read where they are (on sets of one lane,
//!   as microcontrollers have, four rows of weights at a time).

mod dot;
mod pack;
mod packed;
pub(super) mod sink;
pub(super) mod step;
pub(super) mod tile;
mod weights;
pub(super) mod words;

use super::Isa;
use super::arch::split::Tile;
use super::requantize::Requantize;
use crate::error::ShapeError;
use crate::view::{Mat, MatMut};
use dot::Dot;
use packed::Packed;
use sink::{Bytes, Sink, Sums};
pub use weights::Weights;

/// Longest sums: `131,071 · 2¹⁴ < 2³¹`, so none can overflow.
pub const MAX_K: usize = 131_071;

/// Rows of `x` up to which packing is not repaid, as `benches/thresholds.rs` measures.
const FEW: usize = 12;

/// Rows of weights up to which packing is not repaid, and the shortest sums for which that holds, as a row of `x` has to be prepared
/// for them. `benches/thresholds.rs` measures both, here on an EPYC 9004. With AVX-512, whose packed strips are 32 rows wide, dots of 5, 7, 10 and 12 rows of 784 take 0.65, 0.9,
/// 0.9 and 1.03 of the time of packed ones, of 10 rows of 256 as long; with AVX2 one row of 784 0.77, two 0.96, three 1.07, and one of 128 1.5.
/// Four lanes: not measured again.
const fn few_weights(lanes: usize) -> (usize, usize) {
    match lanes {
        16 => (11, 256),
        8 => (2, 512),
        _ => (4, 128),
    }
}

const fn is_dot(isa: Isa, m: usize, n: usize, k: usize) -> bool {
    let (few, long) = few_weights(isa.lanes());
    m <= FEW || k == 0 || n <= few && k >= long
}

/// Elements of scratch for `m` rows times `n` weight rows of `k`: for few rows on a set of one lane, as microcontrollers have, half of `k`.
#[must_use]
pub const fn scratch_len(isa: Isa, m: usize, n: usize, k: usize) -> usize {
    if is_dot(isa, m, n, k) { dot::scratch_len(isa, m, k) } else { packed::scratch_len(m, n, k) }
}

/// `c = x·wᵀ`.
///
/// # Shapes
/// `x [m, k]` and `w [n, k]`, by rows; `c [m, n]`; `scratch` is overwritten and needs [`scratch_len`] elements.
/// # Accuracy
/// Exact.
/// # Errors
/// [`ShapeError`] if the shapes do not fit together, a buffer is too short, an operand is stored by columns, or `k` exceeds [`MAX_K`].
#[cfg_attr(not(feature = "std"), inline)]
pub fn matmul_i32(
    isa: Isa,
    c: MatMut<'_, i32>,
    x: Mat<'_, i8>,
    w: Mat<'_, i8>,
    scratch: &mut [i32],
) -> Result<(), ShapeError> {
    let (x, w) = check(isa, [c.rows(), c.cols()], x, w, scratch)?;
    run(isa, Sums(Tile::whole(c)), x, w, scratch);
    Ok(())
}

/// `c = requantize(x·wᵀ)`, a channel a column: the bias, the scale, the zero point and the clamp of `requantize`.
///
/// # Shapes
/// As [`matmul_i32`]; `requantize` has `n` channels.
/// # Accuracy
/// The integers of the formula of [`Requantize`], on every instruction set.
/// # Errors
/// As [`matmul_i32`]; [`ShapeError::Length`] if the channels are not `n`.
#[cfg_attr(not(feature = "std"), inline)]
pub fn matmul(
    isa: Isa,
    c: MatMut<'_, i8>,
    x: Mat<'_, i8>,
    w: Mat<'_, i8>,
    requantize: Requantize<'_>,
    scratch: &mut [i32],
) -> Result<(), ShapeError> {
    let (x, w) = check(isa, [c.rows(), c.cols()], x, w, scratch)?;
    requantize.check_channels(w.rows())?;
    run(isa, Bytes(Tile::whole(c), requantize), x, w, scratch);
    Ok(())
}

/// [`matmul`] of at most a dozen rows of `x`, without the code that packs operands.
///
/// # Errors
/// As [`matmul`]; [`ShapeError::Range`] for more rows.
#[cfg_attr(not(feature = "std"), inline)]
pub fn matmul_few(
    isa: Isa,
    c: MatMut<'_, i8>,
    x: Mat<'_, i8>,
    w: Mat<'_, i8>,
    requantize: Requantize<'_>,
    scratch: &mut [i32],
) -> Result<(), ShapeError> {
    let (x, w) = check(isa, [c.rows(), c.cols()], x, w, scratch)?;
    requantize.check_channels(w.rows())?;
    if x.rows() > FEW {
        let (what, got) = ("the rows of few", x.rows() as i64);
        return Err(ShapeError::Range { what, min: 0, max: FEW as i64, got });
    }
    by(true, isa, Bytes(Tile::whole(c), requantize), x, w, scratch);
    Ok(())
}

fn check<'x, 'w>(
    isa: Isa,
    c: [usize; 2],
    x: Mat<'x, i8>,
    w: Mat<'w, i8>,
    scratch: &[i32],
) -> Result<(Mat<'x, i8>, Mat<'w, i8>), ShapeError> {
    check_shapes(c, [x.rows(), x.cols()], [w.rows(), w.cols()])?;
    let needed = scratch_len(isa, x.rows(), w.rows(), x.cols());
    if scratch.len() < needed {
        return Err(ShapeError::TooShort { what: "the scratch of matmul", needed, got: scratch.len() });
    }
    Ok((by_rows(x)?, by_rows(w)?))
}

/// Whether `c [m, n] = x [m, k] · (w [n, k])ᵀ` is possible.
fn check_shapes(c: [usize; 2], x: [usize; 2], w: [usize; 2]) -> Result<(), ShapeError> {
    let ([m, k], [n, rows]) = (x, w);
    if k != rows {
        return Err(ShapeError::InnerDim { a_cols: k, b_rows: rows });
    }
    if c != [m, n] {
        return Err(ShapeError::OutputDim { expected: [m, n], got: c });
    }
    if k > MAX_K {
        let what = "the length of sums of bytes";
        return Err(ShapeError::Range { what, min: 0, max: MAX_K as i64, got: k as i64 });
    }
    Ok(())
}

/// `operand` if it is stored by rows. Rows of nothing may lie any distance apart, behind the end of their slice too: they are brought
/// together.
fn by_rows(operand: Mat<'_, i8>) -> Result<Mat<'_, i8>, ShapeError> {
    match operand.cols() {
        0 => Mat::new(&[], operand.rows(), 0),
        1 => Ok(operand),
        _ if operand.col_stride() == 1 => Ok(operand),
        cols => Err(ShapeError::Stride { row_stride: operand.row_stride(), cols }),
    }
}

/// Elements of scratch for [`matmul_by`].
#[cfg(feature = "train")]
pub(crate) const fn scratch_len_by(is_dot: bool, isa: Isa, m: usize, n: usize, k: usize) -> usize {
    if is_dot { dot::scratch_len(isa, m, k) } else { packed::scratch_len(m, n, k) }
}

/// [`matmul_i32`] as dots or packed, whichever would be chosen: so that the threshold between them can be measured.
#[cfg(feature = "train")]
pub(crate) fn matmul_by(
    is_dot: bool,
    isa: Isa,
    c: MatMut<'_, i32>,
    x: Mat<'_, i8>,
    w: Mat<'_, i8>,
    scratch: &mut [i32],
) -> Result<(), ShapeError> {
    check_shapes([c.rows(), c.cols()], [x.rows(), x.cols()], [w.rows(), w.cols()])?;
    by(is_dot, isa, Sums(Tile::whole(c)), by_rows(x)?, by_rows(w)?, scratch);
    Ok(())
}

fn run<C: Sink>(isa: Isa, c: C, x: Mat<'_, i8>, w: Mat<'_, i8>, scratch: &mut [i32]) {
    by(is_dot(isa, x.rows(), w.rows(), x.cols()), isa, c, x, w, scratch);
}

fn by<C: Sink>(is_dot: bool, isa: Isa, c: C, x: Mat<'_, i8>, w: Mat<'_, i8>, scratch: &mut [i32]) {
    if x.rows() == 0 || w.rows() == 0 {
        return;
    }
    if is_dot {
        isa.run(Dot { c, x, w, scratch });
    } else {
        isa.run(Packed { c, x, w, scratch });
    }
}

#[cfg(test)]
mod tests;

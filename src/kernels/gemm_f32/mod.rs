//! Single-precision matrix multiply, `C = activation(A·B + bias)` or `C = activation(C + A·B + bias)`, on one thread. B may be stored as
//! any `Element`: f32, or f16 that is converted as it is loaded.
//!
//! Three ways, chosen from the whole shape and the operands' orders, never from a tile or a thread count:
//! - **packed**: loops of BLIS, outermost first `nc`, `kc`, `mc`, `nr`, `mr`, over packed panels; for whatever is large;
//! - **in place**: the same register tiles on unpacked operands, for products that packing would not repay;
//! - **dot**: both operands contiguous along `k` (a layer `x·Wᵀ` on few samples).
//!
//! Each element of C is one chain of multiply-adds in the order of `k` (in blocks, or in lanes for dot), so its bits do not
//! depend on the tile in which it falls.

mod blocks;
mod dot;
mod in_place;
mod pack;
mod packed;
#[cfg(feature = "train")]
pub(crate) mod threads;
pub(in crate::kernels) mod tile;

use super::arch::split::Tile;
use super::element::Element;
use super::{Epilogue, Isa};
use crate::error::ShapeError;
use crate::view::{Mat, MatMut};
use dot::Dot;
use in_place::{InPlace, Order};
use packed::{Packed, Side};
use tile::Finish;

/// Multiply-adds below which a plain loop is done before another way has begun.
const TINY: usize = 64;
/// Multiply-adds up to which packing is not repaid, for operands that fit no other way.
const UNPAID: usize = 1024;
/// Elements of scratch that [`matmul`] needs for an `m x k` by `k x n` product: packed blocks of both operands, at most 3 MB.
#[must_use]
pub const fn matmul_scratch_len(m: usize, n: usize, k: usize) -> usize {
    packed::scratch_len(m, n, k)
}

/// Elements of scratch that a layer `x·Wᵀ` needs, `x [m, k]` and `W [n, k]` by rows, in any element: none where few rows need no packing.
#[must_use]
pub const fn linear_scratch_len(m: usize, n: usize, k: usize) -> usize {
    let work = m.saturating_mul(n).saturating_mul(k);
    // The choice of `choose` for such operands.
    let few = m.saturating_mul(n) <= 16;
    let dot = (k > 1 || n == 1) && ((m == 1 || n == 1) && k >= 8 || m <= 32 && k >= 16 || n < 16 && k >= 100 || few);
    let in_place = n == 1 && m <= 12;
    if work <= UNPAID || dot || in_place { 0 } else { matmul_scratch_len(m, n, k) }
}

/// `c = activation(a·b + bias)` or `c = activation(c + a·b + bias)` on the fastest instruction set of this machine.
///
/// # Shapes
/// `a [m, k]`, `b [k, n]`, `c [m, n]`, `bias [n]`; `scratch` is overwritten and needs [`matmul_scratch_len`] elements.
/// # Accuracy
/// `|error| ≤ γ·(Σ|a·b| + |c| + |bias|)`, `γ = j·u / (1 − j·u)`, `j = k + 2`, `u = 2⁻²⁴`, before the activation.
/// # Errors
/// [`ShapeError`] if the shapes do not fit together or a buffer is too short.
pub fn matmul(
    c: MatMut<'_>,
    a: Mat<'_>,
    b: Mat<'_>,
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    product(Isa::best, c, a, b, epilogue, scratch)
}

/// [`matmul`] on a chosen instruction set.
///
/// # Errors
/// As [`matmul`].
#[cfg_attr(not(feature = "std"), inline)]
pub fn matmul_with(
    isa: Isa,
    c: MatMut<'_>,
    a: Mat<'_>,
    b: Mat<'_>,
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    product(|| isa, c, a, b, epilogue, scratch)
}

/// The product, on an instruction set that is asked for only where one is needed: a few multiply-adds take no longer than asking.
#[inline(always)]
pub(in crate::kernels) fn product<T: Element>(
    isa: impl FnOnce() -> Isa,
    c: MatMut<'_>,
    a: Mat<'_>,
    b: Mat<'_, T>,
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    let path = check(&c, a, b, epilogue)?;
    by(path, isa, c, a, b, epilogue, scratch)
}

/// The product in one way, after [`check`].
#[inline(always)]
fn by<T: Element>(
    path: Path,
    isa: impl FnOnce() -> Isa,
    c: MatMut<'_>,
    a: Mat<'_>,
    b: Mat<'_, T>,
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    let mut c = Tile::whole(c);
    match path {
        Path::Plain(plain) => {
            if c.cols() == 0 {
                return Ok(()); // of rows of nothing there may be more than anything could count
            }
            match plain {
                Plain::Tiny => in_place::plain(&mut c, a, b, epilogue.accumulate),
                Plain::Rows => in_place::rows(&mut c, a, b, epilogue.accumulate),
                Plain::SideBySide => in_place::side_by_side(&mut c, a, b, epilogue.accumulate),
            }
            if Finish::is_needed(&epilogue) {
                let (rows, cols) = ((0, c.rows()), (0, c.cols()));
                isa().run(Finish { c, rows, cols, epilogue });
            }
        }
        Path::Packed => {
            let needed = matmul_scratch_len(a.rows(), b.cols(), a.cols());
            if scratch.len() < needed {
                return Err(ShapeError::TooShort { what: "the scratch of matmul", needed, got: scratch.len() });
            }
            let (k, n) = (a.cols(), b.cols());
            let isa = isa();
            let (a, b, step) = (Side::left(a, n, isa.lanes()), Side::Matrix(b), blocks::k_step(k));
            isa.run(Packed { c, a, b, k, step, epilogue, scratch: packed::aligned(scratch) });
        }
        path => unpacked(isa(), path, c, a, b, epilogue),
    }
    Ok(())
}

/// How a product is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Plain(Plain),
    InPlace(Order),
    Dot { unrolled: bool },
    Packed,
}

/// Which of the plain loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    Tiny,
    Rows,
    SideBySide,
}

/// Checks that the shapes fit together and chooses the way.
#[inline(always)]
pub(super) fn check<T>(c: &MatMut<'_>, a: Mat<'_>, b: Mat<'_, T>, epilogue: Epilogue<'_>) -> Result<Path, ShapeError> {
    let (m, k, n) = (a.rows(), a.cols(), b.cols());
    if b.rows() != k {
        return Err(ShapeError::InnerDim { a_cols: k, b_rows: b.rows() });
    }
    if c.rows() != m || c.cols() != n {
        return Err(ShapeError::OutputDim { expected: [m, n], got: [c.rows(), c.cols()] });
    }
    if let Some(bias) = epilogue.bias
        && bias.len() != n
    {
        return Err(ShapeError::Length { what: "the bias", expected: n, got: bias.len() });
    }
    Ok(choose(m, n, k, a, b))
}

/// The way for a shape. `benches/thresholds.rs` times all ways on both sides of each threshold, `benches/small_shapes.rs` the choice
/// against the plain loop.
#[inline(always)]
fn choose<T>(m: usize, n: usize, k: usize, a: Mat<'_>, b: Mat<'_, T>) -> Path {
    let work = m.saturating_mul(n).saturating_mul(k); // on a 32-bit machine 2048 cubed does not fit
    // A few short rows of B: sums one by one are slower than rows, and a tile of registers takes longer to begin than they take.
    let few = work < TINY || m.saturating_mul(k) <= 3 && n <= 64;
    if few && n >= 8 && k > 0 && b.col_stride() == 1 && size_of::<T>() == size_of::<f32>() {
        return Path::Plain(Plain::Rows);
    }
    if work < TINY {
        return Path::Plain(Plain::Tiny);
    }
    // A single row or column is contiguous whichever way it is stored.
    let b_rows = b.col_stride() == 1 || n == 1;
    let b_columns = b.row_stride() == 1 || k == 1;
    let a_rows = a.col_stride() == 1 || k == 1;
    if b_columns && a_rows && !(b.col_stride() == 1 && n > 1) {
        // x·Wᵀ. Below sixteen steps of k the sums at the end cost more than the products.
        if (m == 1 || n == 1) && k >= 8 {
            return Path::Dot { unrolled: true };
        }
        if m <= 32 && k >= 16 || n < 16 && k >= 100 || m * n <= 16 {
            return Path::Dot { unrolled: false };
        }
    }
    // Rows of B that lie far apart are better packed, unless they are used only once or twice.
    if b_rows && (m <= 12 || m <= 24 && n <= 256 || m * k <= 64 * 256 && k <= 256 && n < 1024) {
        return Path::InPlace(Order::of(m, n, k));
    }
    if work <= UNPAID { Path::Plain(Plain::SideBySide) } else { Path::Packed }
}

/// Every way to compute `a·b`, whichever is chosen, by name; of a few multiply-adds the plain loops too, of a row both orders.
#[cfg(feature = "train")]
pub(crate) fn paths(a: Mat<'_>, b: Mat<'_>) -> impl Iterator<Item = (&'static str, Path)> {
    let (m, n, k) = (a.rows(), b.cols(), a.cols());
    let (is_small, b_rows) = (m.saturating_mul(n).saturating_mul(k) <= UNPAID, b.col_stride() == 1);
    let tiny = is_small.then_some(("tiny", Path::Plain(Plain::Tiny)));
    let rows = (is_small && b_rows).then_some(("rows", Path::Plain(Plain::Rows)));
    let streamed = (m == 1 && b_rows).then_some(("streamed", Path::InPlace(Order::Stream)));
    let dot = (a.col_stride() == 1 && b.row_stride() == 1).then_some(("dot", Path::Dot { unrolled: m == 1 || n == 1 }));
    let order = if m == 1 { Order::Chain } else { Order::of(m, n, k) };
    let in_place = b_rows.then_some(("in-place", Path::InPlace(order)));
    [
        tiny,
        rows,
        Some(("plain", Path::Plain(Plain::SideBySide))),
        dot,
        in_place,
        streamed,
        Some(("packed", Path::Packed)),
    ]
    .into_iter()
    .flatten()
}

/// [`matmul_with`] in the way of `path`, one of [`paths`]: so that the thresholds between them can be measured.
#[cfg(feature = "train")]
pub(crate) fn matmul_by(
    path: Path,
    isa: Isa,
    c: MatMut<'_>,
    a: Mat<'_>,
    b: Mat<'_>,
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    check(&c, a, b, Epilogue::default())?;
    by(path, || isa, c, a, b, Epilogue::default(), scratch)
}

/// Runs one of the ways that need no scratch.
#[inline(always)]
pub(super) fn unpacked<T: Element>(
    isa: Isa,
    path: Path,
    c: Tile<'_>,
    a: Mat<'_>,
    b: Mat<'_, T>,
    epilogue: Epilogue<'_>,
) {
    match path {
        Path::Dot { unrolled } => isa.run(Dot { c, a, bt: b.t(), epilogue, unrolled }),
        Path::InPlace(order) => isa.run(InPlace { c, a, b, epilogue, order }),
        Path::Plain(_) | Path::Packed => unreachable!("these two are handled where the way is chosen"),
    }
}

#[cfg(test)]
mod tests;

//! Answers are checked before they are timed.

use super::error::Cause;
use crate::reference;
use crate::view::Mat;

/// Fails at the first element of `got` further from what is wanted than its tolerance: `(value, tolerance)` for each.
pub(super) fn close<T: Copy + Into<f64>>(want: impl Iterator<Item = (f64, f64)>, got: &[T]) -> Result<(), Cause> {
    for (at, ((expected, tolerance), found)) in want.zip(got).enumerate() {
        element(at, expected, tolerance, (*found).into())?;
    }
    Ok(())
}

/// Fails at the first element of `got` that is not that of `want`.
pub(super) fn equal<T: Copy + Into<f64>>(want: &[T], got: &[T]) -> Result<(), Cause> {
    close(want.iter().map(|want| ((*want).into(), 0.0)), got)
}

/// Fails unless `c` is `a·b` within the rounding bound, at 256 places spread over it.
pub(super) fn product(a: Mat<'_>, b: Mat<'_>, c: &[f32]) -> Result<(), Cause> {
    product_within(reference::gamma(a.cols() + 2), a, b, c)
}

/// Fails unless `c` is `a·b` within `relative · |a|·|b|`, at 256 places spread over it.
pub(super) fn product_within<T: Copy + Into<f64>>(relative: f64, a: Mat<'_>, b: Mat<'_>, c: &[T]) -> Result<(), Cause> {
    let (m, n) = (a.rows(), b.cols());
    let all = m * n;
    for place in 0..all.min(256) {
        // Of many, without a pattern: any row and column may be met.
        let spread = ((place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16) as usize % all;
        let at = if all <= 256 { place } else { spread };
        let (i, j) = (at / n, at % n);
        let (mut want, mut magnitude) = ([0.0], [0.0]);
        reference::matmul_f64(a.rows_range(i, i + 1), b.cols_range(j, j + 1), &mut want, &mut magnitude)?;
        element(at, want[0], relative * magnitude[0], c[at].into())?;
    }
    Ok(())
}

fn element(at: usize, expected: f64, tolerance: f64, found: f64) -> Result<(), Cause> {
    let right = (found - expected).abs() <= tolerance; // false where something is not a number
    if right { Ok(()) } else { Err(Cause::Answer { at, expected, tolerance, found }) }
}

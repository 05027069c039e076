//! Answers are checked before they are timed.

use inkstone::reference;
use inkstone::view::Mat;

/// Fails unless `c` is `a·b` within the rounding bound, at 256 places spread over it.
pub(crate) fn verify(name: &str, a: Mat<'_>, b: Mat<'_>, c: &[f32]) {
    let (m, k, n) = (a.rows(), a.cols(), b.cols());
    for place in 0..256 {
        let at = place * 7919 % (m * n);
        let (i, j) = (at / n, at % n);
        let (mut want, mut magnitude) = ([0.0], [0.0]);
        let (row, column) = (a.rows_range(i, i + 1), b.cols_range(j, j + 1));
        reference::matmul_f64(row, column, &mut want, &mut magnitude).unwrap();
        let error = (f64::from(c[at]) - want[0]).abs();
        assert!(error <= reference::gamma(k + 2) * magnitude[0], "{name} at {i},{j}: {} {}", c[at], want[0]);
    }
}

//! Softmax, log-softmax and their cross entropy, row by row.

use super::Isa;
use super::elementwise::exp;
use super::simd::{Kernel, Simd};
use crate::error::ShapeError;

/// Each row becomes probabilities: `x[j] = exp(x[j] − max) / Σ exp(x − max)`.
///
/// # Shapes
/// `x [rows, cols]`
/// # Errors
/// [`ShapeError::Length`] if `x` is not a whole number of rows of `cols`.
pub fn softmax(isa: Isa, x: &mut [f32], cols: usize) -> Result<(), ShapeError> {
    struct Softmax<'a>(&'a mut [f32], usize);
    impl Kernel for Softmax<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            let Self(x, cols) = self;
            match registers::<S>(cols) {
                1 => soft_rows::<S, 1>(simd, x, cols),
                2 => soft_rows::<S, 2>(simd, x, cols),
                3 => soft_rows::<S, 3>(simd, x, cols),
                _ => {
                    for row in x.chunks_exact_mut(cols) {
                        let (_, sum) = exponentials(simd, row);
                        scale(simd, row, 1.0 / sum);
                    }
                }
            }
        }
    }
    if whole_rows(x.len(), cols)? {
        isa.run(Softmax(x, cols));
    }
    Ok(())
}

/// Each row becomes log-probabilities: `x[j] = x[j] − max − ln Σ exp(x − max)`.
///
/// # Shapes
/// `x [rows, cols]`
/// # Errors
/// [`ShapeError::Length`] if `x` is not a whole number of rows of `cols`.
pub fn log_softmax(isa: Isa, x: &mut [f32], cols: usize) -> Result<(), ShapeError> {
    struct LogSoftmax<'a>(&'a mut [f32], usize);
    impl Kernel for LogSoftmax<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            for row in self.0.chunks_exact_mut(self.1) {
                let max = maximum(simd, row);
                let sum = sum_of_exponentials(simd, row, max);
                let log = ln(sum);
                for x in row {
                    *x = (*x - max) - log;
                }
            }
        }
    }
    if whole_rows(x.len(), cols)? {
        isa.run(LogSoftmax(x, cols));
    }
    Ok(())
}

/// Softmax cross entropy with its gradient: `losses[i] = −ln softmax(logits[i])[labels[i]]`, and `logits` becomes
/// `factor · (softmax(logits) − onehot(labels))`.
///
/// # Shapes
/// `logits [rows, cols]`, `labels [rows]`, `losses [rows]`
/// # Errors
/// [`ShapeError::Length`] if the rows differ in number, if `logits` is not a whole number of rows, or if a label is `cols` or more
/// (which no number of columns could mend, so `expected` is the label plus one).
pub fn cross_entropy(
    isa: Isa,
    logits: &mut [f32],
    labels: &[u8],
    factor: f32,
    losses: &mut [f32],
) -> Result<(), ShapeError> {
    if losses.len() != labels.len() {
        return Err(ShapeError::Length { what: "the losses", expected: labels.len(), got: losses.len() });
    }
    if labels.is_empty() {
        return if logits.is_empty() {
            Ok(())
        } else {
            Err(ShapeError::Length { what: "the logits", expected: 0, got: logits.len() })
        };
    }
    let cols = logits.len() / labels.len();
    if cols * labels.len() != logits.len() {
        return Err(ShapeError::Length { what: "the logits", expected: cols * labels.len(), got: logits.len() });
    }
    if let Some(label) = labels.iter().find(|label| usize::from(**label) >= cols) {
        return Err(ShapeError::Length { what: "a row of logits", expected: usize::from(*label) + 1, got: cols });
    }
    isa.run(CrossEntropy { logits, labels, factor, losses, cols });
    Ok(())
}

/// Whether there are rows at all, or an error if the last one is not whole.
fn whole_rows(len: usize, cols: usize) -> Result<bool, ShapeError> {
    match len.checked_rem(cols) {
        None if len == 0 => Ok(false),
        None => Err(ShapeError::Length { what: "a matrix without columns", expected: 0, got: len }),
        Some(0) => Ok(len > 0),
        Some(rest) => Err(ShapeError::Length { what: "a matrix of whole rows", expected: len - rest, got: len }),
    }
}

/// What [`cross_entropy`] works on.
struct CrossEntropy<'a> {
    logits: &'a mut [f32],
    labels: &'a [u8],
    factor: f32,
    losses: &'a mut [f32],
    cols: usize,
}

impl Kernel for CrossEntropy<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        match registers::<S>(self.cols) {
            1 => self.rows::<S, 1>(simd),
            2 => self.rows::<S, 2>(simd),
            3 => self.rows::<S, 3>(simd),
            _ => {
                let Self { logits, labels, factor, losses, cols } = self;
                for ((row, label), loss) in logits.chunks_exact_mut(cols).zip(labels).zip(losses) {
                    let label = usize::from(*label);
                    let logit = row[label];
                    let (max, sum) = exponentials(simd, row);
                    // ln Σ − (logit − max): both are small where the network is right, so nothing large cancels
                    *loss = ln(sum) - (logit - max);
                    scale(simd, row, factor / sum);
                    row[label] -= factor;
                }
            }
        }
    }
}

impl CrossEntropy<'_> {
    /// Rows of `N` registers.
    #[inline(always)]
    fn rows<S: Simd, const N: usize>(self, simd: S) {
        let Self { logits, labels, factor, losses, cols } = self;
        let (zero, one) = (simd.splat(0.0), simd.splat(factor));
        let mut next = [zero; N];
        let mut next_logit = 0.0;
        if let (Some(row), Some(label)) = (logits.get(..cols), labels.first()) {
            (next, next_logit) = (load_row(simd, row), row[usize::from(*label)]);
        }
        for (i, (label, loss)) in labels.iter().zip(losses).enumerate() {
            let (x, logit) = (next, next_logit);
            // Loaded before this row is stored: a store of some lanes hides what lies behind them until it is done.
            let (row, rest) = logits[i * cols..].split_at_mut(cols);
            if let (Some(row), Some(label)) = (rest.get(..cols), labels.get(i + 1)) {
                (next, next_logit) = (load_row(simd, row), row[usize::from(*label)]);
            }
            let Row { e, max, sum } = Row::of(simd, x);
            *loss = ln(sum) - (logit - max);
            let f = simd.splat(factor / sum);
            for j in 0..N {
                // The label's lane is the one less than a half away from it: its square tells without a sign.
                let away = simd.sub(simd.load(&NUMBERS), simd.splat(f32::from(*label) - (j * S::LANES) as f32));
                let hot = simd.select_lt(simd.mul(away, away), simd.splat(0.25), one, zero);
                store_part(simd, j, simd.sub(simd.mul(e[j], f), hot), row);
            }
        }
    }
}

/// [`softmax`] of rows of `N` registers.
#[inline(always)]
fn soft_rows<S: Simd, const N: usize>(simd: S, x: &mut [f32], cols: usize) {
    let mut next = [simd.splat(0.0); N];
    if let Some(row) = x.get(..cols) {
        next = load_row(simd, row);
    }
    for i in 0..x.len() / cols {
        let (row, rest) = x[i * cols..].split_at_mut(cols);
        let Row { e, sum, .. } = Row::<S, N>::of(simd, next);
        if let Some(row) = rest.get(..cols) {
            next = load_row(simd, row); // before this row is stored, as above
        }
        let f = simd.splat(1.0 / sum);
        for j in 0..N {
            store_part(simd, j, simd.mul(e[j], f), row);
        }
    }
}

/// The numbers of the lanes.
static NUMBERS: [f32; 16] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];

/// Registers of a short row, which need not be written between the steps; 0 where there is but one lane.
#[inline(always)]
const fn registers<S: Simd>(cols: usize) -> usize {
    if S::LANES == 1 { 0 } else { cols.div_ceil(S::LANES) }
}

/// `exp(x − max)` of a row that `N` registers hold, the last of them perhaps in part.
struct Row<S: Simd, const N: usize> {
    e: [S::F32; N],
    max: f32,
    sum: f32,
}

/// A row in `N` registers; behind its end lies what neither the maximum nor the sum feels.
#[inline(always)]
fn load_row<S: Simd, const N: usize>(simd: S, row: &[f32]) -> [S::F32; N] {
    let lowest = simd.splat(f32::NEG_INFINITY);
    let mut x = [lowest; N];
    for j in 0..N {
        let rest = &row[j * S::LANES..];
        x[j] = if rest.len() >= S::LANES {
            simd.load(rest)
        } else {
            let end = simd.splat(rest.len() as f32 - 0.5);
            simd.select_lt(simd.load(&NUMBERS), end, simd.load_partial(rest), lowest)
        };
    }
    x
}

/// Writes register `j` of a row.
#[inline(always)]
fn store_part<S: Simd>(simd: S, j: usize, v: S::F32, row: &mut [f32]) {
    let rest = &mut row[j * S::LANES..];
    if rest.len() >= S::LANES { simd.store(v, rest) } else { simd.store_partial(v, rest) }
}

impl<S: Simd, const N: usize> Row<S, N> {
    #[inline(always)]
    fn of(simd: S, x: [S::F32; N]) -> Self {
        // A NaN is never the larger, but the sum of the exponentials will be NaN, and with it the whole row.
        let mut largest = simd.splat(f32::NEG_INFINITY);
        for j in 0..N {
            largest = simd.select_lt(largest, x[j], x[j], largest);
        }
        let max = simd.max_lane(largest);
        let m = simd.splat(max);
        let mut e = x;
        for j in 0..N {
            e[j] = exp(simd, simd.sub(x[j], m));
        }
        let mut sum = e[0];
        for j in 1..N {
            sum = simd.add(sum, e[j]);
        }
        Self { e, max, sum: simd.sum(sum) }
    }
}

/// The largest element that is a number.
#[inline(always)]
fn maximum<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let mut max = simd.splat(f32::NEG_INFINITY);
    let mut chunks = row.chunks_exact(S::LANES);
    for x in &mut chunks {
        let x = simd.load(x);
        max = simd.select_lt(max, x, x, max);
    }
    let mut max = simd.max_lane(max);
    for x in chunks.remainder() {
        max = if max < *x { *x } else { max };
    }
    max
}

/// Replaces the row by `exp(x − max)` and returns the maximum and the sum, which is NaN if any element is.
#[inline(always)]
fn exponentials<S: Simd>(simd: S, row: &mut [f32]) -> (f32, f32) {
    let max = maximum(simd, row);
    let m = simd.splat(max);
    let mut sum = simd.splat(0.0);
    let mut chunks = row.chunks_exact_mut(S::LANES);
    for x in &mut chunks {
        let e = exp(simd, simd.sub(simd.load(x), m));
        simd.store(e, x);
        sum = simd.add(sum, e);
    }
    let x = chunks.into_remainder();
    let mut total = simd.sum(sum);
    simd.store_partial(exp(simd, simd.sub(simd.load_partial(x), m)), x);
    for e in x {
        total += *e;
    }
    (max, total)
}

/// `Σ exp(x − max)` without changing the row, in the same order as [`exponentials`].
#[inline(always)]
fn sum_of_exponentials<S: Simd>(simd: S, row: &[f32], max: f32) -> f32 {
    let m = simd.splat(max);
    let mut sum = simd.splat(0.0);
    let mut chunks = row.chunks_exact(S::LANES);
    for x in &mut chunks {
        sum = simd.add(sum, exp(simd, simd.sub(simd.load(x), m)));
    }
    let mut total = simd.sum(sum);
    for x in chunks.remainder() {
        let mut e = [0.0; super::simd::MAX_LANES];
        simd.store(exp(simd, simd.splat(*x - max)), &mut e);
        total += e[0];
    }
    total
}

/// `x = x · factor`
#[inline(always)]
fn scale<S: Simd>(simd: S, row: &mut [f32], factor: f32) {
    let f = simd.splat(factor);
    let mut chunks = row.chunks_exact_mut(S::LANES);
    for x in &mut chunks {
        simd.store(simd.mul(simd.load(x), f), x);
    }
    for x in chunks.into_remainder() {
        *x *= factor;
    }
}

/// Natural logarithm within 2 units in the last place, for sums of exponentials (1 and more); NaN and infinity stay.
///
/// `x = 2ᵉ·m` with `m` in `[√½, √2)`, then `ln m = 2·artanh(s)`, `s = (m − 1)/(m + 1)`, as `s·(2 + z·(2/3 + …))`, `z = s²`.
#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    if !x.is_finite() || x < f32::MIN_POSITIVE {
        return if x > 0.0 {
            x
        } else if x == 0.0 {
            f32::NEG_INFINITY
        } else {
            f32::NAN
        };
    }
    let bits = x.to_bits();
    let up = u32::from(bits & 0x007f_ffff > 0x0035_04f3); // above √2
    let exponent = (bits >> 23) as i32 - 127 + up as i32;
    let m = f32::from_bits((bits & 0x007f_ffff) | ((127 - up) << 23));
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let rest = s * z * (0.666_666_7 + z * (0.4 + z * (0.285_714_3 + z * (0.222_222_2 + z * 0.181_818_2))));
    // ln 2 in two parts: the first has so few bits that its product with the exponent is exact
    let e = exponent as f32;
    e * 0.693_359_4 + (2.0 * s + (rest - e * 2.121_944_4e-4))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn ln_is_within_two_units_in_the_last_place_of_f64() {
        let mut worst: f64 = 0.0;
        let mut x = 1e-3f32;
        while x < 1e6 {
            let want = f64::from(x).ln();
            let ulp = f64::from(f32::EPSILON) * want.abs().max(1e-6).log2().floor().exp2();
            worst = worst.max((f64::from(ln(x)) - want).abs() / ulp);
            x *= 1.000_37;
        }
        assert!(worst <= 2.0, "{worst} ulp");
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(f32::INFINITY), f32::INFINITY);
        assert_eq!(ln(0.0), f32::NEG_INFINITY);
        assert!(ln(f32::NAN).is_nan() && ln(-1.0).is_nan());
    }

    fn row(cols: usize, i: usize) -> Vec<f32> {
        (0..cols).map(|j| (((i * 31 + j * 17) % 41) as f32 - 20.0) * 0.9).collect()
    }

    /// Sizes around a register on every instruction set, against f64.
    #[test]
    fn rows_match_f64_on_every_isa() {
        for isa in Isa::available() {
            for cols in [1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 33] {
                let rows: Vec<Vec<f32>> = (0..5).map(|i| row(cols, i)).collect();
                let labels: Vec<u8> = (0..5).map(|i| (i * 3 % cols) as u8).collect();
                let flat: Vec<f32> = rows.concat();
                let (mut soft, mut log, mut ce) = (flat.clone(), flat.clone(), flat.clone());
                let mut losses = std::vec![f32::NAN; 5];
                softmax(isa, &mut soft, cols).unwrap();
                log_softmax(isa, &mut log, cols).unwrap();
                cross_entropy(isa, &mut ce, &labels, 0.25, &mut losses).unwrap();
                for (i, x) in rows.iter().enumerate() {
                    let max = x.iter().fold(f64::MIN, |a, x| a.max(f64::from(*x)));
                    let sum: f64 = x.iter().map(|x| (f64::from(*x) - max).exp()).sum();
                    for j in 0..cols {
                        let logp = f64::from(x[j]) - max - sum.ln();
                        let at = i * cols + j;
                        // x - max is rounded once, and exp turns that into a relative error; the rest are a few roundings.
                        let relative = ((f64::from(x[j]) - max).abs() + 16.0) * f64::from(f32::EPSILON) / 2.0;
                        let error = (f64::from(soft[at]) - logp.exp()).abs();
                        assert!(error <= relative * logp.exp() + 1e-38, "{isa} softmax {cols}");
                        assert!((f64::from(log[at]) - logp).abs() <= 4e-7 * (1.0 + logp.abs()), "{isa} log {cols}");
                        let hot = if j == usize::from(labels[i]) { 1.0 } else { 0.0 };
                        assert!((f64::from(ce[at]) - 0.25 * (logp.exp() - hot)).abs() <= 1e-7, "{isa} ce {cols}");
                        if hot == 1.0 {
                            assert!(
                                (f64::from(losses[i]) + logp).abs() <= 4e-7 * (1.0 + logp.abs()),
                                "{isa} loss {cols}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nan_and_infinity_are_not_hidden() {
        for isa in Isa::available() {
            for at in 0..10 {
                let mut x = row(10, 3);
                x[at] = f32::NAN;
                softmax(isa, &mut x, 10).unwrap();
                assert!(x.iter().all(|x| x.is_nan()), "{isa} {at}");
                let mut x = row(10, 3);
                x[at] = f32::NEG_INFINITY;
                softmax(isa, &mut x, 10).unwrap();
                assert!(x[at] == 0.0 && x.iter().all(|x| x.is_finite()), "{isa} {at} {x:?}");
            }
        }
    }

    #[test]
    fn a_label_that_has_no_column_is_refused() {
        let mut losses = [0.0; 1];
        let error = cross_entropy(Isa::SCALAR, &mut [0.0; 10], &[10], 1.0, &mut losses);
        assert_eq!(error, Err(ShapeError::Length { what: "a row of logits", expected: 11, got: 10 }));
        assert!(softmax(Isa::SCALAR, &mut [0.0; 7], 3).is_err());
        assert!(softmax(Isa::SCALAR, &mut [0.0; 7], 0).is_err());
    }
}

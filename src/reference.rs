//! Plain loops: the naive baseline of the benches in f32, and the oracle of the tests in f64.
//!
//! Nothing here is fast and nothing here is clever: each function is the formula, so that a fast kernel has something to be
//! compared with. All work on the caller's slices. What needs `exp` or `tanh` in f64 needs the feature `std`.

mod batch_norm;
mod conv;
mod dropout;
mod warp;

pub use batch_norm::{batch_norm_backward_f64, batch_norm_statistics_f64};
pub use conv::{
    Exact, conv2d_d_input_f32, conv2d_d_input_f64, conv2d_d_weight_f32, conv2d_d_weight_f64, conv2d_f32, conv2d_f64,
    conv2d_i8,
};
pub use dropout::{dropout_f64, dropout_word};
pub use warp::bilinear_f64;

use crate::error::{ShapeError, length};
use crate::kernels::{Activation, Epilogue};
use crate::view::{Mat, MatMut};

/// The unit roundoff of f32: the largest relative error of one correctly rounded operation, `2⁻²⁴`.
pub const UNIT_ROUNDOFF: f64 = 1.0 / 16_777_216.0;

/// `γ = k·u / (1 − k·u)`: the largest relative error of `k` rounded operations one after the other (Higham, *Accuracy and
/// Stability of Numerical Algorithms*, lemma 3.1), in units of [`UNIT_ROUNDOFF`] `u`; infinite where `k·u ≥ 1`.
#[must_use]
pub const fn gamma(k: usize) -> f64 {
    let ku = k as f64 * UNIT_ROUNDOFF;
    if ku < 1.0 { ku / (1.0 - ku) } else { f64::INFINITY }
}

/// Checks that `a·b` fits the `rows x cols` output.
#[inline]
const fn check_product<T>(a: &Mat<'_, T>, b: &Mat<'_, T>, rows: usize, cols: usize) -> Result<(), ShapeError> {
    if a.cols() != b.rows() {
        return Err(ShapeError::InnerDim { a_cols: a.cols(), b_rows: b.rows() });
    }
    if rows != a.rows() || cols != b.cols() {
        return Err(ShapeError::OutputDim { expected: [a.rows(), b.cols()], got: [rows, cols] });
    }
    Ok(())
}

/// `c = activation(a·b + bias)` or `c = activation(c + a·b + bias)`: three loops, the innermost along a row of `b` if the elements
/// of one are neighbours (i-k-j, of which the compiler makes vectors), along `k` otherwise (i-j-k).
///
/// The naive baseline of the benches: same operands, same checks, same results but for rounding as
/// [`matmul`](crate::kernels::matmul).
///
/// # Shapes
/// `a [m, k]`, `b [k, n]`, `c [m, n]`, `bias [n]`.
/// # Errors
/// [`ShapeError`] if the shapes do not fit together.
pub fn matmul_f32(c: MatMut<'_>, a: Mat<'_>, b: Mat<'_>, epilogue: Epilogue<'_>) -> Result<(), ShapeError> {
    check_product(&a, &b, c.rows(), c.cols())?;
    let Epilogue { accumulate, bias, activation } = epilogue;
    if let Some(bias) = bias {
        length("the bias", b.cols(), bias.len())?;
    }
    let (c, m, n, c_stride) = c.into_parts();
    if n == 0 {
        return Ok(());
    }
    for i in 0..m {
        let row = &mut c[i * c_stride..][..n];
        if !accumulate {
            row.fill(0.0);
        }
        let a = |p: usize| a.data()[i * a.row_stride() + p * a.col_stride()];
        if b.col_stride() == 1 {
            for p in 0..b.rows() {
                let (a, b) = (a(p), &b.data()[p * b.row_stride()..][..n]);
                row.iter_mut().zip(b).for_each(|(c, b)| *c += a * b);
            }
        } else {
            for (j, c) in row.iter_mut().enumerate() {
                let mut sum = 0.0;
                for p in 0..b.rows() {
                    sum += a(p) * b.data()[p * b.row_stride() + j * b.col_stride()];
                }
                *c += sum;
            }
        }
        if let Some(bias) = bias {
            row.iter_mut().zip(bias).for_each(|(c, bias)| *c += bias);
        }
        row.iter_mut().for_each(|c| *c = activate_f32(activation, *c));
    }
    Ok(())
}

/// `c = x·wᵀ` of bytes, summed in 32 bits: three loops, one dot product at a time.
///
/// # Shapes
/// `x [m, k]` and `w [n, k]`, by rows; `c [m, n]`.
/// # Accuracy
/// Exact up to `k` of [`MAX_K`](crate::kernels::gemm_i8::MAX_K), modulo `2³²` beyond.
/// # Errors
/// [`ShapeError`] if the shapes do not fit together or an operand is stored by columns.
pub fn matmul_i8(c: MatMut<'_, i32>, x: Mat<'_, i8>, w: Mat<'_, i8>) -> Result<(), ShapeError> {
    check_product(&x, &w.t(), c.rows(), c.cols())?;
    for operand in [x, w] {
        if operand.col_stride() != 1 {
            return Err(ShapeError::Stride { row_stride: operand.row_stride(), cols: operand.cols() });
        }
    }
    let k = x.cols();
    let (c, m, n, stride) = c.into_parts();
    for i in 0..m {
        for j in 0..n {
            let (x, w) = (&x.data()[i * x.row_stride()..][..k], &w.data()[j * w.row_stride()..][..k]);
            let products = x.iter().zip(w).map(|(x, w)| i32::from(*x) * i32::from(*w));
            c[i * stride + j] = products.fold(0, i32::wrapping_add);
        }
    }
    Ok(())
}

/// One value through an activation, by the functions of the standard library; without it the curved ones come from the
/// scalar kernels.
#[inline]
fn activate_f32(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Identity => x,
        Activation::Relu if x < 0.0 => 0.0,
        Activation::Relu => x, // NaN too
        #[cfg(feature = "std")]
        Activation::Tanh => x.tanh(),
        #[cfg(feature = "std")]
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        #[cfg(not(feature = "std"))]
        curved => {
            let mut x = [x];
            crate::kernels::elementwise::activate(crate::kernels::Isa::SCALAR, curved, &mut x);
            x[0]
        }
    }
}

/// `a·b` in f64, and beside each sum `Σ|a·b|`, the size that its rounding error scales with:
/// a f32 product is right if `|c − value| ≤ gamma(k + 2) · magnitude`.
///
/// Products of two f32 are exact in f64, so the values carry only the rounding of f64 sums: `2²⁹` times finer.
///
/// # Shapes
/// `a [m, k]`, `b [k, n]`, `values [m, n]`, `magnitudes [m, n]`, rows without gaps.
/// # Errors
/// [`ShapeError`] if the shapes do not fit together.
pub fn matmul_f64(a: Mat<'_>, b: Mat<'_>, values: &mut [f64], magnitudes: &mut [f64]) -> Result<(), ShapeError> {
    let (m, n) = (a.rows(), b.cols());
    check_product(&a, &b, m, n)?;
    let expected = m.checked_mul(n).ok_or(ShapeError::Overflow)?;
    length("the values", expected, values.len())?;
    length("the magnitudes", expected, magnitudes.len())?;
    for i in 0..m {
        for j in 0..n {
            let (mut sum, mut magnitude) = (0.0, 0.0);
            for p in 0..a.cols() {
                let product = f64::from(a.data()[i * a.row_stride() + p * a.col_stride()])
                    * f64::from(b.data()[p * b.row_stride() + j * b.col_stride()]);
                sum += product;
                magnitude += product.abs();
            }
            values[i * n + j] = sum;
            magnitudes[i * n + j] = magnitude;
        }
    }
    Ok(())
}

/// `max(x, 0)`; NaN stays NaN.
#[must_use]
pub const fn relu(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

#[cfg(feature = "std")]
pub use curved::{activate, cross_entropy, log_softmax, sigmoid, softmax, tanh};

/// What needs the `exp` and `tanh` of the standard library.
#[cfg(feature = "std")]
mod curved {
    use super::{length, relu};
    use crate::error::ShapeError;
    use crate::kernels::Activation;

    /// `tanh(x)`
    #[must_use]
    pub fn tanh(x: f64) -> f64 {
        x.tanh()
    }

    /// `1 / (1 + exp(−x))`; small results keep all their digits.
    #[must_use]
    pub fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// One value through an activation function.
    #[must_use]
    pub fn activate(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::Identity => x,
            Activation::Relu => relu(x),
            Activation::Tanh => tanh(x),
            Activation::Sigmoid => sigmoid(x),
        }
    }

    /// Checks that `x` is whole rows of `cols` values.
    fn check_rows(x: &[f64], cols: usize) -> Result<(), ShapeError> {
        let whole = x.len().checked_div(cols).map_or(0, |rows| rows * cols);
        length("a matrix of whole rows", whole, x.len())
    }

    /// Each row of `cols` values becomes log-probabilities in place: `x[j] − ln Σₖ exp(x[k])`.
    ///
    /// # Errors
    /// [`ShapeError::Length`] if `x` is not whole rows.
    pub fn log_softmax(x: &mut [f64], cols: usize) -> Result<(), ShapeError> {
        check_rows(x, cols)?;
        for row in x.chunks_exact_mut(cols.max(1)) {
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
            let ln = sum.ln();
            row.iter_mut().for_each(|x| *x = *x - max - ln);
        }
        Ok(())
    }

    /// Each row of `cols` values becomes probabilities in place: `exp(x[j]) / Σₖ exp(x[k])`.
    ///
    /// # Errors
    /// [`ShapeError::Length`] if `x` is not whole rows.
    pub fn softmax(x: &mut [f64], cols: usize) -> Result<(), ShapeError> {
        check_rows(x, cols)?;
        for row in x.chunks_exact_mut(cols.max(1)) {
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.iter_mut().for_each(|x| *x = (*x - max).exp());
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= sum);
        }
        Ok(())
    }

    /// Softmax cross entropy: `losses[i] = −ln probs[i][labels[i]]`, and each row of logits becomes the gradient of
    /// `scale · Σ losses`, which is `scale · (probs − onehot)`.
    ///
    /// # Shapes
    /// `logits [n, classes]`, `labels [n]` below `classes`, `losses [n]`.
    /// # Errors
    /// [`ShapeError::Length`] if the lengths do not fit together or a label is no class.
    pub fn cross_entropy(logits: &mut [f64], labels: &[u8], scale: f64, losses: &mut [f64]) -> Result<(), ShapeError> {
        length("the losses", labels.len(), losses.len())?;
        let classes = if labels.is_empty() { 0 } else { logits.len() / labels.len() };
        length("the logits", labels.len() * classes, logits.len())?;
        if let Some(&label) = labels.iter().find(|&&label| usize::from(label) >= classes) {
            return Err(ShapeError::Length { what: "a row of logits", expected: usize::from(label) + 1, got: classes });
        }
        log_softmax(logits, classes)?;
        for ((row, &label), loss) in logits.chunks_exact_mut(classes.max(1)).zip(labels).zip(losses) {
            let label = usize::from(label);
            *loss = -row[label];
            // Where a probability nears 1, `probs − 1` is minus the sum of the others: no digits are lost.
            let others: f64 = (0..classes).filter(|&j| j != label).map(|j| row[j].exp()).sum();
            row.iter_mut().for_each(|x| *x = scale * x.exp());
            row[label] = -scale * others;
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn products_by_hand_with_transposes_strides_and_epilogue() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, -1.0, 0.5, 2.0, -3.0, 1.0]);
        let (a, b) = (Mat::new(&a, 2, 3).unwrap(), Mat::new(&b, 2, 3).unwrap());
        let mut c = [f32::NAN; 5];
        matmul_f32(MatMut::with_row_stride(&mut c, 2, 2, 3).unwrap(), a, b.t(), Epilogue::default()).unwrap();
        assert_eq!([c[0], c[1], c[3], c[4]], [0.5, -1.0, 2.0, -1.0]);
        assert!(c[2].is_nan(), "the gap between the rows is left alone");

        let (mut values, mut magnitudes) = ([f64::NAN; 4], [f64::NAN; 4]);
        matmul_f64(a, b.t(), &mut values, &mut magnitudes).unwrap();
        assert_eq!(values, [0.5, -1.0, 2.0, -1.0]);
        assert_eq!(magnitudes, [4.5, 11.0, 12.0, 29.0]);

        let mut c = [1.0, 2.0, 3.0, 4.0];
        let epilogue = Epilogue { accumulate: true, bias: Some(&[-9.0, 1.0]), activation: Activation::Relu };
        matmul_f32(MatMut::new(&mut c, 2, 2).unwrap(), a, b.t(), epilogue).unwrap();
        assert_eq!(c, [0.0, 2.0, 0.0, 4.0]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let x = [0.0; 6];
        let (wide, mut c) = (Mat::new(&x, 2, 3).unwrap(), [0.0; 4]);
        let mut product = |a, b, n| matmul_f32(MatMut::new(&mut c, 2, n).unwrap(), a, b, Epilogue::default());
        assert_eq!(product(wide, wide, 2), Err(ShapeError::InnerDim { a_cols: 3, b_rows: 2 }));
        assert_eq!(product(wide, wide.t(), 1), Err(ShapeError::OutputDim { expected: [2, 2], got: [2, 1] }));
        assert!(matmul_f64(wide, wide.t(), &mut [0.0; 4], &mut [0.0; 3]).is_err());
        assert!(softmax(&mut [0.0; 4], 3).is_err());
        assert!(log_softmax(&mut [0.0; 4], 0).is_err());
        assert!(cross_entropy(&mut [0.0; 4], &[0, 2], 1.0, &mut [0.0; 2]).is_err(), "label 2 of two classes");
        assert!(cross_entropy(&mut [0.0; 4], &[0, 1], 1.0, &mut [0.0; 1]).is_err());
    }

    #[test]
    fn softmax_and_cross_entropy_by_hand() {
        let logits = [0.0, 3f64.ln(), 1000.0, 1000.0]; // probabilities 1/4, 3/4 and 1/2, 1/2
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-15, "expected {want}, found {got}");
        let mut probs = logits;
        softmax(&mut probs, 2).unwrap();
        probs.iter().zip([0.25, 0.75, 0.5, 0.5]).for_each(|(&got, want)| near(got, want));
        let mut log_probs = logits;
        log_softmax(&mut log_probs, 2).unwrap();
        near(log_probs[0], 0.25f64.ln());
        let (mut gradient, mut losses) = (logits, [0.0; 2]);
        cross_entropy(&mut gradient, &[1, 0], 0.5, &mut losses).unwrap();
        near(losses[0], -(0.75f64.ln()));
        gradient.iter().zip([0.125, -0.125, -0.25, 0.25]).for_each(|(&got, want)| near(got, want));
    }

    #[test]
    fn activations() {
        assert_eq!([relu(-2.0), relu(2.0)], [0.0, 2.0]);
        assert!(relu(f64::NAN).is_nan());
        assert_eq!(sigmoid(0.0), 0.5);
        assert_eq!([sigmoid(-1e4), sigmoid(1e4)], [0.0, 1.0]);
        assert_eq!(activate(Activation::Tanh, 1.0), 1f64.tanh());
        assert_eq!(activate(Activation::Identity, 1.5), 1.5);
        assert!((gamma(100) / (100.0 * UNIT_ROUNDOFF) - 1.0).abs() < 1e-5);
        assert_eq!(gamma(1 << 24), f64::INFINITY);
    }
}

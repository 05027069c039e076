//! `y = x·Wᵀ + b`: three matrix products, one forward and two backward.

use crate::error::ShapeError;
use crate::kernels::{Activation, Epilogue, Isa, elementwise, parallel};
use crate::view::{Mat, MatMut};

/// Elements of `d_y` from which the bias's gradient is summed beside the weight's product: below, waking a thread costs more.
const BESIDE: usize = 32 * 1024;

/// Sizes of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// Elements of a row of `x`.
    pub inputs: usize,
    /// Elements of a row of `y`.
    pub outputs: usize,
}

/// The parameters of a linear layer.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    /// `[outputs, inputs]`
    pub weight: &'a [f32],
    /// `[outputs]`
    pub bias: &'a [f32],
}

/// Where the gradients of a linear layer go.
#[derive(Debug)]
pub struct Grads<'a> {
    /// `[outputs, inputs]`
    pub weight: &'a mut [f32],
    /// `[outputs]`
    pub bias: &'a mut [f32],
}

impl Linear {
    /// Floats of scratch that forward and backward need for `rows` samples.
    #[must_use]
    pub fn scratch_len(&self, rows: usize) -> usize {
        let Self { inputs, outputs } = *self;
        let products = [[rows, outputs, inputs], [outputs, inputs, rows], [rows, inputs, outputs]];
        products.into_iter().map(|[m, n, k]| parallel::matmul_scratch_len(m, n, k)).max().unwrap_or(0)
    }

    /// `y = activation(x·Wᵀ + b)`.
    ///
    /// # Shapes
    /// `x [rows, inputs]`, `y [rows, outputs]`; `rows` is what `x` holds.
    /// # Errors
    /// [`ShapeError`] if a buffer does not fit these sizes.
    pub fn forward(
        &self,
        isa: Isa,
        x: &[f32],
        params: Params<'_>,
        activation: Activation,
        y: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), ShapeError> {
        let rows = x.len() / self.inputs;
        let w = Mat::new(params.weight, self.outputs, self.inputs)?;
        let epilogue = Epilogue { accumulate: false, bias: Some(params.bias), activation };
        let (x, y) = (Mat::new(x, rows, self.inputs)?, MatMut::new(y, rows, self.outputs)?);
        parallel::matmul(isa, y, x, w.t(), epilogue, scratch)
    }

    /// `d_W = d_yᵀ·x`, `d_b = Σ d_y`, and `d_x = d_y·W` if it is wanted.
    ///
    /// # Shapes
    /// `x` and `d_x [rows, inputs]`, `d_y [rows, outputs]`; `rows` is what `x` holds.
    /// # Errors
    /// [`ShapeError`] if a buffer does not fit these sizes.
    pub fn backward(
        &self,
        isa: Isa,
        [x, d_y]: [&[f32]; 2],
        weight: &[f32],
        grads: Grads<'_>,
        d_x: Option<&mut [f32]>,
        scratch: &mut [f32],
    ) -> Result<(), ShapeError> {
        let Self { inputs, outputs } = *self;
        let rows = x.len() / inputs;
        let d_y_rows = Mat::new(d_y, rows, outputs)?;
        let d_w = MatMut::new(grads.weight, outputs, inputs)?;
        let x = Mat::new(x, rows, inputs)?;
        let mut d_bias = || elementwise::column_sums(isa, d_y, grads.bias);
        let d_weight = || parallel::matmul(isa, d_w, d_y_rows.t(), x, Epilogue::default(), &mut *scratch);
        if d_y.len() < BESIDE {
            d_bias()?;
            d_weight()?;
        } else {
            let (weight, bias) = rayon::join(d_weight, d_bias);
            weight.and(bias)?;
        }
        match d_x {
            None => Ok(()),
            Some(d_x) => {
                let w = Mat::new(weight, outputs, inputs)?;
                let d_x = MatMut::new(d_x, rows, inputs)?;
                parallel::matmul(isa, d_x, d_y_rows, w, Epilogue::default(), scratch)
            }
        }
    }
}

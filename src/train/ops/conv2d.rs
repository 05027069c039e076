//! `y[o, q] = b[o] + Σ x[c, stride·q + t − padding]·w[o, c, t]`: a convolution forward, and two backward.

use crate::error::ShapeError;
use crate::graph;
use crate::kernels::conv::{self, Conv};
use crate::kernels::{Activation, Epilogue, Isa, parallel};
use crate::train::spread::beside;

/// Sizes of a convolutional layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// The op of the graph.
    pub op: graph::Conv2d,
    /// Rows and columns of an input image.
    pub image: [usize; 2],
}

/// Where the gradients of a convolution's parameters go.
#[derive(Debug)]
pub struct Grads<'a> {
    /// `[out_channels, in_channels / groups, kh, kw]`
    pub weight: &'a mut [f32],
    /// `[out_channels]`, if there is a bias.
    pub bias: Option<&'a mut [f32]>,
}

impl Conv2d {
    /// Samples in a buffer of inputs.
    fn rows(&self, x: &[f32]) -> usize {
        x.len() / (self.op.in_channels * self.image[0] * self.image[1])
    }

    /// For `rows` samples.
    fn sizes(&self, rows: usize) -> Result<Conv, ShapeError> {
        self.op.sizes(rows, self.image[0], self.image[1])
    }

    /// Floats of scratch that forward and backward need for `rows` samples on `threads` threads.
    ///
    /// # Errors
    /// As [`Conv::new`].
    pub fn scratch_len(&self, rows: usize, threads: usize) -> Result<usize, ShapeError> {
        let conv = self.sizes(rows)?;
        let forward = parallel::conv2d_scratch_len(&conv, threads);
        let d_input = parallel::conv2d_d_input_scratch_len(&conv, threads);
        Ok(forward.max(d_input).max(parallel::conv2d_d_weight_scratch_len(&conv)))
    }

    /// `y = activation(conv(x, weight) + bias)`.
    ///
    /// # Shapes
    /// `x [rows, in_channels, h, w]`, `weight [out_channels, in_channels / groups, kh, kw]`, `bias [out_channels]` if there is one,
    /// `y [rows, out_channels, oh, ow]`; `rows` is what `x` holds.
    /// # Errors
    /// [`ShapeError`] if a buffer does not fit these sizes.
    pub fn forward(
        &self,
        isa: Isa,
        x: &[f32],
        (weight, bias): (&[f32], Option<&[f32]>),
        activation: Activation,
        y: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), ShapeError> {
        let epilogue = Epilogue { accumulate: false, bias, activation };
        parallel::conv2d(isa, &self.sizes(self.rows(x))?, x, weight, epilogue, y, scratch)
    }

    /// The gradients by weight and bias, and by the input if it is wanted.
    ///
    /// # Shapes
    /// As [`forward`](Self::forward); gradients as what they are of.
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
        let sizes = self.sizes(self.rows(x))?;
        let d_bias = || grads.bias.map_or(Ok(()), |d_bias| conv::conv2d_d_bias(isa, &sizes, d_y, d_bias));
        let d_weight = || parallel::conv2d_d_weight(isa, &sizes, x, d_y, grads.weight, &mut *scratch);
        beside(d_y.len(), d_weight, d_bias)?;
        match d_x {
            None => Ok(()),
            Some(d_x) => parallel::conv2d_d_input(isa, &sizes, d_y, weight, d_x, scratch),
        }
    }
}

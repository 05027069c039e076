//! `y = x·Wᵀ + b`: three matrix products, one forward and two backward.

use crate::error::ShapeError;
use crate::kernels::columns::{self, Columns};
use crate::kernels::pixels::Pixels;
use crate::kernels::{Activation, Epilogue, Isa, elementwise, parallel};
use crate::train::spread::{Cut, beside, spread};
use crate::view::{Mat, MatMut};

/// Elements of a weight from which its columns are moved by several threads.
const GRAIN: usize = 64 * 1024;

/// Outputs up to which a layer reads bytes: with more of them, the conversion is a small part of the products, which run faster on floats.
const PIXELS: usize = 10;

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

    /// Floats of scratch that forward and backward need for `rows` samples of which some columns alone are given, whichever these are: a
    /// narrower product may be cut into fewer blocks, and need more than a wider one.
    #[must_use]
    pub fn columns_scratch_len(&self, rows: usize) -> usize {
        let of = |inputs| inputs * self.outputs + Self { inputs, ..*self }.scratch_len(rows);
        (1..=self.inputs).map(of).max().unwrap_or(0)
    }

    /// [`forward`](Self::forward) of inputs that are 0 but in these columns.
    ///
    /// # Shapes
    /// `x [rows, columns]`, `y [rows, outputs]`; `scratch` needs [`columns_scratch_len`](Self::columns_scratch_len).
    /// # Errors
    /// [`ShapeError`] if a buffer does not fit these sizes.
    pub fn forward_columns(
        &self,
        isa: Isa,
        (x, columns): (&[f32], Columns<'_>),
        params: Params<'_>,
        activation: Activation,
        y: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), ShapeError> {
        let (narrow, weight, scratch) = self.narrow(columns, scratch)?;
        let whole = Mat::new(params.weight, self.outputs, self.inputs)?.data();
        let weights = Rows { from: (whole, self.inputs), to: (&mut *weight, narrow.inputs) };
        spread(weights, self.grain(), &|part: Rows<'_>| columns::take(isa, columns, part.from.0, part.to.0))?;
        narrow.forward(isa, x, Params { weight, bias: params.bias }, activation, y, scratch)
    }

    /// `d_W` and `d_b` for inputs that are 0 but in these columns: the gradients by the weights of the others are 0.
    ///
    /// # Shapes
    /// `x [rows, columns]`, `d_y [rows, outputs]`; `scratch` needs [`columns_scratch_len`](Self::columns_scratch_len).
    /// # Errors
    /// [`ShapeError`] if a buffer does not fit these sizes.
    pub fn backward_columns(
        &self,
        isa: Isa,
        (x, columns): (&[f32], Columns<'_>),
        d_y: &[f32],
        grads: Grads<'_>,
        scratch: &mut [f32],
    ) -> Result<(), ShapeError> {
        let (narrow, weight, scratch) = self.narrow(columns, scratch)?;
        narrow.backward(isa, [x, d_y], &[], Grads { weight: &mut *weight, bias: grads.bias }, None, scratch)?;
        MatMut::new(&mut *grads.weight, self.outputs, self.inputs)?;
        let weights = Rows { from: (weight, narrow.inputs), to: (grads.weight, self.inputs) };
        spread(weights, self.grain(), &|part: Rows<'_>| columns::put(isa, columns, part.from.0, part.to.0))
    }

    /// Whether reading bytes is faster than converting them first.
    #[must_use]
    pub fn takes_pixels(&self, isa: Isa) -> bool {
        isa.lanes() >= 8 && self.outputs <= PIXELS
    }

    /// [`forward`](Self::forward) of raw pixels.
    ///
    /// # Shapes
    /// `x [rows, inputs]`, `y [rows, outputs]`.
    /// # Errors
    /// [`ShapeError`] if a buffer does not fit these sizes.
    pub fn forward_pixels(
        &self,
        isa: Isa,
        x: Pixels<'_>,
        params: Params<'_>,
        activation: Activation,
        y: &mut [f32],
    ) -> Result<(), ShapeError> {
        let epilogue = Epilogue { accumulate: false, bias: Some(params.bias), activation };
        parallel::linear(isa, x, params.weight, epilogue, y)
    }

    /// `d_W` and `d_b` for raw pixels.
    ///
    /// # Shapes
    /// `x [rows, inputs]`, `d_y [rows, outputs]`.
    /// # Errors
    /// [`ShapeError`] if a buffer does not fit these sizes.
    pub fn backward_pixels(&self, isa: Isa, x: Pixels<'_>, d_y: &[f32], grads: Grads<'_>) -> Result<(), ShapeError> {
        let d_bias = || elementwise::column_sums(isa, d_y, grads.bias);
        let d_weight = || parallel::linear_d_weight(isa, x, d_y, grads.weight);
        beside(d_y.len(), d_weight, d_bias)
    }

    /// The layer of these columns alone, room for its weight, and the rest of the scratch.
    fn narrow<'s>(
        &self,
        columns: Columns<'_>,
        scratch: &'s mut [f32],
    ) -> Result<(Self, &'s mut [f32], &'s mut [f32]), ShapeError> {
        if columns.width() != self.inputs || columns.count() == 0 {
            let (expected, got) = (self.inputs, columns.width());
            return Err(ShapeError::Length { what: "columns of the inputs, at least one,", expected, got });
        }
        let narrow = Self { inputs: columns.count(), outputs: self.outputs };
        let (needed, got) = (narrow.inputs * narrow.outputs, scratch.len());
        let (weight, rest) = scratch.split_at_mut_checked(needed).ok_or(ShapeError::TooShort {
            what: "the scratch of a linear layer",
            needed,
            got,
        })?;
        Ok((narrow, weight, rest))
    }

    /// Rows of the weight that one thread moves.
    fn grain(&self) -> usize {
        (GRAIN / self.inputs.max(1)).max(1)
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
        let d_bias = || elementwise::column_sums(isa, d_y, grads.bias);
        let d_weight = || parallel::matmul(isa, d_w, d_y_rows.t(), x, Epilogue::default(), &mut *scratch);
        beside(d_y.len(), d_weight, d_bias)?;
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

/// The same rows of two matrices, each with its elements of a row: one to read, one to write.
struct Rows<'a> {
    from: (&'a [f32], usize),
    to: (&'a mut [f32], usize),
}

impl Cut for Rows<'_> {
    fn units(&self) -> usize {
        self.from.0.len() / self.from.1.max(1)
    }

    fn cut(self, at: usize) -> (Self, Self) {
        let Self { from: (from, from_width), to: (to, to_width) } = self;
        let (from, from_rest) = from.split_at(at * from_width);
        let (to, to_rest) = to.split_at_mut(at * to_width);
        (
            Self { from: (from, from_width), to: (to, to_width) },
            Self { from: (from_rest, from_width), to: (to_rest, to_width) },
        )
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list of runs may hold one")]
mod tests {
    use super::*;
    use crate::data::random::Random;

    /// Blocks of 640 are longer than the two halves of 784.
    #[test]
    fn the_scratch_is_enough_for_any_number_of_columns() {
        let layer = Linear { inputs: 784, outputs: 100 };
        for rows in [1, 13, 200, 1000] {
            let most = layer.columns_scratch_len(rows);
            let mut scratch = vec![0.0; most];
            for count in [1, 100, 391, 392, 393, 639, 640, 641, 783, 784] {
                let runs = [0..count];
                let columns = Columns::new(&runs, 784).unwrap();
                let (x, d_y, mut y) = (vec![0.5; rows * count], vec![0.5; rows * 100], vec![0.0; rows * 100]);
                let (weight, mut d_weight, mut bias) = (vec![0.5; 78_400], vec![f32::NAN; 78_400], vec![0.0; 100]);
                let params = Params { weight: &weight, bias: &bias };
                let isa = Isa::best();
                layer.forward_columns(isa, (&x, columns), params, Activation::Relu, &mut y, &mut scratch).unwrap();
                let grads = Grads { weight: &mut d_weight, bias: &mut bias };
                layer.backward_columns(isa, (&x, columns), &d_y, grads, &mut scratch).unwrap();
                assert!(d_weight.iter().all(|x| x.is_finite()));
            }
        }
    }

    /// With columns and without: the same sums but for their order, of sizes that are cut and sizes that are not.
    #[test]
    fn some_columns_do_what_all_do_when_the_others_are_zero() {
        let isa = Isa::best();
        let mut random = Random::new(1, "columns", 0);
        for (rows, inputs, outputs, runs) in [
            (1, 9, 3, vec![2..5]),
            (16, 784, 100, vec![30..200, 230..231, 400..784]),
            (40, 300, 512, vec![0..10, 20..290]),
        ] {
            let layer = Linear { inputs, outputs };
            let columns = Columns::new(&runs, inputs).unwrap();
            let mut draw = |len: usize| (0..len).map(|_| random.unit() - 0.5).collect::<Vec<f32>>();
            let (some, weight, bias, d_y) =
                (draw(rows * columns.count()), draw(inputs * outputs), draw(outputs), draw(rows * outputs));
            let mut x = vec![f32::NAN; rows * inputs];
            columns::put(isa, columns, &some, &mut x).unwrap();
            let params = Params { weight: &weight, bias: &bias };
            let mut scratch = vec![f32::NAN; layer.columns_scratch_len(rows)];
            let (mut want, mut got) = (vec![f32::NAN; rows * outputs], vec![f32::NAN; rows * outputs]);
            layer.forward(isa, &x, params, Activation::Relu, &mut want, &mut scratch).unwrap();
            layer.forward_columns(isa, (&some, columns), params, Activation::Relu, &mut got, &mut scratch).unwrap();
            let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(close(&want, &got));
            let grads = || (vec![f32::NAN; inputs * outputs], vec![f32::NAN; outputs]);
            let ((mut w, mut b), (mut w2, mut b2)) = (grads(), grads());
            let want = Grads { weight: &mut w, bias: &mut b };
            layer.backward(isa, [&x, &d_y], &weight, want, None, &mut scratch).unwrap();
            let got = Grads { weight: &mut w2, bias: &mut b2 };
            layer.backward_columns(isa, (&some, columns), &d_y, got, &mut scratch).unwrap();
            assert!(close(&w, &w2) && b == b2);
            let dark = |i: usize| !runs.iter().any(|run| run.contains(&(i % inputs)));
            assert!(w2.iter().enumerate().all(|(i, g)| !dark(i) || g.to_bits() == 0));

            let grads = Grads { weight: &mut w, bias: &mut b };
            assert!(layer.backward_columns(isa, (&some, columns), &d_y, grads, &mut scratch[..3]).is_err());
            let other = Columns::new(&runs, inputs + 1).unwrap();
            let y = &mut vec![0.0; rows * outputs];
            assert!(layer.forward_columns(isa, (&some, other), params, Activation::Relu, y, &mut scratch).is_err());
        }
    }
}

//! Pooling: the largest value or the mean of each window of a plane, or the mean of the whole plane.

use crate::error::ShapeError;
use crate::graph::Window;
use crate::kernels::Isa;
use crate::kernels::pool::{self, Pool};
use crate::train::pieces::{Piece, Pieces};

/// Sizes of a pooling layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2d {
    /// The windows.
    pub window: Window,
    /// Channels, rows and columns of a sample.
    pub input: [usize; 3],
}

impl Pool2d {
    /// For `rows` samples.
    fn sizes(&self, rows: usize) -> Result<Pool, ShapeError> {
        let ([c, h, w], Window { kernel, stride, padding }) = (self.input, self.window);
        Pool::new([rows, c, h, w], kernel, stride, padding)
    }

    /// Elements of a sample, in and out.
    fn widths(&self) -> Result<(usize, usize), ShapeError> {
        let one = self.sizes(1)?;
        Ok((one.input_len(), one.output_len()))
    }

    /// `y` = the largest value of each window, and `places` where it is.
    ///
    /// # Shapes
    /// `x [rows, c, h, w]`, `y` and `places [rows, c, oh, ow]`; places are whole numbers in the bits of floats.
    /// # Errors
    /// [`ShapeError`] if a buffer does not fit these sizes.
    pub fn max_forward(
        &self,
        isa: Isa,
        rows: usize,
        x: &[f32],
        y: &mut [f32],
        places: &mut [f32],
    ) -> Result<(), ShapeError> {
        let (from, to) = self.widths()?;
        Pieces::new(rows, [(x, from)], [(y, to), (places, to)])?.spread(&|piece: Piece<'_, 1, 2>| {
            let ([x], [y, places]) = (piece.read, piece.write);
            pool::max_pool2d(isa, &self.sizes(piece.units)?, x, y, bytemuck::cast_slice_mut(places))
        })
    }

    /// `d_x` = the gradient by each maximum, at its place, 0 elsewhere.
    ///
    /// # Shapes
    /// As [`max_forward`](Self::max_forward).
    /// # Errors
    /// As [`max_forward`](Self::max_forward).
    pub fn max_backward(&self, rows: usize, d_y: &[f32], places: &[f32], d_x: &mut [f32]) -> Result<(), ShapeError> {
        let (from, to) = self.widths()?;
        Pieces::new(rows, [(d_y, to), (places, to)], [(d_x, from)])?.spread(&|piece: Piece<'_, 2, 1>| {
            let ([d_y, places], [d_x]) = (piece.read, piece.write);
            pool::max_pool2d_backward(&self.sizes(piece.units)?, d_y, bytemuck::cast_slice(places), d_x)
        })
    }

    /// `y` = the mean of each window, padding counted as zeros.
    ///
    /// # Shapes
    /// `x [rows, c, h, w]`, `y [rows, c, oh, ow]`.
    /// # Errors
    /// [`ShapeError`] if a buffer does not fit these sizes.
    pub fn avg_forward(&self, isa: Isa, rows: usize, x: &[f32], y: &mut [f32]) -> Result<(), ShapeError> {
        let (from, to) = self.widths()?;
        Pieces::new(rows, [(x, from)], [(y, to)])?.spread(&|piece: Piece<'_, 1, 1>| {
            let ([x], [y]) = (piece.read, piece.write);
            pool::avg_pool2d(isa, &self.sizes(piece.units)?, x, y)
        })
    }

    /// `d_x` = each pixel's share of the gradients by the windows that it lies in.
    ///
    /// # Shapes
    /// As [`avg_forward`](Self::avg_forward).
    /// # Errors
    /// As [`avg_forward`](Self::avg_forward).
    pub fn avg_backward(&self, isa: Isa, rows: usize, d_y: &[f32], d_x: &mut [f32]) -> Result<(), ShapeError> {
        let (from, to) = self.widths()?;
        Pieces::new(rows, [(d_y, to)], [(d_x, from)])?.spread(&|piece: Piece<'_, 1, 1>| {
            let ([d_y], [d_x]) = (piece.read, piece.write);
            pool::avg_pool2d_backward(isa, &self.sizes(piece.units)?, d_y, d_x)
        })
    }
}

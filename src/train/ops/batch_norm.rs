//! `y = gamma·(x − mean)/√(variance + eps) + beta`, channel by channel.

use crate::error::ShapeError;
use crate::kernels::batch_norm::{self, Forward, Norm, Planes};
use crate::kernels::{Activation, Isa};
use crate::train::pieces::{Piece, Pieces};

pub use crate::graph::BATCH_NORM_EPS as EPS;
/// Part of the running statistics that a batch replaces, as PyTorch has it.
pub const MOMENTUM: f32 = 0.1;

/// Elements whose statistics are taken in one piece: larger pieces leave fewer sums to add, smaller ones more work for a second thread.
const PIECE: usize = 64 * 1024;

/// Sizes of a batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchNorm {
    /// Channels of a sample.
    pub channels: usize,
    /// Elements of a channel: pixels of an image, or 1.
    pub plane: usize,
}

/// What a layer learns.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    /// `[channels]`
    pub gamma: &'a [f32],
    /// `[channels]`
    pub beta: &'a [f32],
}

/// Where the gradients go.
#[derive(Debug)]
pub struct Grads<'a> {
    /// `[channels]`
    pub gamma: &'a mut [f32],
    /// `[channels]`
    pub beta: &'a mut [f32],
    /// `[rows, channels, plane]`, if it is wanted.
    pub x: Option<&'a mut [f32]>,
}

/// What the forward pass of a training step leaves: three numbers a channel.
struct Saved<'a> {
    mean: &'a mut [f32],
    variance: &'a mut [f32],
    inv_std: &'a mut [f32],
}

impl BatchNorm {
    fn planes(&self, rows: usize) -> Result<Planes, ShapeError> {
        Planes::new([rows, self.channels, self.plane])
    }

    /// Samples of a piece.
    fn samples(&self) -> usize {
        (PIECE / (self.channels * self.plane)).max(1)
    }

    fn pieces(&self, rows: usize) -> usize {
        rows.div_ceil(self.samples())
    }

    /// Floats of scratch that forward and backward need for `rows` samples: two numbers a channel for each piece, and two more.
    #[must_use]
    pub fn scratch_len(&self, rows: usize) -> usize {
        2 * self.channels * (self.pieces(rows) + 1)
    }

    fn width(&self) -> usize {
        self.channels * self.plane
    }

    fn split<'a>(&self, saved: &'a mut [f32]) -> Result<Saved<'a>, ShapeError> {
        let (expected, got) = (3 * self.channels, saved.len());
        if got != expected {
            return Err(ShapeError::Length { what: "what a batch norm saves", expected, got });
        }
        let (mean, rest) = saved.split_at_mut(self.channels);
        let (variance, inv_std) = rest.split_at_mut(self.channels);
        Ok(Saved { mean, variance, inv_std })
    }

    /// `y = activation(norm(x))` by the statistics of the batch, which `saved` keeps as mean, variance and inverse deviation of each channel.
    ///
    /// Statistics of pieces of a fixed size are taken apart and joined in their order (Chan, Golub and LeVeque, 1983), in f64.
    ///
    /// # Shapes
    /// `x` and `y [rows, channels, plane]`, `saved [3, channels]`, `scratch` of [`scratch_len`](Self::scratch_len); `rows` is what `x` holds.
    /// # Errors
    /// [`ShapeError`] if a buffer does not fit these sizes, or for no rows at all.
    pub fn forward(
        &self,
        isa: Isa,
        x: &[f32],
        Params { gamma, beta }: Params<'_>,
        activation: Activation,
        y: &mut [f32],
        [saved, scratch]: [&mut [f32]; 2],
    ) -> Result<(), ShapeError> {
        let Saved { mean, variance, inv_std } = self.split(saved)?;
        self.statistics(isa, x, [&mut *mean, &mut *variance], scratch)?;
        batch_norm::inverse_deviation(variance, EPS, inv_std)?;
        self.normalize(isa, Some(x), Norm { gamma, beta, mean, variance, eps: EPS }, activation, y, scratch)
    }

    /// As [`forward`](Self::forward), by statistics that are given; in place where there is no `x`.
    ///
    /// # Errors
    /// [`ShapeError`] if a buffer does not fit these sizes.
    pub fn normalize(
        &self,
        isa: Isa,
        x: Option<&[f32]>,
        norm: Norm<'_>,
        activation: Activation,
        y: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), ShapeError> {
        let (scale, rest) = scratch.split_at_mut_checked(self.channels).ok_or(SHORT)?;
        let shift = rest.get_mut(..self.channels).ok_or(SHORT)?;
        norm.fold(scale, shift)?;
        let (lines, rows) = ([&*scale, &*shift], y.len() / self.width());
        match x {
            Some(x) => {
                Pieces::new(rows, [(x, self.width())], [(y, self.width())])?.spread(&|piece: Piece<'_, 1, 1>| {
                    let ([x], [y]) = (piece.read, piece.write);
                    batch_norm::apply(isa, &self.planes(piece.units)?, x, lines, activation, y)
                })
            }
            None => Pieces::new(rows, [], [(y, self.width())])?.spread(&|piece: Piece<'_, 0, 1>| {
                let [y] = piece.write;
                batch_norm::apply_in_place(isa, &self.planes(piece.units)?, y, lines, activation)
            }),
        }
    }

    fn statistics(
        &self,
        isa: Isa,
        x: &[f32],
        [mean, variance]: [&mut [f32]; 2],
        scratch: &mut [f32],
    ) -> Result<(), ShapeError> {
        let rows = x.len() / self.width();
        let (c, samples, pieces) = (self.channels, self.samples(), self.pieces(rows));
        if pieces <= 1 {
            return batch_norm::statistics(isa, &self.planes(rows)?, x, mean, variance);
        }
        let scratch = scratch.get_mut(..2 * c * pieces).ok_or(SHORT)?;
        super::numbered(scratch, 2 * c, &|at, part| {
            let (mean, variance) = part.split_at_mut(c);
            let (from, to) = (at * samples, ((at + 1) * samples).min(rows));
            let x = x.get(from * self.width()..to * self.width()).ok_or(SHORT)?;
            batch_norm::statistics(isa, &self.planes(to - from)?, x, mean, variance)
        })?;
        let parts = || {
            let counts = (0..pieces).map(|at| ((at + 1) * samples).min(rows) - at * samples);
            scratch.chunks_exact(2 * c).zip(counts.map(|samples| samples as f64 / rows as f64))
        };
        for channel in 0..c {
            let whole: f64 = parts().map(|(part, weight)| weight * f64::from(part[channel])).sum();
            let spread = |(part, weight): (&[f32], f64)| {
                weight * (f64::from(part[c + channel]) + (f64::from(part[channel]) - whole).powi(2))
            };
            mean[channel] = whole as f32;
            variance[channel] = parts().map(spread).sum::<f64>() as f32;
        }
        Ok(())
    }

    /// The running statistics after a batch: `running += momentum·(batch − running)`, the variance of the batch without its bias, as PyTorch has
    /// it; its default `momentum` is [`MOMENTUM`]. A batch of one element a channel has no such variance and changes only the mean.
    ///
    /// # Errors
    /// [`ShapeError`] if a buffer does not fit these sizes.
    pub fn update_running(
        &self,
        rows: usize,
        momentum: f64,
        saved: &[f32],
        running: &mut [f32],
    ) -> Result<(), ShapeError> {
        let (c, count) = (self.channels, (rows * self.plane) as f64);
        let (Some([mean, variance]), Some([to_mean, to_variance])) = (
            saved.get(..2 * c).map(|saved| [&saved[..c], &saved[c..]]),
            running.get_mut(..2 * c).map(|running| <[&mut [f32]; 2]>::from(running.split_at_mut(c))),
        ) else {
            return Err(SHORT);
        };
        let blend = |to: &mut f32, from: f64| *to = (f64::from(*to) + momentum * (from - f64::from(*to))) as f32;
        to_mean.iter_mut().zip(mean).for_each(|(to, mean)| blend(to, f64::from(*mean)));
        if count > 1.0 {
            let unbiased = count / (count - 1.0);
            to_variance.iter_mut().zip(variance).for_each(|(to, variance)| blend(to, f64::from(*variance) * unbiased));
        }
        Ok(())
    }

    /// The gradients by gamma and beta, and by the input if it is wanted.
    ///
    /// # Shapes
    /// `x` and `d_y [rows, channels, plane]`, of as many rows as `x` holds; `saved` as [`forward`](Self::forward) left it.
    /// # Errors
    /// [`ShapeError`] if a buffer does not fit these sizes.
    pub fn backward(
        &self,
        isa: Isa,
        [x, d_y]: [&[f32]; 2],
        gamma: &[f32],
        saved: &mut [f32],
        grads: Grads<'_>,
        scratch: &mut [f32],
    ) -> Result<(), ShapeError> {
        let Grads { gamma: d_gamma, beta: d_beta, x: d_x } = grads;
        let rows = x.len() / self.width();
        let Saved { mean, inv_std, .. } = self.split(saved)?;
        let (mean, inv_std) = (&*mean, &*inv_std);
        let (c, samples, pieces, width) = (self.channels, self.samples(), self.pieces(rows), self.width());
        let parts = scratch.get_mut(..2 * c * pieces).ok_or(SHORT)?;
        super::numbered(parts, 2 * c, &|at, part| {
            let (d_gamma, d_beta) = part.split_at_mut(c);
            let (from, to) = (at * samples, ((at + 1) * samples).min(rows));
            let piece = from * width..to * width;
            let (x, d_y) = (x.get(piece.clone()).ok_or(SHORT)?, d_y.get(piece).ok_or(SHORT)?);
            let forward = Forward { x, mean, inv_std, gamma };
            batch_norm::backward_sums(isa, &self.planes(to - from)?, forward, d_y, [d_gamma, d_beta])
        })?;
        d_gamma.fill(0.0);
        d_beta.fill(0.0);
        for part in parts.chunks_exact(2 * c) {
            d_gamma.iter_mut().zip(&part[..c]).for_each(|(sum, x)| *sum += x);
            d_beta.iter_mut().zip(&part[c..]).for_each(|(sum, x)| *sum += x);
        }
        let Some(d_x) = d_x else { return Ok(()) };
        let (sums, count) = ([&*d_gamma, &*d_beta], rows * self.plane);
        Pieces::new(rows, [(x, width), (d_y, width)], [(d_x, width)])?.spread(&|piece: Piece<'_, 2, 1>| {
            let ([x, d_y], [d_x]) = (piece.read, piece.write);
            let forward = Forward { x, mean, inv_std, gamma };
            batch_norm::backward_input(isa, &self.planes(piece.units)?, forward, d_y, sums, count, d_x)
        })
    }
}

const SHORT: ShapeError = ShapeError::TooShort { what: "a buffer of a batch norm", needed: 1, got: 0 };

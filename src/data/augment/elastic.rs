//! Displacements of an elastic distortion: noise smoothed by a Gaussian, rows first, then columns.

use super::super::random::Random;
use super::Elastic;
use crate::error::ShapeError;

/// Where the Gaussian ends, in standard deviations.
const REACH: f64 = 3.0;

/// The Gaussian of one distortion for images of one size.
#[derive(Clone, Debug)]
pub(super) struct Smoothing {
    rows: usize,
    cols: usize,
    across: Vec<f32>, // weights along a row, of the middle and outwards; alpha is in them
    down: Vec<f32>,   // weights along a column
}

/// Room for one image's displacements.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    /// Displacements, in pixels: along rows, along columns.
    pub(super) d: [Vec<f32>; 2],
    /// Smoothed along rows only.
    half: [Vec<f32>; 2],
    /// A row of noise with zeros on both sides.
    line: [Vec<f32>; 2],
}

impl Smoothing {
    pub(super) fn new(elastic: Elastic, rows: usize, cols: usize) -> Self {
        let Elastic { alpha, sigma } = elastic;
        let reach = (REACH * sigma).ceil() as usize; // at most 3000
        let bell = |distance: usize| (-0.5 * (distance as f64 / sigma).powi(2)).exp();
        let sum = bell(0) + 2.0 * (1..=reach).map(bell).sum::<f64>();
        // Further out than the other edge there is nothing to weigh.
        let weights = |side: usize, factor: f64| -> Vec<f32> {
            (0..=reach.min(side - 1)).map(|distance| (factor * bell(distance) / sum) as f32).collect()
        };
        Self { rows, cols, across: weights(cols, alpha), down: weights(rows, 1.0) }
    }

    /// Room for [`fill`](Self::fill).
    pub(super) fn fields(&self) -> Fields {
        let two = |len: usize| [vec![0.0; len], vec![0.0; len]];
        let plane = self.rows * self.cols;
        Fields { d: two(plane), half: two(plane), line: two(self.cols + 2 * self.margin()) }
    }

    /// Zeros on each side of a row of noise.
    fn margin(&self) -> usize {
        self.across.len() - 1
    }

    /// Draws the displacements of an image, row by row, those along rows and along columns by turns. Does not allocate.
    ///
    /// # Errors
    /// [`ShapeError::Length`] if `fields` has room for another size or reach.
    pub(super) fn fill(&self, random: &mut Random, fields: &mut Fields) -> Result<(), ShapeError> {
        let &Self { rows, cols, .. } = self;
        let margin = self.margin();
        let Fields { d, half, line: [line_x, line_y] } = fields;
        // All of a `Fields` is made at once: one plane and one line tell of the others.
        for (expected, got) in [(rows * cols, d[0].len()), (cols + 2 * margin, line_x.len())] {
            if expected != got {
                return Err(ShapeError::Length { what: "the scratch of an augmentation", expected, got });
            }
        }
        let [half_x, half_y] = half;
        for (half_x, half_y) in half_x.chunks_exact_mut(cols).zip(half_y.chunks_exact_mut(cols)) {
            let ends = margin..margin + cols;
            for (x, y) in line_x[ends.clone()].iter_mut().zip(&mut line_y[ends]) {
                [*x, *y] = noise(random.bits());
            }
            smooth(&self.across, line_x, half_x);
            smooth(&self.across, line_y, half_y);
        }
        for (half, d) in half.iter().zip(d) {
            for (y, d) in d.chunks_exact_mut(cols).enumerate() {
                self.column(half, y, d);
            }
        }
        Ok(())
    }

    /// Row `y` of what `half` becomes along columns.
    fn column(&self, half: &[f32], y: usize, out: &mut [f32]) {
        let row = |y: usize| &half[y * self.cols..][..self.cols];
        weigh(self.down[0], row(y), out);
        for (distance, &weight) in self.down.iter().enumerate().skip(1) {
            match (y.checked_sub(distance), y + distance < self.rows) {
                (Some(above), true) => add_both(weight, row(above), row(y + distance), out),
                (Some(above), false) => add(weight, row(above), out),
                (None, true) => add(weight, row(y + distance), out),
                (None, false) => break,
            }
        }
    }
}

/// Two independent numbers in (−1, 1), of 16 bits each, whose mean is 0: odd multiples of 2⁻¹⁶.
fn noise(bits: u32) -> [f32; 2] {
    [bits & 0xffff, bits >> 16].map(|half| (2 * half + 1) as f32 / 65_536.0 - 1.0)
}

/// `out[x] = Σ weights[|i|] · line[margin + x + i]`
fn smooth(weights: &[f32], line: &[f32], out: &mut [f32]) {
    let (margin, cols) = (weights.len() - 1, out.len());
    weigh(weights[0], &line[margin..][..cols], out);
    for (distance, &weight) in weights.iter().enumerate().skip(1) {
        add_both(weight, &line[margin - distance..][..cols], &line[margin + distance..][..cols], out);
    }
}

fn weigh(weight: f32, x: &[f32], out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = weight * x;
    }
}

fn add(weight: f32, x: &[f32], out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += weight * x;
    }
}

fn add_both(weight: f32, a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out += weight * (a + b);
    }
}

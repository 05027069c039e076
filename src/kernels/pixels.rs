//! A linear layer that reads bytes: raw pixels become numbers in registers, on their way into the products, and no batch of floats is
//! written and read again.
//!
//! For layers of few outputs, whose products take no longer than writing that batch would. Every element is the same chain of
//! multiply-adds as a product of dots of several rows and outputs of [`gemm_f32`](super::gemm_f32) does over converted pixels, whatever the tile
//! in which it falls.

mod ink;
#[cfg(feature = "train")]
pub(crate) mod threads;

use ink::{Ink, Inked};

use super::arch::split::Tile;
use super::gemm_f32::tile::Finish;
use super::simd::{Kernel, MAX_LANES, Simd};
use super::{Epilogue, Isa};
use crate::error::{ShapeError, length};
use crate::view::{Mat, MatMut};

/// Outputs of a tile: ten sums and the pixels they share fit the 16 registers of AVX2, and are the classes of ten digits.
const OUTPUTS: usize = 10;
/// Rows of a forward tile, registers of pixels of a gradient's: twice as many with the 32 registers of AVX-512.
const fn depth(lanes: usize) -> usize {
    if lanes == 16 { 2 } else { 1 }
}

/// Rows of pixels that stand for numbers, `x = pixel · scale + offset`.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    data: Mat<'a, u8>,
    scale: f32,
    offset: f32,
    ink: Option<Ink<'a>>,
}

impl<'a> Pixels<'a> {
    /// `rows` rows of `width` pixels, one after the other.
    ///
    /// # Errors
    /// [`ShapeError::Length`] if `data` holds more or fewer; [`ShapeError::Range`] of rows of nothing.
    pub fn new(data: &'a [u8], rows: usize, width: usize, scale: f32, offset: f32) -> Result<Self, ShapeError> {
        let expected = rows.checked_mul(width).ok_or(ShapeError::Overflow)?;
        if width == 0 {
            return Err(ShapeError::Range { what: "the pixels of a row", min: 1, max: i64::MAX, got: 0 });
        }
        length("rows of pixels", expected, data.len())?;
        Ok(Self { data: Mat::new(data, rows, width)?, scale, offset, ink: None })
    }

    /// Rows `from..to`, which lie inside.
    #[cfg(feature = "train")]
    pub(crate) fn rows_range(self, from: usize, to: usize) -> Self {
        Self { data: self.data.rows_range(from, to), ink: self.ink.map(|ink| ink.rows_range(from, to)), ..self }
    }

    /// Columns `from..to`, which lie inside, from the first of a block on.
    #[cfg(feature = "train")]
    fn cols_range(self, from: usize, to: usize) -> Self {
        Self { data: self.data.cols_range(from, to), ink: self.ink.map(|ink| ink.after_columns(from)), ..self }
    }

    /// How many rows these are.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.data.rows()
    }

    /// Pixels of a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.data.cols()
    }
}

/// `y = activation(x·Wᵀ + bias)`, or `activation(y + x·Wᵀ + bias)`.
///
/// # Shapes
/// `x [rows, width]`, `weight [outputs, width]`, `y [rows, outputs]`, `bias [outputs]`.
/// # Accuracy
/// As [`matmul`](super::matmul), of the numbers that [`pixels_to_f32`](super::elementwise::pixels_to_f32) makes of the pixels on this instruction
/// set: they are rounded once or twice.
/// # Errors
/// [`ShapeError`] if the shapes do not fit together.
pub fn linear(
    isa: Isa,
    x: Pixels<'_>,
    weight: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) -> Result<(), ShapeError> {
    let (weight, y) = forward_shapes(&x, weight, &epilogue, y)?;
    isa.run(Forward { x, weight, y, epilogue });
    Ok(())
}

/// The gradient of [`linear`] by its weight, `d_Wᵀ = xᵀ·d_y`.
///
/// # Shapes
/// `x [rows, width]`, `d_y [rows, outputs]`, `d_weight [outputs, width]`.
/// # Accuracy
/// As [`matmul`](super::matmul), of the numbers that [`pixels_to_f32`](super::elementwise::pixels_to_f32) makes of the pixels on this instruction
/// set: they are rounded once or twice.
/// # Errors
/// [`ShapeError`] if the shapes do not fit together.
pub fn linear_d_weight(isa: Isa, x: Pixels<'_>, d_y: &[f32], d_weight: &mut [f32]) -> Result<(), ShapeError> {
    let (d_y, d_weight) = gradient_shapes(&x, d_y, d_weight)?;
    isa.run(Gradient { x, d_y, d_weight });
    Ok(())
}

/// The weight and the output as matrices, if they fit the pixels.
fn forward_shapes<'w, 'y>(
    x: &Pixels<'_>,
    weight: &'w [f32],
    epilogue: &Epilogue<'_>,
    y: &'y mut [f32],
) -> Result<(Mat<'w>, Tile<'y>), ShapeError> {
    let outputs = weight.len() / x.width();
    let whole = outputs * x.width();
    if weight.len() != whole {
        return Err(ShapeError::Length { what: "a weight of whole rows", expected: whole, got: weight.len() });
    }
    if let Some(got) = epilogue.bias.map(<[f32]>::len).filter(|len| *len != outputs) {
        return Err(ShapeError::Length { what: "the bias", expected: outputs, got });
    }
    let expected = x.rows().checked_mul(outputs).ok_or(ShapeError::Overflow)?;
    if y.len() != expected {
        return Err(ShapeError::Length { what: "the output", expected, got: y.len() });
    }
    Ok((Mat::new(weight, outputs, x.width())?, Tile::whole(MatMut::new(y, x.rows(), outputs)?)))
}

/// The gradients as matrices, if they fit the pixels.
fn gradient_shapes<'d, 'w>(
    x: &Pixels<'_>,
    d_y: &'d [f32],
    d_weight: &'w mut [f32],
) -> Result<(Mat<'d>, Tile<'w>), ShapeError> {
    let outputs = d_weight.len() / x.width();
    for (what, expected, got) in [
        ("a weight of whole rows", outputs * x.width(), d_weight.len()),
        ("the gradient of the output", x.rows().checked_mul(outputs).ok_or(ShapeError::Overflow)?, d_y.len()),
    ] {
        if expected != got {
            return Err(ShapeError::Length { what, expected, got });
        }
    }
    Ok((Mat::new(d_y, x.rows(), outputs)?, Tile::whole(MatMut::new(d_weight, outputs, x.width())?)))
}

/// The pixels of a row from `at`, in one register; those that a row's end leaves out count as 0.
#[inline(always)]
fn load<S: Simd>(simd: S, row: &[u8], at: usize, [scale, offset]: [S::F32; 2]) -> S::F32 {
    let pixels = if row.len() - at >= S::LANES {
        simd.load_u8(&row[at..at + S::LANES])
    } else {
        let mut last = [0; MAX_LANES];
        last[..row.len() - at].copy_from_slice(&row[at..]);
        simd.load_u8(&last)
    };
    simd.mul_add(pixels, scale, offset)
}

/// The sums of a tile, in memory: loops too long to be unrolled may index this copy, and leave the sums themselves in registers.
#[inline(always)]
fn settled<S: Simd, const M: usize, const N: usize>(simd: S, acc: &[[S::F32; N]; M]) -> [[S::F32; N]; M] {
    let mut copy = [[simd.splat(0.0); N]; M];
    for r in 0..M {
        for c in 0..N {
            copy[r][c] = acc[r][c];
        }
    }
    copy
}

/// How many of `left` outputs the next tile takes.
#[inline(always)]
fn widest(left: usize) -> usize {
    [OUTPUTS, 5, 2].into_iter().find(|width| *width <= left).unwrap_or(1)
}

/// `y` of all rows.
struct Forward<'x, 'w, 'y, 'e> {
    x: Pixels<'x>,
    weight: Mat<'w>,
    y: Tile<'y>,
    epilogue: Epilogue<'e>,
}

impl Kernel for Forward<'_, '_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        if let Some(ink) = self.x.ink {
            return simd.outline(Inked { work: self, ink });
        }
        let (rows, outputs) = (self.y.rows(), self.y.cols());
        let mut j = 0;
        while j < outputs {
            let width = widest(outputs - j);
            let mut i = 0;
            while i < rows {
                let height = depth(S::LANES).min(rows - i);
                match (height, width) {
                    (2, OUTPUTS) => self.tile::<S, 2, OUTPUTS>(simd, i, j),
                    (2, 5) => self.tile::<S, 2, 5>(simd, i, j),
                    (2, 2) => self.tile::<S, 2, 2>(simd, i, j),
                    (2, _) => self.tile::<S, 2, 1>(simd, i, j),
                    (_, OUTPUTS) => self.tile::<S, 1, OUTPUTS>(simd, i, j),
                    (_, 5) => self.tile::<S, 1, 5>(simd, i, j),
                    (_, 2) => self.tile::<S, 1, 2>(simd, i, j),
                    _ => self.tile::<S, 1, 1>(simd, i, j),
                }
                i += height;
            }
            j += width;
        }
        self.finish(simd);
    }
}

impl Forward<'_, '_, '_, '_> {
    /// What follows the sums.
    #[inline(always)]
    fn finish<S: Simd>(self, simd: S) {
        let (rows, cols) = ((0, self.y.rows()), (0, self.y.cols()));
        if Finish::is_needed(&self.epilogue) {
            simd.outline(Finish { c: self.y, rows, cols, epilogue: self.epilogue });
        }
    }

    /// `M` rows from `i` by `N` outputs from `j`.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const N: usize>(&mut self, simd: S, i: usize, j: usize) {
        let Pixels { data, scale, offset, .. } = self.x;
        let k = data.cols();
        let (mut x, mut w): ([&[u8]; M], [&[f32]; N]) = ([&[]; M], [&[]; N]);
        for r in 0..M {
            x[r] = &data.data()[(i + r) * data.row_stride()..][..k];
        }
        for c in 0..N {
            w[c] = &self.weight.data()[(j + c) * self.weight.row_stride()..][..k];
        }
        let affine = [simd.splat(scale), simd.splat(offset)];
        let mut acc = [[simd.splat(0.0); N]; M];
        let mut p = 0;
        while p + S::LANES <= k {
            let mut row = [simd.splat(0.0); M];
            for r in 0..M {
                row[r] = load(simd, &x[r][..p + S::LANES], p, affine);
            }
            for c in 0..N {
                let column = simd.load(&w[c][p..p + S::LANES]);
                for r in 0..M {
                    acc[r][c] = simd.mul_add(row[r], column, acc[r][c]);
                }
            }
            p += S::LANES;
        }
        let acc = settled(simd, &acc);
        self.put(simd, (i, j), (x, w), acc);
    }

    /// Writes the sums of a tile, with what the rows have beyond their last whole register.
    #[inline(always)]
    fn put<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        (i, j): (usize, usize),
        (x, w): ([&[u8]; M], [&[f32]; N]),
        mut acc: [[S::F32; N]; M],
    ) {
        let affine = [simd.splat(self.x.scale), simd.splat(self.x.offset)];
        let k = self.x.data.cols();
        let p = k - k % S::LANES;
        if p < k {
            for r in 0..M {
                let row = load(simd, x[r], p, affine);
                for c in 0..N {
                    acc[r][c] = simd.mul_add(row, simd.load_partial(&w[c][p..]), acc[r][c]);
                }
            }
        }
        for r in 0..M {
            let out = self.y.row_mut(i + r, j, j + N);
            for c in 0..N {
                let sum = simd.sum(acc[r][c]);
                out[c] = if self.epilogue.accumulate { out[c] + sum } else { sum };
            }
        }
    }
}

/// `d_weight` over all rows.
struct Gradient<'x, 'd, 'w> {
    x: Pixels<'x>,
    d_y: Mat<'d>,
    d_weight: Tile<'w>,
}

impl Kernel for Gradient<'_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        if let Some(ink) = self.x.ink {
            return simd.outline(Inked { work: self, ink });
        }
        let (outputs, width) = (self.d_weight.rows(), self.d_weight.cols());
        let mut j = 0;
        while j < outputs {
            let height = widest(outputs - j);
            let mut p = 0;
            while width - p >= depth(S::LANES) * S::LANES {
                match (height, depth(S::LANES)) {
                    (OUTPUTS, 2) => self.tile::<S, OUTPUTS, 2, false>(simd, j, p),
                    (5, 2) => self.tile::<S, 5, 2, false>(simd, j, p),
                    (2, 2) => self.tile::<S, 2, 2, false>(simd, j, p),
                    (_, 2) => self.tile::<S, 1, 2, false>(simd, j, p),
                    (OUTPUTS, _) => self.tile::<S, OUTPUTS, 1, false>(simd, j, p),
                    (5, _) => self.tile::<S, 5, 1, false>(simd, j, p),
                    (2, _) => self.tile::<S, 2, 1, false>(simd, j, p),
                    _ => self.tile::<S, 1, 1, false>(simd, j, p),
                }
                p += depth(S::LANES) * S::LANES;
            }
            while p < width {
                match height {
                    OUTPUTS => self.tile::<S, OUTPUTS, 1, true>(simd, j, p),
                    5 => self.tile::<S, 5, 1, true>(simd, j, p),
                    2 => self.tile::<S, 2, 1, true>(simd, j, p),
                    _ => self.tile::<S, 1, 1, true>(simd, j, p),
                }
                p += S::LANES;
            }
            j += height;
        }
    }
}

impl Gradient<'_, '_, '_> {
    /// `N` outputs from `j` by `R` registers of pixels from `p`, of which the row may end in the last if it is a `LAST` tile.
    #[inline(always)]
    fn tile<S: Simd, const N: usize, const R: usize, const LAST: bool>(&mut self, simd: S, j: usize, p: usize) {
        let Pixels { data, scale, offset, .. } = self.x;
        let affine = [simd.splat(scale), simd.splat(offset)];
        let end = if LAST { (p + R * S::LANES).min(data.cols()) } else { p + R * S::LANES };
        let mut acc = [[simd.splat(0.0); R]; N];
        let rows = data.data().chunks(data.row_stride()).zip(self.d_y.data().chunks(self.d_y.row_stride()));
        for (pixels, d_y) in rows {
            let (pixels, d_y) = (&pixels[p..end], &d_y[j..j + N]);
            let mut x = [simd.splat(0.0); R];
            for r in 0..R {
                x[r] = load(simd, pixels, r * S::LANES, affine);
            }
            for n in 0..N {
                let d = simd.splat(d_y[n]);
                for r in 0..R {
                    acc[n][r] = simd.mul_add(x[r], d, acc[n][r]);
                }
            }
        }
        self.put(simd, j, (p, end), settled(simd, &acc));
    }

    /// Writes the sums of a tile to columns `p..end`.
    #[inline(always)]
    fn put<S: Simd, const N: usize, const R: usize>(
        &mut self,
        simd: S,
        j: usize,
        (p, end): (usize, usize),
        acc: [[S::F32; R]; N],
    ) {
        for n in 0..N {
            let out = self.d_weight.row_mut(j + n, p, end);
            for (sum, out) in acc[n].iter().zip(out.chunks_mut(S::LANES)) {
                if out.len() == S::LANES {
                    simd.store(*sum, out);
                } else {
                    simd.store_partial(*sum, out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Resampling of single-channel images, as augmentation needs it: by affine maps, one an image, or by a displacement of every pixel.
//!
//! Each output pixel looks up where it comes from in the input and takes the bilinear mean of the four pixels there. Around the image all
//! is 0, up to which its last pixels fade: the output is a continuous function of the coordinates.

mod sample;
mod shape;

use super::Isa;
use super::map::{load, store};
use super::simd::{Kernel, MAX_LANES, Simd};
use crate::error::{ShapeError, length};
use sample::{Pixel, sample};
pub use shape::{Affine, MAX_SIDE, Pixels, Warp};

/// `out` = the image as `map` finds it: pixel `(row, column)` is the input at `map(x = column, y = row)`.
///
/// Wherever the map leads, the result is defined: far outside it is 0. A pixel that is infinite or NaN, or so large that its difference
/// from its neighbour overflows, spoils every pixel that has it among its four, even with weight 0.
///
/// # Shapes
/// `image [h, w]`, `out [oh, ow]`.
/// # Accuracy
/// `|error| ≤ (e_x + e_y)·D + γ(14)·M`, where `M` is the largest magnitude and `D` the largest difference of neighbouring pixels (zeros
/// around the image included), and `e_x = γ(3)·(|m₀·x| + |m₁·y| + |m₂|)`, `e_y` alike, the errors of the coordinates, which are computed
/// in f32: for digits of 28 pixels a few millionths of a pixel; `γ(k) = k·u / (1 − k·u)`, `u = 2⁻²⁴`. The identity is exact.
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
#[cfg_attr(not(feature = "std"), inline)]
pub fn affine(isa: Isa, warp: &Warp, map: &Affine, image: Pixels<'_>, out: &mut [f32]) -> Result<(), ShapeError> {
    affine_batch(isa, warp, core::slice::from_ref(map), image, out)
}

/// [`affine`] for a batch, with one map an image.
///
/// # Shapes
/// `maps [n]`, `images [n, h, w]`, `out [n, oh, ow]`.
/// # Accuracy
/// As [`affine`].
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length, [`ShapeError::Overflow`] if one would not fit in memory.
#[cfg_attr(not(feature = "std"), inline)]
pub fn affine_batch(
    isa: Isa,
    warp: &Warp,
    maps: &[Affine],
    images: Pixels<'_>,
    out: &mut [f32],
) -> Result<(), ShapeError> {
    let lengths = [warp.input_len(), warp.output_len()].map(|len| len.checked_mul(maps.len()));
    let [Some(input), Some(output)] = lengths else { return Err(ShapeError::Overflow) };
    length("the images to resample", input, images.len())?;
    length("the resampled images", output, out.len())?;
    match images {
        Pixels::U8(images) => isa.run(Batch { warp, maps, images, out }),
        Pixels::F32(images) => isa.run(Batch { warp, maps, images, out }),
    }
    Ok(())
}

/// `out` = the image with every pixel fetched from elsewhere: pixel `(row, column)` is the input at `x = column + dx`, `y = row + dy`.
///
/// A displacement that leads outside, infinitely far too, gives 0; one that is NaN gives NaN, so that it is not hidden.
///
/// # Shapes
/// `image [h, w]`; `dx`, `dy` and `out [oh, ow]`.
/// # Accuracy
/// That of [`affine`] with `e_x = u·|column + dx|` and `e_y = u·|row + dy|`.
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
#[cfg_attr(not(feature = "std"), inline)]
pub fn displace(
    isa: Isa,
    warp: &Warp,
    image: Pixels<'_>,
    [dx, dy]: [&[f32]; 2],
    out: &mut [f32],
) -> Result<(), ShapeError> {
    length("the image to resample", warp.input_len(), image.len())?;
    length("the displacements along rows", warp.output_len(), dx.len())?;
    length("the displacements along columns", warp.output_len(), dy.len())?;
    length("the resampled image", warp.output_len(), out.len())?;
    match image {
        Pixels::U8(image) => isa.run(Displaced { warp, image, dx, dy, out }),
        Pixels::F32(image) => isa.run(Displaced { warp, image, dx, dy, out }),
    }
    Ok(())
}

struct Batch<'a, 'o, P> {
    warp: &'a Warp,
    maps: &'a [Affine],
    images: &'a [P],
    out: &'o mut [f32],
}

impl<P: Pixel> Kernel for Batch<'_, '_, P> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { warp, maps, images, out } = self;
        let images = images.chunks_exact(warp.input_len());
        for ((map, image), out) in maps.iter().zip(images).zip(out.chunks_exact_mut(warp.output_len())) {
            for (y, out) in out.chunks_exact_mut(warp.ow).enumerate() {
                let row = Line { slope: [map.x[0], map.y[0]], start: [start(map.x, y), start(map.y, y)] };
                line(simd, warp, image, row, out);
            }
        }
    }
}

/// A coordinate at the start of row `y`; finite, so that no infinities meet with opposite signs further along the row.
#[inline(always)]
fn start([_, by_y, offset]: [f32; 3], y: usize) -> f32 {
    (by_y * y as f32 + offset).clamp(f32::MIN, f32::MAX)
}

struct Displaced<'a, 'o, P> {
    warp: &'a Warp,
    image: &'a [P],
    dx: &'a [f32],
    dy: &'a [f32],
    out: &'o mut [f32],
}

impl<P: Pixel> Kernel for Displaced<'_, '_, P> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { warp, image, dx, dy, out } = self;
        let fields = dx.chunks_exact(warp.ow).zip(dy.chunks_exact(warp.ow));
        for (y, ((dx, dy), out)) in fields.zip(out.chunks_exact_mut(warp.ow)).enumerate() {
            line(simd, warp, image, Field { dx, dy, y: y as f32 }, out);
        }
    }
}

/// Where the pixels of a row of the output come from.
trait Row {
    /// `[x, y]` of pixels `from..to`, at most a register of them, whose columns are `columns`.
    fn places<S: Simd>(&self, simd: S, columns: S::F32, from: usize, to: usize) -> [S::F32; 2];
}

/// `start + column · slope`, for x and y.
struct Line {
    slope: [f32; 2],
    start: [f32; 2],
}

impl Row for Line {
    #[inline(always)]
    fn places<S: Simd>(&self, simd: S, columns: S::F32, _from: usize, _to: usize) -> [S::F32; 2] {
        let ([x, y], [x0, y0]) = (self.slope, self.start);
        [simd.mul_add(columns, simd.splat(x), simd.splat(x0)), simd.mul_add(columns, simd.splat(y), simd.splat(y0))]
    }
}

/// Displacements of the pixels of row `y`.
struct Field<'a> {
    dx: &'a [f32],
    dy: &'a [f32],
    y: f32,
}

impl Row for Field<'_> {
    #[inline(always)]
    fn places<S: Simd>(&self, simd: S, columns: S::F32, from: usize, to: usize) -> [S::F32; 2] {
        let (dx, dy) = (load(simd, &self.dx[from..to]), load(simd, &self.dy[from..to]));
        [simd.add(columns, dx), simd.add(simd.splat(self.y), dy)]
    }
}

/// The first columns of a row, one a lane.
const COLUMNS: [f32; MAX_LANES] = {
    let mut columns = [0.0; MAX_LANES];
    let mut i = 0;
    while i < MAX_LANES {
        columns[i] = i as f32;
        i += 1;
    }
    columns
};

/// One row of the output.
#[inline(always)]
fn line<S: Simd, P: Pixel, R: Row>(simd: S, warp: &Warp, image: &[P], row: R, out: &mut [f32]) {
    let mut columns = simd.load(&COLUMNS);
    let mut from = 0;
    for out in out.chunks_mut(S::LANES) {
        let to = from + out.len();
        let [x, y] = row.places(simd, columns, from, to);
        store(simd, sample(simd, warp, image, x, y), out);
        columns = simd.add(columns, simd.splat(S::LANES as f32)); // whole numbers below 2²⁴: exact
        from = to;
    }
}

#[cfg(test)]
mod tests;

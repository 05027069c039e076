//! Pooling of planes, and its gradients: the largest value of each window, its mean, or the mean of the whole plane.

mod shape;

use super::Isa;
use super::map::store;
use super::simd::{Kernel, MAX_LANES, Simd};
use crate::error::{ShapeError, length};
use core::ops::Range;
pub use shape::Pool;
use shape::Run;

/// `out` = the largest value of each window, and which pixel of its plane that is.
///
/// Of equal values the first counts, rows before columns; NaN is larger than any number, so it is passed on. Padding takes no part.
///
/// # Shapes
/// `input [n, c, h, w]`; `out` and `argmax [n, c, oh, ow]`, the pixel as `row · w + column`.
/// # Accuracy
/// Exact.
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
#[cfg_attr(not(feature = "std"), inline)]
pub fn max_pool2d(isa: Isa, pool: &Pool, input: &[f32], out: &mut [f32], argmax: &mut [u32]) -> Result<(), ShapeError> {
    pool.check(input.len(), out.len())?;
    length("the places of the maxima", pool.output_len(), argmax.len())?;
    isa.run(Max { pool, input, out, argmax: bytemuck::cast_slice_mut(argmax) });
    Ok(())
}

/// The gradient of a loss by the input of [`max_pool2d`]: that by each output, at the place it came from.
///
/// # Shapes
/// `d_out` and `argmax [n, c, oh, ow]`; `d_input [n, c, h, w]`, which is overwritten.
/// # Accuracy
/// `|error| ≤ γ·Σ|d_out|` over the windows that a pixel is the largest of, `γ = k·u / (1 − k·u)` for `k` of them, `u = 2⁻²⁴`.
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length, [`ShapeError::Range`] if a place lies outside its plane; `d_input` then holds
/// part of the gradient.
pub fn max_pool2d_backward(pool: &Pool, d_out: &[f32], argmax: &[u32], d_input: &mut [f32]) -> Result<(), ShapeError> {
    pool.check(d_input.len(), d_out.len())?;
    length("the places of the maxima", pool.output_len(), argmax.len())?;
    d_input.fill(0.0);
    let (plane, out_plane) = pool.planes();
    let outs = d_out.chunks_exact(out_plane).zip(argmax.chunks_exact(out_plane));
    for ((d_out, argmax), d_input) in outs.zip(d_input.chunks_exact_mut(plane)) {
        for (d_out, place) in d_out.iter().zip(argmax) {
            let Some(d_input) = d_input.get_mut(*place as usize) else {
                let (max, got) = (plane as i64 - 1, i64::from(*place));
                return Err(ShapeError::Range { what: "the place of a maximum in its plane", min: 0, max, got });
            };
            *d_input += d_out;
        }
    }
    Ok(())
}

/// `out` = the mean of each window, padding counted as zeros (PyTorch's `count_include_pad`).
///
/// # Shapes
/// `input [n, c, h, w]`, `out [n, c, oh, ow]`.
/// # Accuracy
/// `|error| ≤ γ·Σ|x| / (kh·kw)`, `γ = k·u / (1 − k·u)`, `k = kh · kw + 2`, `u = 2⁻²⁴`.
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
#[cfg_attr(not(feature = "std"), inline)]
pub fn avg_pool2d(isa: Isa, pool: &Pool, input: &[f32], out: &mut [f32]) -> Result<(), ShapeError> {
    pool.check(input.len(), out.len())?;
    isa.run(Means { pool, input, out });
    Ok(())
}

/// The gradient of a loss by the input of [`avg_pool2d`].
///
/// # Shapes
/// `d_out [n, c, oh, ow]`; `d_input [n, c, h, w]`, which is overwritten.
/// # Accuracy
/// `|error| ≤ γ·Σ|d_out| / (kh·kw)` over the windows that a pixel lies in, `γ` as for [`avg_pool2d`].
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
#[cfg_attr(not(feature = "std"), inline)]
pub fn avg_pool2d_backward(isa: Isa, pool: &Pool, d_out: &[f32], d_input: &mut [f32]) -> Result<(), ShapeError> {
    pool.check(d_input.len(), d_out.len())?;
    isa.run(MeanBackward { pool, d_out, d_input });
    Ok(())
}

/// `out` = the means of planes of `len` elements.
///
/// # Shapes
/// `input [planes, len]`, `out [planes]`.
/// # Accuracy
/// `|error| ≤ γ·Σ|x| / len`, `γ = k·u / (1 − k·u)`, `k = len + 2`, `u = 2⁻²⁴`.
/// # Errors
/// [`ShapeError::Range`] if `len` is 0, [`ShapeError::Length`] if `input` is not that long.
#[cfg_attr(not(feature = "std"), inline)]
pub fn global_avg_pool(isa: Isa, len: usize, input: &[f32], out: &mut [f32]) -> Result<(), ShapeError> {
    check_planes(len, input.len(), out.len())?;
    isa.run(PlaneMeans { len, input, out });
    Ok(())
}

/// The gradient of a loss by the input of [`global_avg_pool`]: each pixel gets its share, `d_out / len`.
///
/// # Shapes
/// `d_out [planes]`; `d_input [planes, len]`, which is overwritten.
/// # Accuracy
/// `|error| ≤ 2u·|d_out| / len`, `u = 2⁻²⁴`.
/// # Errors
/// As [`global_avg_pool`].
pub fn global_avg_pool_backward(len: usize, d_out: &[f32], d_input: &mut [f32]) -> Result<(), ShapeError> {
    check_planes(len, d_input.len(), d_out.len())?;
    for (d_input, d_out) in d_input.chunks_exact_mut(len).zip(d_out) {
        d_input.fill(d_out / len as f32);
    }
    Ok(())
}

fn check_planes(len: usize, elements: usize, planes: usize) -> Result<(), ShapeError> {
    if len == 0 {
        return Err(ShapeError::Range { what: "the pixels of a plane", min: 1, max: i64::MAX, got: 0 });
    }
    length("the planes", planes.checked_mul(len).ok_or(ShapeError::Overflow)?, elements)
}

/// `LANES` pixels, `stride` apart, of which the first is `src[0]`; what lies behind the end of `src` is left out.
#[inline(always)]
fn load_strided<S: Simd>(simd: S, src: &[f32], stride: usize) -> S::F32 {
    match stride {
        1 if src.len() >= S::LANES => simd.load(src),
        2 if src.len() >= 2 * S::LANES => simd.even(simd.load(src), simd.load(&src[S::LANES..])),
        _ => {
            let mut lanes = [0.0; MAX_LANES];
            for (lane, x) in lanes.iter_mut().zip(src.iter().step_by(stride)) {
                *lane = *x;
            }
            simd.load(&lanes)
        }
    }
}

/// A pooling of one way or the other: what a window comes to, computed for a register of windows or for one.
trait Window<S: Simd>: Copy {
    /// What is known of windows of which no pixel was seen.
    type Sum: Copy;
    fn none(self, simd: S) -> Self::Sum;
    /// With another pixel of each, of which the first is pixel `at` of its plane.
    fn with(self, simd: S, sum: Self::Sum, v: S::F32, at: usize) -> Self::Sum;
    /// Writes the first windows to places `from..to` of a row of the output.
    fn put(self, simd: S, sum: Self::Sum, from: usize, to: usize, row: &mut Row<'_>);
}

/// A row of the output; of means the places are empty.
struct Row<'a> {
    out: &'a mut [f32],
    argmax: &'a mut [i32],
}

/// Windows of all planes; those of 2x2 side by side, which most networks have, in loops whose lengths are known.
#[inline(always)]
fn each_window<S: Simd, W: Window<S>>(
    simd: S,
    way: W,
    pool: &Pool,
    input: &[f32],
    out: &mut [f32],
    argmax: &mut [i32],
) {
    if pool.is_two() {
        windows::<S, W, true>(simd, way, pool, input, out, argmax);
    } else {
        windows::<S, W, false>(simd, way, pool, input, out, argmax);
    }
}

/// Windows of all planes, a row of the output at a time: registers of windows side by side. Windows that reach into the padding are done
/// one by one.
#[inline(always)]
fn windows<S: Simd, W: Window<S>, const TWO: bool>(
    simd: S,
    way: W,
    pool: &Pool,
    input: &[f32],
    out: &mut [f32],
    argmax: &mut [i32],
) {
    let (plane, out_plane) = pool.planes();
    let inside = pool.inside();
    for (p, out) in out.chunks_exact_mut(out_plane).enumerate() {
        for (y, out) in out.chunks_exact_mut(pool.ow).enumerate() {
            let argmax = match argmax.len() {
                0 => &mut [][..],
                _ => &mut argmax[p * out_plane + y * pool.ow..][..pool.ow],
            };
            let mut row = Row { out, argmax };
            let place = (y, &input[p * plane..]);
            for x in (0..inside.start).chain(inside.end..pool.ow) {
                window::<S, W, TWO>(simd, way, pool, place, x..x + 1, pool.columns(x), &mut row);
            }
            let mut x = inside.start;
            while x < inside.end {
                let to = (x + S::LANES).min(inside.end);
                // The last register may do some windows once more, which is faster than writing a part of one.
                let from = if inside.len() >= S::LANES { to - S::LANES } else { x };
                window::<S, W, TWO>(simd, way, pool, place, from..to, 0..pool.kw(), &mut row);
                x = to;
            }
        }
    }
}

/// Windows `at` of row `place.0`, of whose columns `columns` lie in the plane that `place.1` begins with. No closure: those are not compiled
/// with the instructions of the set.
#[inline(always)]
fn window<S: Simd, W: Window<S>, const TWO: bool>(
    simd: S,
    way: W,
    pool: &Pool,
    place: (usize, &[f32]),
    at: Range<usize>,
    columns: Range<usize>,
    row: &mut Row<'_>,
) {
    let mut sum = way.none(simd);
    let (rows, columns, stride) = if TWO { (0..2, 0..2, 2) } else { (pool.rows(place.0), columns, pool.stride) };
    for dy in rows {
        for dx in columns.clone() {
            let pixel = pool.pixel(place.0, at.start, dy, dx);
            let v = load_strided(simd, &place.1[pixel..], stride);
            sum = way.with(simd, sum, v, pixel);
        }
    }
    way.put(simd, sum, at.start, at.end, row);
}

/// The largest pixel and its place.
#[derive(Clone, Copy)]
struct Largest<S: Simd> {
    /// Distances of the places of a register from its first.
    steps: S::I32,
}

impl<S: Simd> Window<S> for Largest<S> {
    type Sum = Option<(S::F32, S::I32)>;
    #[inline(always)]
    fn none(self, _simd: S) -> Self::Sum {
        None
    }
    #[inline(always)]
    fn with(self, simd: S, sum: Self::Sum, v: S::F32, at: usize) -> Self::Sum {
        let places = simd.add_i32(simd.splat_i32(at as i32), self.steps);
        match sum {
            Some((best, place)) => Some(simd.larger(best, place, v, places)),
            None => Some((v, places)),
        }
    }
    #[inline(always)]
    fn put(self, simd: S, sum: Self::Sum, from: usize, to: usize, row: &mut Row<'_>) {
        // No window lies in the padding alone.
        let Some((best, place)) = sum else { return };
        store(simd, best, &mut row.out[from..to]);
        if to - from == S::LANES {
            simd.store_i32(place, &mut row.argmax[from..to]);
        } else {
            let mut places = [0; MAX_LANES];
            simd.store_i32(place, &mut places);
            for (argmax, place) in row.argmax[from..to].iter_mut().zip(places) {
                *argmax = place;
            }
        }
    }
}

/// The mean, with the share of each pixel.
#[derive(Clone, Copy)]
struct Mean(f32);

impl<S: Simd> Window<S> for Mean {
    type Sum = S::F32;
    #[inline(always)]
    fn none(self, simd: S) -> S::F32 {
        simd.splat(0.0)
    }
    #[inline(always)]
    fn with(self, simd: S, sum: S::F32, v: S::F32, _at: usize) -> S::F32 {
        simd.add(sum, v)
    }
    #[inline(always)]
    fn put(self, simd: S, sum: S::F32, from: usize, to: usize, row: &mut Row<'_>) {
        store(simd, simd.mul(sum, simd.splat(self.0)), &mut row.out[from..to]);
    }
}

struct Max<'a, 'o> {
    pool: &'a Pool,
    input: &'a [f32],
    out: &'o mut [f32],
    argmax: &'o mut [i32],
}

impl Kernel for Max<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { pool, input, out, argmax } = self;
        let mut steps = [0; MAX_LANES];
        for (i, step) in steps.iter_mut().enumerate() {
            *step = (i as i32).wrapping_mul(pool.stride as i32); // lanes that wrap are those of no output
        }
        each_window(simd, Largest::<S> { steps: simd.load_i32(&steps) }, pool, input, out, argmax);
    }
}

struct Means<'a, 'o> {
    pool: &'a Pool,
    input: &'a [f32],
    out: &'o mut [f32],
}

impl Kernel for Means<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        each_window(simd, Mean(self.pool.share()), self.pool, self.input, self.out, &mut []);
    }
}

struct MeanBackward<'a, 'o> {
    pool: &'a Pool,
    d_out: &'a [f32],
    d_input: &'o mut [f32],
}

impl Kernel for MeanBackward<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { pool, d_out, d_input } = self;
        let (plane, out_plane) = pool.planes();
        let share = pool.share();
        if pool.is_tiling() {
            for (d_out, d_input) in d_out.chunks_exact(out_plane).zip(d_input.chunks_exact_mut(plane)) {
                spread(pool, share, d_out, d_input);
            }
            return;
        }
        d_input.fill(0.0);
        for (d_out, d_input) in d_out.chunks_exact(out_plane).zip(d_input.chunks_exact_mut(plane)) {
            for (y, d_out) in d_out.chunks_exact(pool.ow).enumerate() {
                for Run { from, to, start } in pool.runs(y) {
                    let mut x = from;
                    while pool.stride == 1 && x + S::LANES <= to {
                        let d_input = &mut d_input[start + x - from..][..S::LANES];
                        let v = simd.load(&d_out[x..x + S::LANES]);
                        simd.store(simd.mul_add(v, simd.splat(share), simd.load(d_input)), d_input);
                        x += S::LANES;
                    }
                    for x in x..to {
                        d_input[start + (x - from) * pool.stride] += d_out[x] * share;
                    }
                }
            }
        }
    }
}

/// The gradient of a plane by windows that do not overlap: one row of pixels for each row of the output, and copies of it.
#[inline(always)]
fn spread(pool: &Pool, share: f32, d_out: &[f32], d_input: &mut [f32]) {
    let (width, stride) = (pool.width(), pool.stride);
    let mut bands = d_input.chunks_exact_mut(width * stride);
    for (d_out, band) in d_out.chunks_exact(pool.ow).zip(&mut bands) {
        let (first, others) = band.split_at_mut(width);
        let (windows, rest) = first.split_at_mut(pool.ow * stride);
        if stride == 2 {
            // A length that the compiler knows: it interleaves registers.
            windows.as_chunks_mut().0.iter_mut().zip(d_out).for_each(|(pixels, d)| *pixels = [d * share; 2]);
        } else {
            windows.chunks_exact_mut(stride).zip(d_out).for_each(|(pixels, d)| pixels.fill(d * share));
        }
        rest.fill(0.0);
        others.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(first));
    }
    // Rows that no window sees.
    d_input[d_out.len() / pool.ow * stride * width..].fill(0.0);
}

struct PlaneMeans<'a, 'o> {
    len: usize,
    input: &'a [f32],
    out: &'o mut [f32],
}

impl Kernel for PlaneMeans<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        for (plane, out) in self.input.chunks_exact(self.len).zip(self.out) {
            let mut lanes = simd.splat(0.0);
            let mut registers = plane.chunks_exact(S::LANES);
            for register in &mut registers {
                lanes = simd.add(lanes, simd.load(register));
            }
            let lanes = simd.add(lanes, simd.load_partial(registers.remainder()));
            *out = simd.sum(lanes) / self.len as f32;
        }
    }
}

#[cfg(test)]
mod tests;

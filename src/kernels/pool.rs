//! Pooling of planes, and its gradients: the largest value of each window, its mean, or the mean of the whole plane.

mod shape;

use super::Isa;
use super::simd::{Kernel, MAX_LANES, Simd};
use crate::error::ShapeError;
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
#[inline]
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
#[inline]
pub fn avg_pool2d(isa: Isa, pool: &Pool, input: &[f32], out: &mut [f32]) -> Result<(), ShapeError> {
    pool.check(input.len(), out.len())?;
    isa.run(Mean { pool, input, out });
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
#[inline]
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
#[inline]
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

fn length(what: &'static str, expected: usize, got: usize) -> Result<(), ShapeError> {
    if got == expected { Ok(()) } else { Err(ShapeError::Length { what, expected, got }) }
}

/// `LANES` pixels, `stride` apart, of which the first is `src[0]`; `None` if a register would reach past the end.
#[inline(always)]
fn load_strided<S: Simd>(simd: S, src: &[f32], stride: usize) -> Option<S::F32> {
    match stride {
        1 if src.len() >= S::LANES => Some(simd.load(src)),
        2 if src.len() >= 2 * S::LANES => Some(simd.even(simd.load(src), simd.load(&src[S::LANES..]))),
        3.. if src.len() > (S::LANES - 1) * stride => {
            let mut lanes = [0.0; MAX_LANES];
            for (i, lane) in lanes.iter_mut().enumerate().take(S::LANES) {
                *lane = src[i * stride];
            }
            Some(simd.load(&lanes))
        }
        _ => None,
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
        let (plane, out_plane) = pool.planes();
        let mut steps = [0; MAX_LANES];
        for (i, step) in steps.iter_mut().enumerate() {
            *step = (i * pool.stride) as i32;
        }
        let steps = simd.load_i32(&steps);
        let outs = out.chunks_exact_mut(out_plane).zip(argmax.chunks_exact_mut(out_plane));
        for ((out, argmax), input) in outs.zip(input.chunks_exact(plane)) {
            let rows = out.chunks_exact_mut(pool.ow).zip(argmax.chunks_exact_mut(pool.ow));
            for (y, (out, argmax)) in rows.enumerate() {
                out.fill(f32::NEG_INFINITY);
                for (x, place) in argmax.iter_mut().enumerate() {
                    *place = pool.first(y, x) as i32;
                }
                for Run { from, to, start } in pool.runs(y) {
                    let mut x = from;
                    while x + S::LANES <= to {
                        let at = start + (x - from) * pool.stride;
                        let Some(v) = load_strided(simd, &input[at..], pool.stride) else { break };
                        let (out, argmax) = (&mut out[x..x + S::LANES], &mut argmax[x..x + S::LANES]);
                        let places = simd.add_i32(simd.splat_i32(at as i32), steps);
                        let (best, place) = simd.larger(simd.load(out), simd.load_i32(argmax), v, places);
                        simd.store(best, out);
                        simd.store_i32(place, argmax);
                        x += S::LANES;
                    }
                    for x in x..to {
                        let at = start + (x - from) * pool.stride;
                        if input[at] > out[x] || input[at].is_nan() {
                            (out[x], argmax[x]) = (input[at], at as i32);
                        }
                    }
                }
            }
        }
    }
}

struct Mean<'a, 'o> {
    pool: &'a Pool,
    input: &'a [f32],
    out: &'o mut [f32],
}

impl Kernel for Mean<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { pool, input, out } = self;
        let (plane, out_plane) = pool.planes();
        let share = pool.share();
        for (out, input) in out.chunks_exact_mut(out_plane).zip(input.chunks_exact(plane)) {
            for (y, out) in out.chunks_exact_mut(pool.ow).enumerate() {
                out.fill(0.0);
                for Run { from, to, start } in pool.runs(y) {
                    let mut x = from;
                    while x + S::LANES <= to {
                        let at = start + (x - from) * pool.stride;
                        let Some(v) = load_strided(simd, &input[at..], pool.stride) else { break };
                        let out = &mut out[x..x + S::LANES];
                        simd.store(simd.add(simd.load(out), v), out);
                        x += S::LANES;
                    }
                    for x in x..to {
                        out[x] += input[start + (x - from) * pool.stride];
                    }
                }
                for out in out {
                    *out *= share;
                }
            }
        }
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

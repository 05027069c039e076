//! A convolution and the 2x2 max pooling behind it in one: the large map between them never exists as a whole.
//!
//! Requantization never changes the order of two sums of a channel, so the largest sum of a window becomes the largest byte. On sets of one
//! lane sums go to the row of maxima that they fall into, `4·c_out` bytes for each two pixels of a row, and one in four is requantized. On
//! the others, whose time is short for bookkeeping, the maps of a few images at a time lie in the scratch.

use super::{Input, check_input, conv2d, in_steps, lane_scratch_len, run_lane, scratch_len};
use crate::error::{ShapeError, length};
use crate::kernels::Isa;
use crate::kernels::conv::Conv;
use crate::kernels::gemm_i8::sink::Sink;
use crate::kernels::piece::piece_mut;
use crate::kernels::pool::Pool;
use crate::kernels::pool_i8::max_pool2d;
use crate::kernels::requantize::Requantize;
use crate::kernels::simd::Simd;

/// Bytes of maps that are worth keeping together: they stay in the second cache, and weights are packed once for all their images.
const MAPS: usize = 256 << 10;

/// Images whose maps are made together, where maps are.
const fn together(conv: &Conv) -> usize {
    let map = conv.oh * conv.ow * conv.c_out;
    let fit = match MAPS.checked_div(map) {
        Some(fit) => fit,
        None => 1,
    };
    let images = if fit < conv.n { fit } else { conv.n };
    if images == 0 { 1 } else { images }
}

/// `conv` for another number of images, at most as many.
const fn of_images(conv: &Conv, n: usize) -> Conv {
    let mut few = *conv;
    few.n = n;
    few
}

/// Elements of scratch for [`conv2d_max_pool2`].
#[must_use]
pub const fn pooled_scratch_len(isa: Isa, conv: &Conv) -> usize {
    if isa.lanes() == 1 {
        return lane_scratch_len(conv, 2) + conv.ow / 2 * conv.c_out;
    }
    let few = of_images(conv, together(conv));
    scratch_len(isa, &few) + few.output_len().div_ceil(4)
}

/// `out = max_pool(requantize(Σ x·w))`, windows of 2x2 side by side; what a last odd row or column would begin is left out.
///
/// # Shapes
/// As [`conv2d`](super::conv2d), but `out [n, oh / 2, ow / 2, c_out]`; `scratch` needs [`pooled_scratch_len`] elements.
/// # Accuracy
/// The same integers as [`conv2d`](super::conv2d) and [`max_pool2d`] one after the other, where no sum with its bias passes 32 bits: sums that wrap
/// have no order that a maximum could keep.
/// # Errors
/// As [`conv2d`](super::conv2d); [`ShapeError::Range`] if the map has less than two rows or columns.
#[cfg_attr(not(feature = "std"), inline)]
pub fn conv2d_max_pool2(
    isa: Isa,
    conv: &Conv,
    input: Input<'_>,
    weight: &[i8],
    requantize: Requantize<'_>,
    out: &mut [i8],
    scratch: &mut [i32],
) -> Result<(), ShapeError> {
    conv2d_max_pool2_by::<true, true>(isa, conv, input, weight, requantize, out, scratch)
}

/// As [`conv2d_by`](super::conv2d_by) is to `conv2d`.
///
/// # Errors
/// As [`conv2d_max_pool2`]; [`ShapeError::Range`] for a convolution whose code is not there.
#[cfg_attr(not(feature = "std"), inline)]
pub fn conv2d_max_pool2_by<const SHORT: bool, const LONG: bool>(
    isa: Isa,
    conv: &Conv,
    input: Input<'_>,
    weight: &[i8],
    requantize: Requantize<'_>,
    out: &mut [i8],
    scratch: &mut [i32],
) -> Result<(), ShapeError> {
    let pool = Pool::new([conv.n, conv.c_out, conv.oh, conv.ow], [2, 2], 2, 0)?;
    check_input(conv, input, weight)?;
    length("the output of a pooled convolution", pool.output_len(), out.len())?;
    requantize.check_channels(conv.c_out)?;
    let needed = pooled_scratch_len(isa, conv);
    if scratch.len() < needed {
        return Err(ShapeError::TooShort { what: "the scratch of a pooled convolution", needed, got: scratch.len() });
    }
    if isa.lanes() == 1 {
        let Some((maxima, scratch)) = scratch.split_at_mut_checked(conv.ow / 2 * conv.c_out) else {
            return Err(ShapeError::Overflow);
        };
        let sink = Pooled { conv: &in_steps(conv, 2), maxima, requantize, out, at: 0, x: 0, y: 0, image: 0 };
        return run_lane::<_, SHORT, LONG>(isa, conv, 2, input, weight, sink, scratch);
    }
    let images = together(conv);
    let map_len = of_images(conv, images).output_len();
    let (map, scratch) = scratch.split_at_mut(map_len.div_ceil(4));
    let map: &mut [i8] = bytemuck::cast_slice_mut(map);
    let (input_len, output_len) = (conv.h * conv.w * conv.c_in, conv.oh / 2 * (conv.ow / 2) * conv.c_out);
    for (bytes, out) in input.bytes.chunks(images * input_len).zip(out.chunks_mut(images * output_len)) {
        let few = of_images(conv, bytes.len() / input_len);
        let map = &mut map[..few.output_len()];
        conv2d(isa, &few, Input { bytes, ..input }, weight, requantize, map, scratch)?;
        let pool = Pool::new([few.n, few.c_out, few.oh, few.ow], [2, 2], 2, 0)?;
        max_pool2d(isa, &pool, map, out)?;
    }
    Ok(())
}

/// Keeps the largest sums of a row of windows, and requantizes them when their last has come. Pixels come in order, for some channels after
/// the others, or in strips of whole windows.
struct Pooled<'a, 'o> {
    /// Of an output of whole windows.
    conv: &'a Conv,
    /// `[ow / 2, c_out]`
    maxima: &'a mut [i32],
    requantize: Requantize<'a>,
    out: &'o mut [i8],
    /// The pixel of the last sums, and where it lies: mostly the next ones lie beside it.
    at: usize,
    x: usize,
    y: usize,
    image: usize,
}

impl Pooled<'_, '_> {
    #[inline(always)]
    fn go_to(&mut self, pixel: usize) {
        if pixel == self.at {
            return;
        }
        let &Conv { oh, ow, .. } = self.conv;
        if pixel == self.at + 1 && self.x + 1 < ow {
            self.x += 1;
        } else {
            let (ow, oh) = (ow.max(1), oh.max(1)); // as they are
            (self.image, self.y, self.x) = (pixel / (oh * ow).max(1), pixel / ow % oh, pixel % ow);
        }
        self.at = pixel;
    }
}

impl Sink for Pooled<'_, '_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[i32]) {
        self.go_to(row);
        let &Conv { oh, ow, c_out, .. } = self.conv;
        let (x, y) = (self.x, self.y);
        let Some(maxima) = piece_mut(self.maxima, x / 2 * c_out + col, sums.len()) else {
            return;
        };
        if (x | y) % 2 == 0 {
            for (max, sum) in maxima.iter_mut().zip(sums) {
                *max = *sum;
            }
            return;
        }
        for (max, sum) in maxima.iter_mut().zip(sums) {
            *max = (*max).max(*sum);
        }
        if x & y & 1 == 1 {
            let pixel = (self.image * (oh / 2) + y / 2) * (ow / 2) + x / 2;
            if let Some(out) = piece_mut(self.out, pixel * c_out + col, sums.len()) {
                self.requantize.part(simd, col, maxima, out);
            }
        }
    }
    #[inline(always)]
    fn prefetch<S: Simd, const M: usize>(&mut self, _simd: S, _row: usize, _col: usize) {}
}

//! The way of microcontrollers for short sums: the rows of the image under the kernel, widened once and kept where every patch lies in one
//! piece, and weights widened for the whole call.
//!
//! The window is `[column][row of the kernel][channel]`, so that the patch of a pixel is `kw · kh · c` numbers without a gap, and that of
//! its neighbour begins `stride · kh · c` further. For the next row of pixels every number belongs `stride · c` places further to the
//! front: instead of moving them all, the window begins that much later, and only the rows that came in are written, over those that
//! went out. An image too wide for the scratch is taken in strips, and output channels in blocks, each of which sees the image anew.

use super::Input;
use crate::kernels::arch::band::side_by_side;
use crate::kernels::conv::Conv;
use crate::kernels::gemm_i8::sink::Sink;
use crate::kernels::piece::{piece, piece_mut, rest, rest_mut};
use crate::kernels::simd::{Kernel, Simd};

/// Words that the widened weights of a block may take: 72 weights for each of four channels. Each block widens the image once more, so
/// that longer sums, of fewer channels a block, are better off with patches, and with less scratch.
const WEIGHTS: usize = 144;
/// Words that the window may take.
const WINDOW: usize = 224;
/// Fours of channels of a block, at most, and of sums that are handed over together.
const FOURS: usize = 4;
const SUMS: usize = 16;
/// Rows of pixels that the window slides by before it is written anew where it began.
const SLIDES: usize = 5;

/// What of a convolution is done at a time.
#[derive(Clone, Copy)]
pub(super) struct Window<'c> {
    conv: &'c Conv,
    /// Fours of output channels of a block.
    fours: usize,
    /// Pixels of a strip.
    pixels: usize,
    /// As [`SLIDES`], or fewer.
    slides: usize,
}

impl<'c> Window<'c> {
    /// In strips of a multiple of `step` pixels. None if the scratch would not hold four channels, or one such strip.
    pub(super) const fn of(conv: &'c Conv, step: usize) -> Option<Self> {
        let &Conv { kh, stride, oh, ow, .. } = conv;
        let (channels, group_out) = conv.group();
        let four = 4 * conv.taps().div_ceil(2);
        let Some(fit) = WEIGHTS.checked_div(four) else {
            return None;
        };
        let needed = group_out.div_ceil(4);
        let most = if needed < FOURS { needed } else { FOURS };
        let fours = if fit < most { fit } else { most };
        // Rows of which nothing stays need no sliding.
        let slides = if kh <= stride {
            0
        } else if oh <= SLIDES {
            oh - 1
        } else {
            SLIDES
        };
        // One number behind an odd patch is read, and multiplied by zero.
        let one = conv.taps() + slides * stride * channels + 1;
        if fours == 0 || one > 2 * WINDOW {
            return None;
        }
        let (Some(more), Some(odd)) = ((2 * WINDOW - one).checked_div(stride * kh * channels), step.checked_sub(1))
        else {
            return None;
        };
        // Steps are of one pixel or of two.
        let fit = 1 + more;
        let pixels = if fit < ow { fit & !odd } else { ow };
        if pixels == 0 { None } else { Some(Self { conv, fours, pixels, slides }) }
    }

    /// The same for fewer rows and columns of output, as `conv` has them.
    pub(super) const fn only(self, conv: &'c Conv) -> Self {
        Self { conv, ..self }
    }

    /// Words of scratch.
    pub(super) const fn scratch_len(&self) -> usize {
        let &Conv { kh, kw, stride, .. } = self.conv;
        let columns = (self.pixels - 1) * stride + kw;
        let channels = self.conv.group().0;
        let numbers = columns * kh * channels + self.slides * stride * channels + 1;
        4 * self.fours * self.steps() + numbers.div_ceil(2)
    }

    /// Pairs of weights of one output channel.
    const fn steps(&self) -> usize {
        self.conv.taps().div_ceil(2)
    }
}

/// A convolution by way of its window.
pub(super) struct Windowed<'a, 's, C> {
    pub(super) window: Window<'a>,
    pub(super) input: Input<'a>,
    pub(super) weight: &'a [i8],
    pub(super) out: C,
    pub(super) scratch: &'s mut [i32],
}

impl<C: Sink> Kernel for Windowed<'_, '_, C> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let (group_out, block) = (self.window.conv.group().1, (4 * self.window.fours).max(1));
        for group in 0..self.window.conv.groups {
            for first in (0..group_out).step_by(block) {
                self.block(simd, group, group * group_out + first, block.min(group_out - first));
            }
        }
    }
}

impl<C: Sink> Windowed<'_, '_, C> {
    /// `count` output channels of `group`, from `channel` on.
    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, group: usize, channel: usize, count: usize) {
        let Window { conv, fours, pixels, slides } = self.window;
        let &Conv { h, w, c_in, kh, kw, stride, oh, ow, .. } = conv;
        let (channels, taps, steps) = (conv.group().0, conv.taps(), self.window.steps());
        let Some((weights, numbers)) = self.scratch.split_at_mut_checked(4 * fours * steps) else {
            return;
        };
        let numbers = bytemuck::cast_slice_mut(numbers);
        let Some(weights) = piece_mut(weights.as_chunks_mut().0, 0, count.div_ceil(4) * steps) else {
            return;
        };
        let Some(weight) = piece(self.weight, channel * taps, count * taps) else {
            return;
        };
        widen(conv, weight, count, weights);
        for (n, image) in self.input.bytes.chunks_exact((h * w * c_in).max(1)).enumerate() {
            for left in (0..ow).step_by(pixels.max(1)) {
                let pixels = pixels.min(ow - left);
                let (around, columns) = (self.input.zero_point.into(), (pixels - 1) * stride + kw);
                let strip = Strip { conv, image, around, first: group * channels, left: left * stride, columns };
                let mut slid = slides;
                for y in 0..oh {
                    // What came in since the row before, or all.
                    let new = if slid == slides { kh } else { stride };
                    slid = if slid == slides { 0 } else { slid + 1 };
                    let Some(numbers) = rest_mut(numbers, slid * stride * channels) else {
                        return;
                    };
                    for row in kh - new..kh {
                        strip.row(y * stride + row, row * channels, numbers);
                    }
                    let row = Row { patches: numbers, pitch: stride * kh * channels, weights, steps, pixels };
                    let at = (n * oh + y) * ow + left;
                    simd.outline(HandOver { row, out: &mut self.out, at, channel, count });
                }
            }
        }
    }
}

/// A row of pixels of a strip.
#[derive(Clone, Copy)]
struct Row<'a> {
    patches: &'a [i16],
    /// Numbers from a patch to the next.
    pitch: usize,
    weights: &'a [[i32; 4]],
    steps: usize,
    pixels: usize,
}

/// What becomes of a row: `count` channels from `channel` on, of the pixels from `at` on. A kernel of its own, as its loop needs the
/// registers.
struct HandOver<'a, C> {
    row: Row<'a>,
    out: &'a mut C,
    at: usize,
    channel: usize,
    count: usize,
}

impl<C: Sink> Kernel for HandOver<'_, C> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { row: Row { patches, pitch, weights, steps, pixels }, out, at, channel, count } = self;
        let fours = count.div_ceil(4).max(1);
        let mut sums = [[0; 4]; SUMS];
        let together = (SUMS / fours).max(1);
        let mut first = 0;
        while first < pixels {
            let last = pixels.min(first + together);
            let (Some(sums), Some(patches)) =
                (piece_mut(&mut sums, 0, (last - first) * fours), rest(patches, first * pitch))
            else {
                return;
            };
            simd.dot_fours(patches, pitch, weights, steps, sums);
            for (pixel, sums) in sums.chunks_exact(fours).enumerate() {
                if let Some(sums) = piece(sums.as_flattened(), 0, count) {
                    out.put(simd, at + first + pixel, channel, sums);
                }
            }
            first = last;
        }
    }
}

/// The weights of `count` output channels, `[channel][kh][kw][c]`, as [`Simd::dot_fours`] reads them, in the order of patches; zeros where a
/// pair or a four is not full.
#[inline(never)]
fn widen(conv: &Conv, weight: &[i8], count: usize, words: &mut [[i32; 4]]) {
    let (taps, c) = (conv.taps(), conv.group().0);
    for four in &mut *words {
        *four = [0; 4];
    }
    let numbers: &mut [i16] = bytemuck::cast_slice_mut(words.as_flattened_mut());
    let mut left = weight;
    for channel in 0..count {
        let Some((weight, others)) = left.split_at_checked(taps) else {
            return;
        };
        left = others;
        let mut weight = weight.iter();
        let place = channel / 4 * 4 * taps.next_multiple_of(2) + channel % 4 * 2;
        for ky in 0..conv.kh {
            for kx in 0..conv.kw {
                let first = (kx * conv.kh + ky) * c;
                for (tap, weight) in (first..first + c).zip(&mut weight) {
                    if let Some(number) = numbers.get_mut(place + tap / 2 * 8 + tap % 2) {
                        *number = (*weight).into();
                    }
                }
            }
        }
    }
}

/// The columns under one strip of pixels.
struct Strip<'a> {
    conv: &'a Conv,
    image: &'a [i8],
    around: i16,
    /// The first channel.
    first: usize,
    /// The first column, of the padded image, and how many.
    left: usize,
    columns: usize,
}

impl Strip<'_> {
    /// Row `y` of the padded image, widened, a column every `kh · c` of `numbers` from number `at` on.
    #[inline(never)]
    fn row(&self, y: usize, at: usize, numbers: &mut [i16]) {
        let Some(numbers) = rest_mut(numbers, at) else {
            return;
        };
        let Self { conv, image, around, first, left, columns } = *self;
        let &Conv { h, w, c_in, kh, padding, .. } = conv;
        let channels = conv.group().0;
        let deep = kh * channels;
        let (mut before, mut inside) = (columns, 0);
        if y >= padding && y < h + padding {
            before = padding.saturating_sub(left).min(columns);
            inside = (w + padding).saturating_sub(left + before).min(columns - before);
        }
        let after = before + inside;
        fill(numbers, deep, channels, before, around);
        fill(numbers.get_mut(after * deep..).unwrap_or_default(), deep, channels, columns - after, around);
        if inside == 0 {
            return;
        }
        let line = rest(image, ((y - padding) * w + left + before - padding) * c_in + first);
        let (Some(mut numbers), Some(mut line)) = (rest_mut(numbers, before * deep), line) else {
            return;
        };
        // Channel by channel, as many images have one, but four at a time while there are as many.
        let mut channel = 0;
        while channel + 4 <= channels {
            copy::<4>(line, c_in, numbers, deep, inside);
            (line, numbers) = (line.get(4..).unwrap_or_default(), numbers.get_mut(4..).unwrap_or_default());
            channel += 4;
        }
        for _ in channel..channels {
            copy::<1>(line, c_in, numbers, deep, inside);
            (line, numbers) = (line.get(1..).unwrap_or_default(), numbers.get_mut(1..).unwrap_or_default());
        }
    }
}

/// Widens `K` bytes, `count` times. Not inlined, as each is a few hundred bytes of flash.
#[inline(never)]
fn copy<const K: usize>(bytes: &[i8], stride: usize, numbers: &mut [i16], pitch: usize, count: usize) {
    let done = side_by_side::<K, _, _>((bytes, stride), (numbers, pitch), count, |bytes, numbers| {
        for (number, byte) in numbers.iter_mut().zip(bytes) {
            *number = (*byte).into();
        }
    });
    debug_assert!(done, "{count} columns of {} bytes and {} numbers", bytes.len(), numbers.len());
}

/// `x` in `channels` numbers each of `count` columns.
#[inline(never)]
fn fill(numbers: &mut [i16], pitch: usize, channels: usize, count: usize, x: i16) {
    for column in numbers.chunks_mut(pitch.max(1)).take(count) {
        for number in column.iter_mut().take(channels) {
            *number = x;
        }
    }
}

//! The way of microcontrollers: the patch of the input that one pixel of the output sees, then a product with the weights where they
//! lie. Scratch is two patches; nothing is packed.

use super::Input;
use crate::kernels::conv::Conv;
use crate::kernels::gemm_i8::sink::Sink;
use crate::kernels::gemm_i8::words;
use crate::kernels::simd::{Kernel, Simd};

/// Channels that are handed over together.
const CHANNELS: usize = 16;

/// Words of scratch: a patch of bytes, and the same spread.
pub(super) const fn scratch_len(conv: &Conv) -> usize {
    conv.taps().div_ceil(4) + words::spread_len(conv.taps())
}

/// Any kernel, stride, padding and groups.
pub(super) struct Patches<'a, 's, C> {
    pub(super) conv: Conv,
    pub(super) input: Input<'a>,
    pub(super) weight: &'a [i8],
    pub(super) out: C,
    pub(super) scratch: &'s mut [i32],
}

impl<C: Sink> Kernel for Patches<'_, '_, C> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let Conv { h, w, c_in, groups, oh, ow, .. } = self.conv;
        let (taps, group_out) = (self.conv.taps(), self.conv.group().1);
        let (patch, spread) = self.scratch.split_at_mut(taps.div_ceil(4));
        let patch: &mut [i8] = &mut bytemuck::cast_slice_mut(patch)[..taps];
        for (n, image) in self.input.bytes.chunks_exact(h * w * c_in).enumerate() {
            for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                for group in 0..groups {
                    fill(&self.conv, image, self.input.zero_point, (y, x), group, patch);
                    words::spread(simd, patch, spread);
                    for first in (0..group_out).step_by(CHANNELS) {
                        let channel = group * group_out + first;
                        let sums = &mut [0; CHANNELS][..CHANNELS.min(group_out - first)];
                        words::row(simd, spread, taps, &self.weight[channel * taps..], taps, sums);
                        self.out.put(simd, (n * oh + y) * ow + x, channel, sums);
                    }
                }
            }
        }
    }
}

/// Copies what output pixel `at` sees of the channels of `group`, in the order of the weights.
#[inline(always)]
fn fill(conv: &Conv, image: &[i8], around: i8, at: (usize, usize), group: usize, patch: &mut [i8]) {
    let &Conv { h, w, c_in, kh, kw, stride, padding, .. } = conv;
    let channels = conv.group().0;
    // Places in the padded image, from which `padding` is yet to be taken.
    let (top, left) = (at.0 * stride, at.1 * stride);
    let inside = left >= padding && left + kw <= w + padding;
    for (dy, row) in patch.chunks_exact_mut(kw * channels).enumerate().take(kh) {
        let Some(y) = (top + dy).checked_sub(padding).filter(|y| *y < h) else {
            row.fill(around);
            continue;
        };
        let line = &image[y * w * c_in..][..w * c_in];
        if inside && channels == c_in {
            copy(&line[(left - padding) * c_in..], row);
            continue;
        }
        for (dx, pixel) in row.chunks_exact_mut(channels).enumerate() {
            match (left + dx).checked_sub(padding).filter(|x| *x < w) {
                Some(x) => copy(&line[x * c_in + group * channels..], pixel),
                None => pixel.fill(around),
            }
        }
    }
}

/// Fills `dst` from the start of `src`, four bytes at a time.
#[inline(always)]
fn copy(src: &[i8], dst: &mut [i8]) {
    let src = &src[..dst.len()];
    let (dst, dst_rest) = dst.as_chunks_mut::<4>();
    let (src, src_rest) = src.as_chunks::<4>();
    for (dst, src) in dst.iter_mut().zip(src) {
        *dst = *src;
    }
    for (dst, src) in dst_rest.iter_mut().zip(src_rest) {
        *dst = *src;
    }
}

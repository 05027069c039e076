//! The way of microcontrollers for long sums: the patch of the input that one pixel of the output sees, then a product with the weights
//! where they lie. Scratch is one patch, widened; nothing is packed.

use super::Input;
use crate::kernels::conv::Conv;
use crate::kernels::gemm_i8::sink::Sink;
use crate::kernels::gemm_i8::words::{self, Spread};
use crate::kernels::piece::{piece, piece_mut, rest};
use crate::kernels::simd::{Kernel, Simd};

/// Channels that are handed over together.
const CHANNELS: usize = 16;

/// Words of scratch: a patch.
pub(super) const fn scratch_len(conv: &Conv) -> usize {
    words::spread_len(conv.taps())
}

/// Any kernel, stride, padding and groups.
pub(super) struct Patches<'a, 's, C> {
    pub(super) conv: &'a Conv,
    pub(super) input: Input<'a>,
    pub(super) weight: &'a [i8],
    pub(super) out: C,
    pub(super) scratch: &'s mut [i32],
}

impl<C: Sink> Kernel for Patches<'_, '_, C> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let &Conv { h, w, c_in, groups, oh, ow, .. } = self.conv;
        let (taps, group_out) = (self.conv.taps(), self.conv.group().1);
        let mut sums = [0; CHANNELS];
        for (n, image) in self.input.bytes.chunks_exact((h * w * c_in).max(1)).enumerate() {
            for y in 0..oh {
                for x in 0..ow {
                    for group in 0..groups {
                        let patch = Spread::new(self.scratch, taps);
                        gather(simd, self.conv, image, self.input.zero_point, (y, x), group, patch);
                        for first in (0..group_out).step_by(CHANNELS) {
                            let channel = group * group_out + first;
                            let (Some(sums), Some(weight)) = (
                                piece_mut(&mut sums, 0, CHANNELS.min(group_out - first)),
                                rest(self.weight, channel * taps),
                            ) else {
                                return;
                            };
                            words::row(simd, self.scratch, taps, weight, taps, sums);
                            self.out.put(simd, (n * oh + y) * ow + x, channel, sums);
                        }
                    }
                }
            }
        }
    }
}

/// Gathers what output pixel `at` sees of the channels of `group`, in the order of the weights.
#[inline(always)]
fn gather<S: Simd>(
    simd: S,
    conv: &Conv,
    image: &[i8],
    around: i8,
    at: (usize, usize),
    group: usize,
    mut patch: Spread<'_>,
) {
    let &Conv { h, w, c_in, kh, kw, stride, padding, .. } = conv;
    let channels = conv.group().0;
    // Places in the padded image, from which `padding` is yet to be taken.
    let (top, left) = (at.0 * stride, at.1 * stride);
    let inside = left >= padding && left + kw <= w + padding;
    for y in top..top + kh {
        if y < padding || y >= h + padding {
            patch.repeat(around, kw * channels);
            continue;
        }
        let row = (y - padding) * w;
        if inside && channels == c_in {
            if let Some(line) = piece(image, (row + left - padding) * c_in, kw * c_in) {
                patch.extend(simd, line);
            }
            continue;
        }
        for x in left..left + kw {
            if x < padding || x >= w + padding {
                patch.repeat(around, channels);
            } else if let Some(pixel) = piece(image, (row + x - padding) * c_in + group * channels, channels) {
                patch.extend(simd, pixel);
            }
        }
    }
}

//! The general way: register tiles of pixels by output channels, along rows of the widened image in which the columns of the kernel and
//! the channels follow each other without a gap.

use super::Input;
use super::image::Widened;
use super::strips::Strips;
use super::tile::{Rows, Shared};
use crate::kernels::Isa;
use crate::kernels::conv::Conv;
use crate::kernels::gemm_i8::sink::Sink;
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};
use core::marker::PhantomData;

/// Elements of the image that the rows of a block of the output meet anew: 16 KiB, which stay in the first cache while all strips pass.
const BLOCK: usize = 8 << 10;

/// Any kernel, stride, padding and groups.
#[derive(Clone, Copy)]
pub(super) struct Direct {
    conv: Conv,
}

impl Direct {
    pub(super) const fn of(conv: &Conv) -> Self {
        Self { conv: *conv }
    }

    const fn image(&self) -> Widened {
        let Conv { h, w, c_in, padding, .. } = self.conv;
        let channels = self.conv.group().0;
        Widened {
            height: h,
            width: w,
            all: c_in,
            channels,
            padding,
            rows: h + 2 * padding,
            cols: w + 2 * padding,
            depth: channels,
        }
    }

    /// Elements of the image and one more, which the zero at the end of an odd row of weights meets.
    const fn image_len(&self) -> usize {
        self.image().len() + 1
    }

    /// Weights of a group.
    const fn strips(&self, lanes: usize) -> Strips {
        Strips::of(&self.conv, self.conv.group().1, lanes)
    }

    /// Elements of scratch, two of ours in each.
    pub(super) const fn scratch_len(&self) -> usize {
        (self.image_len() + self.strips(MAX_LANES).all()).div_ceil(2)
    }

    pub(super) fn run<C: Sink>(&self, isa: Isa, input: Input<'_>, weight: &[i8], out: C, scratch: &mut [i32]) {
        isa.for_channels(self.conv.group().1).run(Groups { way: *self, input, weight, out, scratch });
    }
}

struct Groups<'a, 's, C> {
    way: Direct,
    input: Input<'a>,
    weight: &'a [i8],
    out: C,
    scratch: &'s mut [i32],
}

impl<C: Sink> Kernel for Groups<'_, '_, C> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let way = self.way;
        let (image, conv, strips) = (way.image(), way.conv, way.strips(S::LANES));
        let (group_in, group_out) = conv.group();
        let row_len = image.cols * image.depth;
        let lines = (BLOCK / row_len.saturating_mul(conv.stride)).max(1);
        let scratch: &mut [i16] = bytemuck::cast_slice_mut(self.scratch);
        let (widened, scratch) = scratch.split_at_mut(way.image_len());
        for (group, weight) in self.weight.chunks_exact(group_out * conv.taps()).enumerate() {
            let packed = strips.pack(weight, scratch);
            for (n, bytes) in self.input.bytes.chunks_exact(conv.h * conv.w * conv.c_in).enumerate() {
                image.fill(bytes, group * group_in, self.input.zero_point, widened);
                for y in (0..conv.oh).step_by(lines) {
                    for (s, strip) in packed.chunks_exact(strips.len).enumerate() {
                        let channel = s * strips.width;
                        let rows = Rows {
                            out: &mut self.out,
                            image: &*widened,
                            row_len,
                            top: y * conv.stride,
                            stride: conv.stride,
                            step: conv.stride * image.depth,
                            apart: 2,
                            pairs: PhantomData::<Shared>,
                            strip,
                            strips,
                            first: (n * conv.oh + y) * conv.ow,
                            count: lines.min(conv.oh - y),
                            cols: conv.ow,
                            at: (group * group_out + channel, strips.width.min(group_out - channel)),
                        };
                        rows.run(simd);
                    }
                }
            }
        }
    }
}

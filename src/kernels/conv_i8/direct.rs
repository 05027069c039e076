//! The general way: register tiles of pixels by output channels, along rows of the widened image in which the columns of the kernel and
//! the channels follow each other without a gap.

use super::Input;
use super::image::Widened;
use crate::kernels::Isa;
use crate::kernels::conv::Conv;
use crate::kernels::cut::Panels;
use crate::kernels::gemm_i8::sink::Sink;
use crate::kernels::gemm_i8::tile::{MR, NV};
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};

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
            depth: channels.next_multiple_of(2),
        }
    }

    /// Pairs in a row of the kernel.
    const fn pairs(&self) -> usize {
        self.conv.kw * self.image().depth / 2
    }

    /// Strips of output channels of a group, for registers of `lanes`, and elements of each: `[kh][pairs][NV · lanes][2]`.
    const fn strips(&self, lanes: usize) -> (usize, usize) {
        (self.conv.group().1.div_ceil(NV * lanes), self.conv.kh * self.pairs() * 2 * NV * lanes)
    }

    /// Elements of scratch, two of ours in each.
    pub(super) const fn scratch_len(&self) -> usize {
        let (strips, len) = self.strips(MAX_LANES);
        (self.image().len() + strips * len).div_ceil(2)
    }

    pub(super) fn run<C: Sink>(&self, isa: Isa, input: Input<'_>, weight: &[i8], out: C, scratch: &mut [i32]) {
        isa.run(Groups { way: *self, input, weight, out, scratch });
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
        let (image, conv, (count, strip_len)) = (way.image(), way.conv, way.strips(S::LANES));
        let (group_in, group_out) = conv.group();
        let nr = NV * S::LANES;
        let scratch: &mut [i16] = bytemuck::cast_slice_mut(self.scratch);
        let (widened, strips) = scratch.split_at_mut(image.len());
        for group in 0..conv.groups {
            let weight = &self.weight[group * group_out * conv.taps()..][..group_out * conv.taps()];
            for (s, strip) in strips.chunks_exact_mut(strip_len).enumerate().take(count) {
                pack(&way, weight, s * nr, nr, strip);
            }
            for (n, bytes) in self.input.bytes.chunks_exact(conv.h * conv.w * conv.c_in).enumerate() {
                image.fill(bytes, group * group_in, self.input.zero_point, widened);
                let panels = Panels::of(conv.ow, MR);
                for y in 0..conv.oh {
                    for (s, strip) in strips.chunks_exact(strip_len).enumerate().take(count) {
                        for (from, to) in [(0, panels.taller), (panels.taller, panels.count)] {
                            if from >= to {
                                continue;
                            }
                            let cols = nr.min(group_out - s * nr);
                            let part = Part {
                                way,
                                out: &mut self.out,
                                rows: &widened[y * conv.stride * image.cols * image.depth..],
                                strip,
                                first: (n * conv.oh + y) * conv.ow,
                                range: (panels.start(from), panels.start(to)),
                                at: (group * group_out + s * nr, cols),
                            };
                            match (panels.height(from), cols > S::LANES) {
                                (5, true) => simd.outline(Pixels::<C, 5, NV>(part)),
                                (4, true) => simd.outline(Pixels::<C, 4, NV>(part)),
                                (3, true) => simd.outline(Pixels::<C, 3, NV>(part)),
                                (2, true) => simd.outline(Pixels::<C, 2, NV>(part)),
                                (_, true) => simd.outline(Pixels::<C, 1, NV>(part)),
                                (5, _) => simd.outline(Pixels::<C, 5, 1>(part)),
                                (4, _) => simd.outline(Pixels::<C, 4, 1>(part)),
                                (3, _) => simd.outline(Pixels::<C, 3, 1>(part)),
                                (2, _) => simd.outline(Pixels::<C, 2, 1>(part)),
                                _ => simd.outline(Pixels::<C, 1, 1>(part)),
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Packs the weights of the output channels from `first` on, in pairs, filled up with zeros.
fn pack(way: &Direct, weight: &[i8], first: usize, nr: usize, strip: &mut [i16]) {
    let (image, taps) = (way.image(), way.conv.taps());
    let depth = image.depth;
    strip.fill(0);
    for (lane, weight) in weight.chunks_exact(taps).skip(first).take(nr).enumerate() {
        for (tap, channels) in weight.chunks_exact(image.channels).enumerate() {
            for (c, w) in channels.iter().enumerate() {
                let step = tap * depth + c; // rows of the kernel follow each other: `depth · kw` is even
                strip[(step / 2 * nr + lane) * 2 + step % 2] = i16::from(*w);
            }
        }
    }
}

/// Pixels of a row of the output, by a strip of output channels.
struct Part<'p, C> {
    way: Direct,
    out: &'p mut C,
    /// The widened image from the first row that the kernel meets.
    rows: &'p [i16],
    strip: &'p [i16],
    /// The first pixel of the row in the output.
    first: usize,
    range: (usize, usize),
    /// First channel, and how many.
    at: (usize, usize),
}

/// In panels of `M` pixels, of which `N` registers of channels count.
struct Pixels<'p, C, const M: usize, const N: usize>(Part<'p, C>);

impl<C: Sink, const M: usize, const N: usize> Kernel for Pixels<'_, C, M, N> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Part { way, out, rows, strip, first, range: (from, to), at: (channel, cols) } = self.0;
        let (image, stride, pairs) = (way.image(), way.conv.stride, way.pairs());
        let width = pairs * 2 * NV * S::LANES;
        for x in (from..to).step_by(M) {
            let mut acc = [[simd.splat_i32(0); N]; M];
            for dy in 0..way.conv.kh {
                let row = &rows[(dy * image.cols + x * stride) * image.depth..];
                let mut pixels: [&[[i16; 2]]; M] = [&[]; M];
                for i in 0..M {
                    pixels[i] = row[i * stride * image.depth..][..2 * pairs].as_chunks().0;
                }
                let strip = &strip[dy * width..][..width];
                for (p, w) in strip.chunks_exact(2 * NV * S::LANES).enumerate().take(pairs) {
                    let mut weights = [simd.load_i16(w); N];
                    for j in 1..N {
                        weights[j] = simd.load_i16(&w[2 * j * S::LANES..]);
                    }
                    for i in 0..M {
                        let pixel = simd.splat_pair(pixels[i][p]);
                        for j in 0..N {
                            acc[i][j] = simd.dot_pairs(pixel, weights[j], acc[i][j]);
                        }
                    }
                }
            }
            for i in 0..M {
                if cols == N * S::LANES {
                    out.put_registers(simd, first + x + i, channel, acc[i]);
                    continue;
                }
                let mut sums = [0; NV * MAX_LANES];
                for j in 0..N {
                    simd.store_i32(acc[i][j], &mut sums[j * S::LANES..]);
                }
                out.put(simd, first + x + i, channel, &sums[..cols]);
            }
        }
    }
}

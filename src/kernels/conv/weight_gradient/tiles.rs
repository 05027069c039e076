//! Register tiles of output channels by input channels, for one tap each: products of matrices whose inner size is the pixels.

use crate::kernels::Isa;
use crate::kernels::arch::band::Band;
use crate::kernels::conv::pixels;
use crate::kernels::conv::shape::Conv;
use crate::kernels::cut::Panels;
use crate::kernels::gemm_f32::tile::{MR, NV, Sums};
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};

/// Input channels from which tiles are faster than dots, as `benches/thresholds.rs` measures, with AVX2 and AVX-512 of an EPYC 9004: of four and
/// eight channels on either side they take 1.4 times as long, of five and eight 1.1, of six and eight 0.9, of 32 and two 0.4 and 0.3.
const CHANNELS: usize = 6;
/// Input pixels of a strip of channels that stay in the first cache: 16 KiB of sixteen channels.
const NEAR: usize = 256;
/// Channels in a strip of the sums.
const STRIP: usize = NV * MAX_LANES;

/// For one group, of any number of channels: [`of`](Self::of) says from how many tiles pay.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    conv: Conv,
}

impl Tiles {
    /// None where there are groups, or too few channels for tiles.
    pub(super) const fn of(conv: &Conv) -> Option<Self> {
        if conv.groups == 1 && conv.c_in >= CHANNELS { Some(Self::any(conv)) } else { None }
    }

    /// For any number of channels of one group.
    pub(super) const fn any(conv: &Conv) -> Self {
        Self { conv: *conv }
    }

    /// How a row of pixels of `channels` channels is laid out.
    const fn pixels(&self, channels: usize) -> pixels::Shape {
        let Conv { h, w, padding, .. } = self.conv;
        pixels::Shape { channels, plane: h * w, width: w, left: padding, pitch: w + 2 * padding }
    }

    /// Rows of the output whose inputs are near at once.
    const fn block(&self) -> usize {
        let (rows, step) = (NEAR / self.pixels(STRIP).pitch, self.conv.stride);
        let block = if rows > self.conv.kh { (rows - self.conv.kh) / step + 1 } else { 1 };
        if block < self.conv.oh { block } else { self.conv.oh }
    }

    /// Rows of the input that a block meets.
    const fn rows(&self) -> usize {
        (self.block() - 1) * self.conv.stride + self.conv.kh
    }

    /// Elements of the sums of one part: `[strip][kh · kw][c_out][STRIP]`.
    pub(super) const fn sums_len(&self) -> usize {
        self.conv.c_in.next_multiple_of(STRIP) * self.conv.kh * self.conv.kw * self.conv.c_out
    }

    /// Elements of scratch for one part.
    pub(super) const fn scratch_len(&self) -> usize {
        let pixels = self.pixels(STRIP);
        self.rows() * pixels.row_len(MAX_LANES) + pixels.slack(MAX_LANES)
    }

    /// Adds images `from..to` to `sums`.
    #[inline]
    pub(super) fn images(
        &self,
        isa: Isa,
        (from, to): (usize, usize),
        (input, d_out): (&[f32], &[f32]),
        sums: &mut [f32],
        scratch: &mut [f32],
    ) {
        let Conv { c_in, h, w, c_out, oh, ow, .. } = self.conv;
        for image in from..to {
            let input = &input[image * c_in * h * w..][..c_in * h * w];
            let d_out = &d_out[image * c_out * oh * ow..][..c_out * oh * ow];
            isa.run(Image { way: *self, input, d_out, sums, scratch });
        }
    }

    /// The sums of output channels from `first_channel` on, in the order of the weights.
    pub(super) fn finish(&self, sums: &[f32], d_weight: &mut [f32], first_channel: usize) {
        let Conv { c_in, c_out, kh, kw, .. } = self.conv;
        for (oc, d_weight) in (first_channel..).zip(d_weight.chunks_exact_mut(c_in * kh * kw)) {
            for (ic, d_weight) in d_weight.chunks_exact_mut(kh * kw).enumerate() {
                let first = (ic / STRIP * kh * kw * c_out + oc) * STRIP + ic % STRIP;
                for (d_weight, sum) in d_weight.iter_mut().zip(sums[first..].iter().step_by(c_out * STRIP)) {
                    *d_weight = *sum;
                }
            }
        }
    }
}

struct Image<'a, 's> {
    way: Tiles,
    input: &'a [f32],
    d_out: &'a [f32],
    sums: &'s mut [f32],
    scratch: &'s mut [f32],
}

impl Kernel for Image<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { way, input, d_out, sums, scratch } = self;
        let Conv { c_in, h, w, c_out, kh, kw, stride, padding, oh, .. } = way.conv;
        let panels = Panels::of(c_out, MR);
        for y in (0..oh).step_by(way.block()) {
            let rows = way.block().min(oh - y);
            for (strip, sums) in sums.chunks_exact_mut(kh * kw * c_out * STRIP).enumerate() {
                // A register of the narrower sets holds less than a strip: the strip is gone through in pieces of `NV` registers.
                for first in (0..STRIP.min(c_in - strip * STRIP)).step_by(NV * S::LANES) {
                    let channel = strip * STRIP + first;
                    let pixels = way.pixels((NV * S::LANES).min(c_in - channel));
                    let row_len = pixels.row_len(S::LANES);
                    for r in 0..(rows - 1) * stride + kh {
                        let band = &mut scratch[r * row_len..];
                        match (y * stride + r).checked_sub(padding) {
                            Some(row) if row < h => pixels.row(simd, &input[channel * h * w..], row * w, band),
                            _ => band[..row_len].fill(0.0),
                        }
                    }
                    for (from, to) in [(0, panels.taller), (panels.taller, panels.count)] {
                        if from >= to {
                            continue;
                        }
                        let part = Part {
                            way,
                            depth: pixels.depth(S::LANES),
                            band: &*scratch,
                            d_out,
                            sums: &mut sums[first..],
                            range: (panels.start(from), panels.start(to)),
                            rows: (y, rows),
                        };
                        match (panels.height(from), pixels.depth(S::LANES) > S::LANES) {
                            (6, true) => simd.outline(Taps::<6, NV>(part)),
                            (5, true) => simd.outline(Taps::<5, NV>(part)),
                            (4, true) => simd.outline(Taps::<4, NV>(part)),
                            (3, true) => simd.outline(Taps::<3, NV>(part)),
                            (2, true) => simd.outline(Taps::<2, NV>(part)),
                            (_, true) => simd.outline(Taps::<1, NV>(part)),
                            (6, _) => simd.outline(Taps::<6, 1>(part)),
                            (5, _) => simd.outline(Taps::<5, 1>(part)),
                            (4, _) => simd.outline(Taps::<4, 1>(part)),
                            (3, _) => simd.outline(Taps::<3, 1>(part)),
                            (2, _) => simd.outline(Taps::<2, 1>(part)),
                            _ => simd.outline(Taps::<1, 1>(part)),
                        }
                    }
                }
            }
        }
    }
}

/// Some input channels, all output channels of one height of panels, and a block of rows of pixels.
struct Part<'a, 's> {
    way: Tiles,
    /// Elements of a pixel of the band.
    depth: usize,
    band: &'a [f32],
    d_out: &'a [f32],
    sums: &'s mut [f32],
    range: (usize, usize),
    /// First row of the output, and how many.
    rows: (usize, usize),
}

/// All taps, in panels of `M` output channels by `N` registers of input channels.
struct Taps<'a, 's, const M: usize, const N: usize>(Part<'a, 's>);

impl<const M: usize, const N: usize> Kernel for Taps<'_, '_, M, N> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Part { way, depth, band, d_out, sums, range: (from, to), rows: (y, rows) } = self.0;
        let Conv { c_out, kh, kw, stride, oh, ow, .. } = way.conv;
        let pitch = way.pixels(STRIP).pitch;
        for oc in (from..to).step_by(M) {
            for (dy, dx) in (0..kh).flat_map(|dy| (0..kw).map(move |dx| (dy, dx))) {
                let mut acc: Sums<S, M, N> = [[simd.splat(0.0); N]; M];
                for row in 0..rows {
                    let mut gradients: [&[f32]; M] = [&[]; M];
                    for i in 0..M {
                        gradients[i] = &d_out[((oc + i) * oh + y + row) * ow..][..ow];
                    }
                    let start = ((row * stride + dy) * pitch + dx) * depth;
                    let pixels = Band::new(&band[start..], ow, N * S::LANES, stride * depth);
                    for x in 0..ow {
                        let pixel = pixels.row(x);
                        let mut inputs = [simd.load(pixel); N];
                        for j in 1..N {
                            inputs[j] = simd.load(&pixel[j * S::LANES..]);
                        }
                        for i in 0..M {
                            let gradient = simd.splat(gradients[i][x]);
                            for j in 0..N {
                                acc[i][j] = simd.mul_add(gradient, inputs[j], acc[i][j]);
                            }
                        }
                    }
                }
                for i in 0..M {
                    let sums = &mut sums[((dy * kw + dx) * c_out + oc + i) * STRIP..];
                    for j in 0..N {
                        let sum = &mut sums[j * S::LANES..][..S::LANES];
                        simd.store(simd.add(simd.load(sum), acc[i][j]), sum);
                    }
                }
            }
        }
    }
}

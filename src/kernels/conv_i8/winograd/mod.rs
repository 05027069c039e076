//! 3x3 and stride 1 by Winograd's minimal filtering in integers, F(2x2, 3x3) or F(4x4, 3x3), without any rounding: 2.25 or 4 times
//! fewer products, and the same integers as the direct way.

mod transform;

use super::Input;
use super::image::Widened;
use crate::kernels::Isa;
use crate::kernels::conv::Conv;
use crate::kernels::cut::Panels;
use crate::kernels::gemm_i8::sink::Sink;
use crate::kernels::gemm_i8::tile::{MR, NV};
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};
use core::marker::PhantomData;
pub(super) use transform::{Four, Two};
use transform::{SIDE, Transform};

/// Fewest channels on both sides that repay the transforms, as `benches/thresholds.rs` measures on images of 14x14 and an EPYC 9004: with AVX2 16
/// to 16 take 0.9 of the time of direct sums; with AVX-512, of whose lanes they fill one register, twice as long, 20 to 20 0.9.
const fn channels(lanes: usize) -> usize {
    if lanes == 16 { 20 } else { 16 }
}

/// Elements of transformed input in a block: 96 KiB, about as much as what is transformed back.
const BLOCK: usize = 48 << 10;

/// A 3x3 convolution of stride 1 and one group.
#[derive(Clone, Copy)]
pub(super) struct Winograd<T> {
    conv: Conv,
    transform: PhantomData<T>,
}

impl<T: Transform> Winograd<T> {
    const PLACES: usize = T::ALPHA * T::ALPHA;

    /// None where the transforms are not repaid, or not possible.
    pub(super) const fn of(conv: &Conv, lanes: usize) -> Option<Self> {
        if conv.c_in >= channels(lanes) && conv.c_out >= channels(lanes) { Self::possible(conv) } else { None }
    }

    /// None for other kernels, and for more channels than sums are exact for.
    pub(super) const fn possible(conv: &Conv) -> Option<Self> {
        let fits = conv.kh == 3 && conv.kw == 3 && conv.stride == 1 && conv.groups == 1;
        if fits && conv.c_in <= T::MAX_CHANNELS { Some(Self { conv: *conv, transform: PhantomData }) } else { None }
    }

    /// Products of channels for each image: the measure by which sizes are compared.
    pub(super) const fn products(&self) -> usize {
        let (rows, cols) = self.tiles();
        rows * cols * Self::PLACES
    }

    /// Rows and columns of tiles of an image.
    const fn tiles(&self) -> (usize, usize) {
        (self.conv.oh.div_ceil(T::OUT), self.conv.ow.div_ceil(T::OUT))
    }

    const fn image(&self, lanes: usize) -> Widened {
        let Conv { h, w, c_in, padding, .. } = self.conv;
        let (rows, cols) = self.tiles();
        Widened {
            height: h,
            width: w,
            all: c_in,
            channels: c_in,
            padding,
            rows: T::OUT * rows + 2,
            cols: T::OUT * cols + 2,
            depth: c_in.next_multiple_of(2 * lanes),
        }
    }

    /// Rows of tiles in a block.
    const fn block(&self) -> usize {
        let rows = BLOCK / (self.tiles().1 * Self::PLACES * self.image(MAX_LANES).depth);
        let most = self.tiles().0;
        if rows == 0 {
            1
        } else if rows < most {
            rows
        } else {
            most
        }
    }

    /// Tiles of a block, one more if that makes them odd: places then lie an odd number of lines apart, so that those of one tile do not
    /// compete for a place in the first cache.
    const fn apart(&self) -> usize {
        (self.block() * self.tiles().1) | 1
    }

    /// Strips of output channels for registers of `lanes`, and elements of each: `[place][pairs][NV · lanes][2]`.
    const fn strips(&self, lanes: usize) -> (usize, usize) {
        (self.conv.c_out.div_ceil(NV * lanes), Self::PLACES * self.image(lanes).depth * NV * lanes)
    }

    /// Elements of scratch: 16-bit ones in pairs, and sums.
    pub(super) const fn scratch_len(&self) -> usize {
        let (image, (strips, len)) = (self.image(MAX_LANES), self.strips(MAX_LANES));
        let tiles = self.apart();
        (image.len() + strips * len + tiles * Self::PLACES * image.depth).div_ceil(2)
            + tiles * Self::PLACES * NV * MAX_LANES
    }

    pub(super) fn run<C: Sink>(&self, isa: Isa, input: Input<'_>, weight: &[i8], out: C, scratch: &mut [i32]) {
        isa.run(Images { way: *self, input, weight, out, scratch });
    }
}

struct Images<'a, 's, T, C> {
    way: Winograd<T>,
    input: Input<'a>,
    weight: &'a [i8],
    out: C,
    scratch: &'s mut [i32],
}

impl<T: Transform, C: Sink> Kernel for Images<'_, '_, T, C> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let way = self.way;
        let (conv, image, (rows, cols)) = (way.conv, way.image(S::LANES), way.tiles());
        let ((count, strip_len), nr) = (way.strips(S::LANES), NV * S::LANES);
        let (sums, scratch) = self.scratch.split_at_mut(way.apart() * T::ALPHA * T::ALPHA * nr);
        let scratch: &mut [i16] = bytemuck::cast_slice_mut(scratch);
        let (widened, scratch) = scratch.split_at_mut(image.len());
        let (strips, inputs) = scratch.split_at_mut(count * strip_len);
        for (s, strip) in strips.chunks_exact_mut(strip_len).enumerate() {
            simd.outline(Pack { way, weight: self.weight, first: s * nr, strip });
        }
        for (n, bytes) in self.input.bytes.chunks_exact(conv.h * conv.w * conv.c_in).enumerate() {
            image.fill(bytes, 0, self.input.zero_point, widened);
            for first in (0..rows).step_by(way.block()) {
                let block = way.block().min(rows - first);
                let tiles = block * cols;
                simd.outline(Forth { way, widened, first, block, inputs: &mut *inputs });
                let panels = Panels::of(tiles, MR);
                for (s, strip) in strips.chunks_exact(strip_len).enumerate() {
                    for (from, to) in [(0, panels.taller), (panels.taller, panels.count)] {
                        if from >= to {
                            continue;
                        }
                        let range = (panels.start(from), panels.start(to));
                        let (inputs, sums) = (&*inputs, &mut *sums);
                        let part = Part {
                            inputs,
                            strip,
                            sums,
                            depth: image.depth,
                            apart: way.apart(),
                            places: T::ALPHA * T::ALPHA,
                            range,
                        };
                        match panels.height(from) {
                            5 => simd.outline(Products::<5>(part)),
                            4 => simd.outline(Products::<4>(part)),
                            3 => simd.outline(Products::<3>(part)),
                            2 => simd.outline(Products::<2>(part)),
                            _ => simd.outline(Products::<1>(part)),
                        }
                    }
                    let out = &mut self.out;
                    simd.outline(Back { way, sums, out, rows: (first, block), image: n, channel: s * nr });
                }
            }
        }
    }
}

/// Transforms the weights of the output channels from `first` on, a register of outputs at a time.
struct Pack<'a, 's, T> {
    way: Winograd<T>,
    weight: &'a [i8],
    first: usize,
    strip: &'s mut [i16],
}

impl<T: Transform> Kernel for Pack<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { way, weight, first, strip } = self;
        let (c_in, depth, nr) = (way.conv.c_in, way.image(S::LANES).depth, NV * S::LANES);
        let row_len = 2 * S::LANES; // pairs of channels of as many outputs
        if way.conv.c_out < first + nr {
            strip.fill(0);
        }
        let mut taps = [[0; 2 * MAX_LANES * MAX_LANES]; 9]; // `[tap][pair][output][2]`
        let mut few = [0; 2 * MAX_LANES * MAX_LANES];
        for output in (first..way.conv.c_out.min(first + nr)).step_by(S::LANES) {
            let weight = &weight[9 * c_in * output..];
            for c in (0..depth).step_by(row_len) {
                for (tap, taps) in taps.iter_mut().enumerate() {
                    if output + S::LANES <= way.conv.c_out && c + row_len <= c_in {
                        simd.interleave_all(&weight[tap * c_in + c..], 9 * c_in, taps, row_len);
                        continue;
                    }
                    // Where there are fewer, zeros stand for the others.
                    few.fill(0);
                    let rows = weight.chunks_exact(9 * c_in).take(S::LANES);
                    for (few, row) in few.chunks_exact_mut(row_len).zip(rows) {
                        let row = &row[tap * c_in..][c.min(c_in)..(c + row_len).min(c_in)];
                        few[..row.len()].copy_from_slice(row);
                    }
                    simd.interleave_all(&few, row_len, taps, row_len);
                }
                for pair in 0..S::LANES {
                    let mut columns = [[simd.splat_pair([0; 2]); SIDE]; 3];
                    for x in 0..3 {
                        let mut column = columns[x];
                        for y in 0..3 {
                            column[y] = simd.load_i16(&taps[3 * y + x][pair * row_len..]);
                        }
                        columns[x] = T::filter(simd, [column[0], column[1], column[2]]);
                    }
                    let strip = &mut strip[(c / 2 + pair) * 2 * nr + 2 * (output - first)..];
                    for y in 0..T::ALPHA {
                        let row = T::filter(simd, [columns[0][y], columns[1][y], columns[2][y]]);
                        for (x, v) in row.into_iter().enumerate().take(T::ALPHA) {
                            simd.store_i16(v, &mut strip[(y * T::ALPHA + x) * depth * nr..]);
                        }
                    }
                }
            }
        }
    }
}

/// Transforms the inputs of rows of tiles.
struct Forth<'a, 'v, T> {
    way: Winograd<T>,
    widened: &'a [i16],
    first: usize,
    block: usize,
    /// `[place][tile][channel]`
    inputs: &'v mut [i16],
}

impl<T: Transform> Kernel for Forth<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { way, widened, first, block, inputs } = self;
        let (image, cols) = (way.image(S::LANES), way.tiles().1);
        let (depth, row_len) = (image.depth, image.cols * image.depth);
        let place_len = way.apart() * depth;
        for t in 0..block * cols {
            let (ty, tx) = (first + t / cols, t % cols);
            for c in (0..depth).step_by(2 * S::LANES) {
                let mut tile = [[simd.splat_pair([0; 2]); SIDE]; SIDE];
                for x in 0..T::ALPHA {
                    let mut column = [simd.splat_pair([0; 2]); SIDE];
                    for y in 0..T::ALPHA {
                        let row = &widened[(T::OUT * ty + y) * row_len + (T::OUT * tx + x) * depth + c..];
                        column[y] = simd.load_i16(row);
                    }
                    let column = T::input(simd, column);
                    for y in 0..T::ALPHA {
                        tile[y][x] = column[y];
                    }
                }
                let inputs = &mut inputs[t * depth + c..];
                for y in 0..T::ALPHA {
                    for (x, v) in T::input(simd, tile[y]).into_iter().enumerate().take(T::ALPHA) {
                        simd.store_i16(v, &mut inputs[(y * T::ALPHA + x) * place_len..]);
                    }
                }
            }
        }
    }
}

/// The products of a strip of output channels.
struct Part<'a, 'p> {
    inputs: &'a [i16],
    strip: &'a [i16],
    /// `[place][tile][NV · LANES]`
    sums: &'p mut [i32],
    depth: usize,
    apart: usize,
    places: usize,
    range: (usize, usize),
}

/// Tiles `range` in panels of `M`, all places.
struct Products<'a, 'p, const M: usize>(Part<'a, 'p>);

impl<const M: usize> Kernel for Products<'_, '_, M> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Part { inputs, strip, sums, depth, apart, places, range: (from, to) } = self.0;
        let (nr, pairs) = (NV * S::LANES, depth / 2);
        for place in 0..places {
            let strip = &strip[place * depth * nr..][..depth * nr];
            for t in (from..to).step_by(M) {
                let mut rows: [&[[i16; 2]]; M] = [&[]; M];
                for i in 0..M {
                    rows[i] = inputs[(place * apart + t + i) * depth..][..2 * pairs].as_chunks().0;
                }
                let mut acc = [[simd.splat_i32(0); NV]; M];
                for (p, w) in strip.chunks_exact(2 * nr).enumerate().take(pairs) {
                    let mut weights = [simd.load_i16(w); NV];
                    for j in 1..NV {
                        weights[j] = simd.load_i16(&w[2 * j * S::LANES..]);
                    }
                    for i in 0..M {
                        let pair = simd.splat_pair(rows[i][p]);
                        for j in 0..NV {
                            acc[i][j] = simd.dot_pairs(pair, weights[j], acc[i][j]);
                        }
                    }
                }
                for i in 0..M {
                    let out = &mut sums[(place * apart + t + i) * nr..][..nr];
                    for j in 0..NV {
                        simd.store_i32(acc[i][j], &mut out[j * S::LANES..]);
                    }
                }
            }
        }
    }
}

/// Transforms back a strip of output channels of rows of tiles.
struct Back<'a, 'o, T, C> {
    way: Winograd<T>,
    sums: &'a [i32],
    out: &'o mut C,
    /// First row of tiles, and how many.
    rows: (usize, usize),
    image: usize,
    channel: usize,
}

impl<T: Transform, C: Sink> Kernel for Back<'_, '_, T, C> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { way, sums, out, rows: (first, block), image, channel } = self;
        let (Conv { c_out, oh, ow, .. }, cols, nr) = (way.conv, way.tiles().1, NV * S::LANES);
        for t in 0..block * cols {
            let (y, x) = (T::OUT * (first + t / cols), T::OUT * (t % cols));
            for part in 0..NV {
                let channel = channel + part * S::LANES;
                if channel >= c_out {
                    continue;
                }
                let sums = &sums[t * nr + part * S::LANES..];
                let mut half = [[simd.splat_i32(0); SIDE]; SIDE];
                for x in 0..T::ALPHA {
                    let mut column = [simd.splat_i32(0); SIDE];
                    for y in 0..T::ALPHA {
                        column[y] = simd.load_i32(&sums[(y * T::ALPHA + x) * way.apart() * nr..]);
                    }
                    let column = T::output(simd, column);
                    for y in 0..T::OUT {
                        half[y][x] = column[y];
                    }
                }
                for dy in 0..T::OUT.min(oh - y) {
                    let row = T::output(simd, half[dy]);
                    for dx in 0..T::OUT.min(ow - x) {
                        let sum = T::finish(simd, row[dx]);
                        let pixel = (image * oh + y + dy) * ow + x + dx;
                        if channel + S::LANES <= c_out {
                            out.put_registers(simd, pixel, channel, [[sum]]);
                        } else {
                            out.put_part(simd, pixel, (channel, c_out - channel), [[sum]]);
                        }
                    }
                }
            }
        }
    }
}

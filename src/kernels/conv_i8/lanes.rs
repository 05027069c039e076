//! Groups of few channels, depthwise convolutions among them: lanes are output channels of many groups, each with pairs of its own, which
//! are laid side by side as the rows are widened.

use super::Input;
use super::strips::Strips;
use super::tile::{self, Own};
use crate::kernels::Isa;
use crate::kernels::conv::Conv;
use crate::kernels::gemm_i8::sink::Sink;
use crate::kernels::gemm_i8::tile::NV;
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};
use core::marker::PhantomData;

/// Most output channels of a group, as `benches/thresholds.rs` measures:
/// half a register of AVX2, which [`Direct`](super::direct::Direct) would leave empty.
const GROUP_OUT: usize = 4;
/// Most weights of a group for each place of the kernel: as many elements are laid side by side for each pixel.
const GROUP: usize = 32;

/// Any kernel, stride and padding, groups of few channels.
#[derive(Clone, Copy)]
pub(super) struct Lanes {
    conv: Conv,
}

impl Lanes {
    /// `None` for larger groups, and where the rows would not fit in memory.
    pub(super) const fn of(conv: &Conv) -> Option<Self> {
        let (group_in, group_out) = conv.group();
        if group_out > GROUP_OUT || group_in * group_out > GROUP { None } else { Self::possible(conv) }
    }

    /// `None` for a single group, and where the rows would not fit in memory.
    pub(super) const fn possible(conv: &Conv) -> Option<Self> {
        if conv.groups == 1 {
            return None;
        }
        let group_in = conv.group().0;
        let elements = 2 * NV as u64 * MAX_LANES as u64; // of a register's place, times those of the strips that there are at most
        let strips = conv.c_out.div_ceil(NV * MAX_LANES) as u64;
        let row = (conv.w as u64 + 2 * conv.padding as u64).saturating_mul(group_in as u64);
        let all = elements.saturating_mul(strips).saturating_mul(row).saturating_mul(conv.kh as u64);
        if all > isize::MAX as u64 / 16 { None } else { Some(Self { conv: *conv }) }
    }

    const fn strips(&self, lanes: usize) -> Strips {
        Strips::of(&self.conv, self.conv.c_out, lanes)
    }

    const fn rows(&self, width: usize) -> Rows {
        let Conv { w, padding, kh, .. } = self.conv;
        let channels = self.conv.group().0;
        let every = if channels.is_multiple_of(2) { 2 } else { 1 };
        Rows { conv: self.conv, width, every, pairs: (w + 2 * padding) * channels / every, count: kh }
    }

    /// Elements of scratch, two of ours in each.
    pub(super) const fn scratch_len(&self) -> usize {
        let strips = self.strips(MAX_LANES);
        (strips.all() + strips.count * self.rows(strips.width).len()).div_ceil(2)
    }

    pub(super) fn run<C: Sink>(&self, isa: Isa, input: Input<'_>, weight: &[i8], out: C, scratch: &mut [i32]) {
        isa.for_channels(self.conv.c_out).run(Images { way: *self, input, weight, out, scratch });
    }
}

struct Images<'a, 's, C> {
    way: Lanes,
    input: Input<'a>,
    weight: &'a [i8],
    out: C,
    scratch: &'s mut [i32],
}

impl<C: Sink> Kernel for Images<'_, '_, C> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let (conv, strips) = (self.way.conv, self.way.strips(S::LANES));
        let rows = self.way.rows(strips.width);
        let scratch: &mut [i16] = bytemuck::cast_slice_mut(self.scratch);
        let (packed, scratch) = scratch.split_at_mut(strips.all());
        let packed = strips.pack(self.weight, packed);
        for (n, bytes) in self.input.bytes.chunks_exact(conv.h * conv.w * conv.c_in).enumerate() {
            let mut filled = 0;
            for y in 0..conv.oh {
                let (top, bottom) = (y * conv.stride, y * conv.stride + conv.kh);
                let all = packed.chunks_exact(strips.len).zip(scratch.chunks_exact_mut(rows.len()));
                for (s, (strip, image)) in all.enumerate() {
                    let channel = s * strips.width;
                    let at = (channel, strips.width.min(conv.c_out - channel));
                    for r in top.max(filled)..bottom {
                        let dst = &mut image[r % rows.count * rows.row_len()..][..rows.row_len()];
                        let line = r.checked_sub(conv.padding).filter(|line| *line < conv.h);
                        let line = line.map(|line| &bytes[line * conv.w * conv.c_in..][..conv.w * conv.c_in]);
                        simd.outline(Fill { rows, line, around: self.input.zero_point, at, dst });
                    }
                    let row = tile::Rows {
                        out: &mut self.out,
                        image: &*image,
                        row_len: rows.row_len(),
                        top: top % rows.count,
                        stride: conv.stride,
                        step: conv.stride * conv.group().0 / rows.every * 2 * strips.width,
                        apart: 2 / rows.every * 2 * strips.width,
                        pairs: PhantomData::<Own>,
                        strip,
                        strips,
                        first: (n * conv.oh + y) * conv.ow,
                        count: 1,
                        cols: conv.ow,
                        at,
                    };
                    row.run(simd);
                }
                filled = bottom;
            }
        }
    }
}

/// Rows of the padded image as a strip of output channels sees them, `[pairs][width][2]`, as many as the kernel has: a row of the image
/// takes the place of that many rows above.
///
/// In a row the columns and the channels of a group follow each other. An even number of channels makes pairs of two; of an odd number,
/// pairs begin at any, so that each is in two.
#[derive(Clone, Copy)]
struct Rows {
    conv: Conv,
    width: usize,
    /// Elements from the beginning of one pair to that of the next: 1 or 2.
    every: usize,
    pairs: usize,
    count: usize,
}

impl Rows {
    const fn row_len(&self) -> usize {
        self.pairs * 2 * self.width
    }

    const fn len(&self) -> usize {
        self.count * self.row_len()
    }
}

/// Lays out one row for some output channels.
struct Fill<'a, 'd> {
    rows: Rows,
    /// The row of the image, if there is one here.
    line: Option<&'a [i8]>,
    around: i8,
    /// First channel, and how many.
    at: (usize, usize),
    dst: &'d mut [i16],
}

impl Kernel for Fill<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, _simd: S) {
        let Self { rows: Rows { conv, width, every, .. }, line, around, at: (channel, cols), dst } = self;
        let Some(line) = line else {
            return dst.fill(around.into());
        };
        let (group_in, group_out) = conv.group();
        // Where each lane's channels begin in a pixel; lanes that no channel has see those of the first.
        let mut firsts = [channel / group_out * group_in; NV * MAX_LANES];
        for (lane, first) in firsts.iter_mut().enumerate().take(cols) {
            *first = (channel + lane) / group_out * group_in;
        }
        let in_order = (group_in, group_out) == (1, 1) && cols == NV * S::LANES;
        let mut dst = dst.chunks_exact_mut(2 * width);
        let mut left = [around; NV * MAX_LANES];
        for x in 0..conv.w + 2 * conv.padding {
            let inside = x >= conv.padding && x < conv.padding + conv.w;
            let pixel = if inside { &line[(x - conv.padding) * conv.c_in..][..conv.c_in] } else { &[] };
            for c in 0..group_in {
                let mut right = [around; NV * MAX_LANES];
                if inside && in_order {
                    // Neighbouring channels stay neighbours.
                    right[..NV * S::LANES].copy_from_slice(&pixel[channel..][..NV * S::LANES]);
                } else if inside {
                    for (byte, first) in right.iter_mut().zip(&firsts).take(NV * S::LANES) {
                        *byte = pixel[first + c];
                    }
                }
                // A pair ends here: at every element but the first, or at every second one.
                if (every == 1 && x + c > 0) || (every == 2 && c % 2 == 1) {
                    zip::<S>(&left, &right, dst.next());
                }
                left = right;
            }
        }
        // Of an odd number of channels, one pair is left; a zero weight meets what it ends in.
        zip::<S>(&left, &left, dst.next());
    }
}

/// Pairs of a byte of `left` and one of `right`.
#[inline(always)]
fn zip<S: Simd>(left: &[i8; NV * MAX_LANES], right: &[i8; NV * MAX_LANES], dst: Option<&mut [i16]>) {
    let Some(dst) = dst else {
        return;
    };
    let dst: &mut [[i16; 2]] = dst[..2 * NV * S::LANES].as_chunks_mut().0;
    for ((dst, left), right) in dst.iter_mut().zip(left).zip(right) {
        *dst = [i16::from(*left), i16::from(*right)];
    }
}

//! Register tiles: some pixels of a row of the output, by a strip of output channels.

use super::strips::Strips;
use crate::kernels::arch::band::Band;
use crate::kernels::cut::Panels;
use crate::kernels::gemm_i8::sink::Sink;
use crate::kernels::gemm_i8::tile::{MR, NV};
use crate::kernels::simd::{Kernel, Simd};
use core::marker::PhantomData;

/// How the output channels of a strip meet the pairs of a pixel.
pub(super) trait Pairs: Copy {
    /// Elements that `registers` registers of channels read for one pair.
    fn width(registers: usize, lanes: usize) -> usize;
    /// The pair, for each of `N` registers.
    fn read<S: Simd, const N: usize>(simd: S, pair: &[i16]) -> [S::I16; N];
}

/// All channels see the same pair.
#[derive(Clone, Copy)]
pub(super) struct Shared;

impl Pairs for Shared {
    #[inline(always)]
    fn width(_registers: usize, _lanes: usize) -> usize {
        2
    }
    #[inline(always)]
    fn read<S: Simd, const N: usize>(simd: S, pair: &[i16]) -> [S::I16; N] {
        [simd.splat_pair([pair[0], pair[1]]); N]
    }
}

/// Every channel sees a pair of its own: they lie side by side.
#[derive(Clone, Copy)]
pub(super) struct Own;

impl Pairs for Own {
    #[inline(always)]
    fn width(registers: usize, lanes: usize) -> usize {
        2 * registers * lanes
    }
    #[inline(always)]
    fn read<S: Simd, const N: usize>(simd: S, pair: &[i16]) -> [S::I16; N] {
        let mut pairs = [simd.load_i16(pair); N];
        for j in 1..N {
            pairs[j] = simd.load_i16(&pair[2 * j * S::LANES..]);
        }
        pairs
    }
}

/// Rows of the output, and what they are computed from.
pub(super) struct Rows<'p, C, P> {
    pub(super) out: &'p mut C,
    /// Rows of the image, widened, `row_len` apart; after the last the first follows.
    pub(super) image: &'p [i16],
    pub(super) row_len: usize,
    /// The row that the first of the kernel meets, and how many lie between those of two rows of the output.
    pub(super) top: usize,
    pub(super) stride: usize,
    /// Elements from what one pixel of the output sees to what the next one sees.
    pub(super) step: usize,
    /// Elements from one of the pairs that a pixel sees to the next.
    pub(super) apart: usize,
    pub(super) pairs: PhantomData<P>,
    pub(super) strip: &'p [i16],
    pub(super) strips: Strips,
    /// The first pixel in the output, how many rows follow from there, and pixels of each.
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) cols: usize,
    /// First channel, and how many.
    pub(super) at: (usize, usize),
}

impl<C: Sink, P: Pairs> Rows<'_, C, P> {
    #[inline(always)]
    pub(super) fn run<S: Simd>(mut self, simd: S) {
        let panels = Panels::of(self.cols, MR);
        let wide = self.at.1 > S::LANES;
        for (from, to) in [(0, panels.taller), (panels.taller, panels.count)] {
            if from >= to {
                continue;
            }
            let range = (panels.start(from), panels.start(to));
            let rows = self.reborrow();
            match (panels.height(from), wide) {
                (5, true) => simd.outline(Pixels::<C, P, 5, NV>(rows, range)),
                (4, true) => simd.outline(Pixels::<C, P, 4, NV>(rows, range)),
                (3, true) => simd.outline(Pixels::<C, P, 3, NV>(rows, range)),
                (2, true) => simd.outline(Pixels::<C, P, 2, NV>(rows, range)),
                (_, true) => simd.outline(Pixels::<C, P, 1, NV>(rows, range)),
                (5, _) => simd.outline(Pixels::<C, P, 5, 1>(rows, range)),
                (4, _) => simd.outline(Pixels::<C, P, 4, 1>(rows, range)),
                (3, _) => simd.outline(Pixels::<C, P, 3, 1>(rows, range)),
                (2, _) => simd.outline(Pixels::<C, P, 2, 1>(rows, range)),
                _ => simd.outline(Pixels::<C, P, 1, 1>(rows, range)),
            }
        }
    }

    #[inline(always)]
    fn reborrow(&mut self) -> Rows<'_, C, P> {
        Rows { out: &mut *self.out, ..*self }
    }
}

/// Columns `.1.0..1.1` of the output in panels of `M` pixels, of whose channels `N` registers count.
struct Pixels<'p, C, P, const M: usize, const N: usize>(Rows<'p, C, P>, (usize, usize));

impl<C: Sink, P: Pairs, const M: usize, const N: usize> Kernel for Pixels<'_, C, P, M, N> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self(rows, (from, to)) = self;
        let Rows { out, image, row_len, step, apart, strip, strips, at: (channel, channels), .. } = rows;
        let (pairs, width) = (strips.pairs, NV * S::LANES);
        for y in 0..rows.count {
            for x in (from..to).step_by(M) {
                let mut acc = [[simd.splat_i32(0); N]; M];
                let mut line = (rows.top + y * rows.stride) * row_len;
                for strip in strip.chunks_exact(pairs * 2 * width) {
                    let row = &image[line + x * step..];
                    for (p, w) in strip.chunks_exact(2 * width).enumerate().take(pairs) {
                        let pixels = Band::new(&row[p * apart..], M, P::width(N, S::LANES), step);
                        let mut weights = [simd.load_i16(w); N];
                        for j in 1..N {
                            weights[j] = simd.load_i16(&w[2 * j * S::LANES..]);
                        }
                        for i in 0..M {
                            let pixel = P::read::<S, N>(simd, pixels.row(i));
                            for j in 0..N {
                                acc[i][j] = simd.dot_pairs(pixel[j], weights[j], acc[i][j]);
                            }
                        }
                    }
                    line += row_len;
                    if line + row_len > image.len() {
                        line = 0;
                    }
                }
                let first = rows.first + y * rows.cols + x;
                if channels == N * S::LANES {
                    out.put_registers(simd, first, channel, acc);
                } else {
                    out.put_part(simd, first, (channel, channels), acc);
                }
            }
        }
    }
}

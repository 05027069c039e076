//! Blocks of a packed product: how `k` is cut, and one strip of B times all packed panels of A.

use super::tile::{self, Finish, MR, NV, Rows, strip_cols};
use crate::kernels::Epilogue;
use crate::kernels::arch::split::Tile;
use crate::kernels::cut::{Panels, even};
use crate::kernels::element::Element;
use crate::kernels::simd::{Kernel, Simd};

/// Longest block of `k`, measured best of 200 to 1000: a strip of 640 x 16 floats (40 KiB) comes in part from the second cache,
/// which keeps up, while C is read and written less often.
const KC: usize = 640;

/// Runs a kernel, which may name its height, in a function of its own for each.
macro_rules! by_height {
    ($simd:ident, $height:expr, $m:ident => $kernel:expr) => {
        match $height {
            MR.. => by_height!(@ $simd, MR, $m => $kernel),
            5 => by_height!(@ $simd, 5, $m => $kernel),
            4 => by_height!(@ $simd, 4, $m => $kernel),
            3 => by_height!(@ $simd, 3, $m => $kernel),
            2 => by_height!(@ $simd, 2, $m => $kernel),
            _ => by_height!(@ $simd, 1, $m => $kernel),
        }
    };
    (@ $simd:ident, $height:expr, $m:ident => $kernel:expr) => {{
        const $m: usize = $height;
        $simd.outline($kernel)
    }};
}

/// Steps of `k` in a block.
pub(super) const fn k_step(k: usize) -> usize {
    even(k, KC, 1)
}

/// The blocks of `step` of `k`, as `from..to`; one empty block if `k` is 0, so that C is still written.
#[inline(always)]
pub(super) fn k_blocks(k: usize, step: usize) -> KBlocks {
    KBlocks { k, step, at: 0, done: false }
}

/// Iterator of [`k_blocks`].
pub(super) struct KBlocks {
    k: usize,
    step: usize,
    at: usize,
    done: bool,
}

impl Iterator for KBlocks {
    type Item = (usize, usize);
    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        if self.done {
            return None;
        }
        let range = (self.at, (self.at + self.step).min(self.k));
        self.at = range.1;
        self.done = self.at == self.k;
        Some(range)
    }
}

/// The panels of A in one block of `k`, as a strip of B meets them.
#[derive(Clone, Copy)]
pub(super) struct Blocks<'p> {
    pub(super) a: Left<'p>,
    pub(super) kc: usize,
    pub(super) panels: Panels,
    pub(super) accumulate: bool,
}

/// The panels of A: packed one after the other, or rows where they are, `stride` apart, from the first panel's on.
#[derive(Clone, Copy)]
pub(super) enum Left<'p> {
    Packed(&'p [f32]),
    InPlace { rows: &'p [f32], stride: usize },
}

/// A strip of B: packed already, or to be packed from its rows, `stride` apart, while the first panel meets it.
pub(super) enum Strip<'p, T> {
    Packed(&'p [f32]),
    Fresh { packed: &'p mut [f32], rows: &'p [T], stride: usize },
}

impl<'p> Blocks<'p> {
    /// Computes `cols` columns of C from `col`, in the rows from `row` that the panels cover.
    #[inline(always)]
    pub(super) fn column<S: Simd, T: Element>(
        &self,
        simd: S,
        c: &mut Tile<'_>,
        row: usize,
        (col, cols): (usize, usize),
        strip: Strip<'p, T>,
        finish: Option<Epilogue<'_>>,
    ) {
        let (strip, first) = match strip {
            Strip::Packed(strip) => (strip, 0),
            Strip::Fresh { packed, rows, stride } => {
                if self.panels.count > 0 {
                    let c = c.reborrow();
                    let (blocks, b) = (*self, &mut *packed);
                    let height = self.panels.height(0);
                    if const { tile::strip(S::LANES) > NV } {
                        by_height!(simd, height, M => First::<T, M, { 2 * NV }> { blocks, c, row, col, packed: b, rows, stride });
                    } else {
                        by_height!(simd, height, M => First::<T, M, NV> { blocks, c, row, col, packed: b, rows, stride });
                    }
                }
                (&*packed, 1)
            }
        };
        let taller = self.panels.taller.max(first);
        for (from, to) in [(first, taller), (taller, self.panels.count)] {
            if from >= to {
                continue;
            }
            let c = c.reborrow();
            let blocks = *self;
            let height = self.panels.height(from);
            match cols.div_ceil(S::LANES) {
                4 if const { tile::strip(S::LANES) > NV } => {
                    by_height!(simd, height, M => Column::<M, 4> { blocks, strip, from, to, c, row, col, cols });
                }
                3 if const { tile::strip(S::LANES) > NV } => {
                    by_height!(simd, height, M => Column::<M, 3> { blocks, strip, from, to, c, row, col, cols });
                }
                2 => by_height!(simd, height, M => Column::<M, 2> { blocks, strip, from, to, c, row, col, cols }),
                _ => by_height!(simd, height, M => Column::<M, 1> { blocks, strip, from, to, c, row, col, cols }),
            }
        }
        if let Some(epilogue) = finish
            && Finish::is_needed(&epilogue)
        {
            let rows = (row, row + self.panels.start(self.panels.count));
            simd.outline(Finish { c: c.reborrow(), rows, cols: (col, col + cols), epilogue });
        }
    }
}

/// Panels `from..to`, all `M` high, times one packed strip, of which `N` registers count.
struct Column<'p, 'c, const M: usize, const N: usize> {
    blocks: Blocks<'p>,
    strip: &'p [f32],
    from: usize,
    to: usize,
    c: Tile<'c>,
    row: usize,
    col: usize,
    cols: usize,
}

impl<const M: usize, const N: usize> Kernel for Column<'_, '_, M, N> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let Blocks { a, kc, panels, accumulate } = self.blocks;
        let first = panels.start(self.from);
        let count = self.to - self.from;
        match a {
            Left::Packed(packed) => {
                let packed = &packed[first * kc..][..count * M * kc];
                for i in 0..count {
                    let row = self.row + first + i * M;
                    tile::prefetch::<S, M, N>(simd, &mut self.c, row, self.col);
                    let acc = tile::packed::<S, M, N>(simd, &packed[i * M * kc..][..M * kc], self.strip);
                    tile::store(simd, acc, &mut self.c, (row, self.col, self.cols), accumulate);
                }
            }
            Left::InPlace { rows, stride } => {
                for i in 0..count {
                    let row = self.row + first + i * M;
                    tile::prefetch::<S, M, N>(simd, &mut self.c, row, self.col);
                    let a = &rows[(first + i * M) * stride..];
                    let acc = tile::half_packed::<S, M, N>(simd, a, stride, (self.strip, strip_cols(S::LANES)), kc);
                    tile::store(simd, acc, &mut self.c, (row, self.col, self.cols), accumulate);
                }
            }
        }
    }
}

/// The first panel, `M` high, times a full strip that is packed on the way: its loads are needed anyway.
struct First<'p, 'c, 's, T, const M: usize, const N: usize> {
    blocks: Blocks<'p>,
    c: Tile<'c>,
    row: usize,
    col: usize,
    packed: &'s mut [f32],
    rows: &'s [T],
    stride: usize,
}

impl<T: Element, const M: usize, const N: usize> Kernel for First<'_, '_, '_, T, M, N> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let Blocks { a, kc, accumulate, .. } = self.blocks;
        let acc = match a {
            Left::Packed(packed) => {
                tile::packing::<S, T, M, N>(simd, Rows::Packed(packed), self.rows, self.stride, self.packed, kc)
            }
            Left::InPlace { rows, stride } => tile::packing::<S, T, M, N>(
                simd,
                Rows::Contiguous { data: rows, stride },
                self.rows,
                self.stride,
                self.packed,
                kc,
            ),
        };
        tile::store(simd, acc, &mut self.c, (self.row, self.col, N * S::LANES), accumulate);
    }
}

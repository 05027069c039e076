//! Register tiles of 32-bit sums: panels of rows of `x` by a strip of weights.

use super::sink::Sink;
use super::step::Step;
use crate::kernels::cut::Panels;
use crate::kernels::simd::{Kernel, Simd};
use core::marker::PhantomData;

/// Rows of the tallest tile.
pub(in crate::kernels) const MR: usize = 5;
/// Registers in a row of a tile: 5 x 2 sums, 2 loads and 1 broadcast leave AVX2 three for products, which measured faster than one.
pub(in crate::kernels) const NV: usize = 2;

/// Products of some registers of weights that come on top of those of the strip.
#[derive(Clone, Copy, Default)]
pub(super) struct Rest<'p> {
    /// The steps that they belong to.
    pub(super) steps: &'p [i32],
    /// A register for each.
    pub(super) weights: &'p [i32],
}

/// One strip of weights, and the packed rows that it meets.
pub(super) struct Part<'p, C> {
    pub(super) c: &'p mut C,
    /// Panels of `[steps][H]` words.
    pub(super) x: &'p [i32],
    /// `[steps][NV · LANES]` words.
    pub(super) strip: &'p [i32],
    /// What the sums of the columns start from.
    pub(super) start: &'p [i32],
    /// By registers of columns.
    pub(super) rest: [Rest<'p>; NV],
    pub(super) steps: usize,
    /// The row of `c` of the first packed one.
    pub(super) row: usize,
    /// First column, and how many.
    pub(super) at: (usize, usize),
}

impl<C: Sink> Part<'_, C> {
    /// The strip times all panels of `x`.
    #[inline(always)]
    pub(super) fn run<D: Step, S: Simd>(mut self, simd: S, panels: Panels) {
        let wide = self.at.1 > S::LANES;
        for (from, to) in [(0, panels.taller), (panels.taller, panels.count)] {
            if from >= to {
                continue;
            }
            let range = (panels.start(from), panels.start(to));
            let part = self.reborrow();
            match (panels.height(from), wide) {
                (5, true) => simd.outline(Column::<C, D, 5, NV>(part, range, PhantomData)),
                (4, true) => simd.outline(Column::<C, D, 4, NV>(part, range, PhantomData)),
                (3, true) => simd.outline(Column::<C, D, 3, NV>(part, range, PhantomData)),
                (2, true) => simd.outline(Column::<C, D, 2, NV>(part, range, PhantomData)),
                (_, true) => simd.outline(Column::<C, D, 1, NV>(part, range, PhantomData)),
                (5, _) => simd.outline(Column::<C, D, 5, 1>(part, range, PhantomData)),
                (4, _) => simd.outline(Column::<C, D, 4, 1>(part, range, PhantomData)),
                (3, _) => simd.outline(Column::<C, D, 3, 1>(part, range, PhantomData)),
                (2, _) => simd.outline(Column::<C, D, 2, 1>(part, range, PhantomData)),
                _ => simd.outline(Column::<C, D, 1, 1>(part, range, PhantomData)),
            }
        }
    }

    #[inline(always)]
    fn reborrow(&mut self) -> Part<'_, C> {
        let Self { ref mut c, x, strip, start, rest, steps, row, at } = *self;
        Part { c, x, strip, start, rest, steps, row, at }
    }
}

/// Rows `.1.0..1.1` in panels `M` high times the strip, of which `N` registers count.
struct Column<'p, C, D, const M: usize, const N: usize>(Part<'p, C>, (usize, usize), PhantomData<D>);

impl<C: Sink, D: Step, const M: usize, const N: usize> Kernel for Column<'_, C, D, M, N> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self(part, (from, to), _) = self;
        let (col, cols) = part.at;
        for row in (from..to).step_by(M) {
            part.c.prefetch::<S, M>(simd, part.row + row, col);
            let mut start = [simd.splat_i32(0); N];
            for j in 0..N {
                start[j] = simd.load_i32(&part.start[j * S::LANES..]);
            }
            let x = &part.x[row * part.steps..][..M * part.steps];
            let mut acc = tile::<D, S, M, N>(simd, x, part.strip, [start; M]);
            for j in 0..N {
                let Rest { steps, weights } = part.rest[j];
                for (step, w) in steps.iter().zip(weights.chunks_exact(S::LANES)) {
                    let (w, x) = (D::load(simd, w), &x[*step as usize * M..][..M]);
                    for i in 0..M {
                        acc[i][j] = D::dot(simd, D::splat(simd, x[i]), w, acc[i][j]);
                    }
                }
            }
            if cols == N * S::LANES {
                part.c.put_registers(simd, part.row + row, col, acc);
            } else {
                part.c.put_part(simd, part.row + row, (col, cols), acc);
            }
        }
    }
}

/// `acc[i][j] += Σₚ x[p][i] · w[p][j]`, words of `D`.
#[inline(always)]
fn tile<D: Step, S: Simd, const M: usize, const N: usize>(
    simd: S,
    x: &[i32],
    strip: &[i32],
    mut acc: [[S::I32; N]; M],
) -> [[S::I32; N]; M] {
    for (x, w) in x.as_chunks::<M>().0.iter().zip(strip.chunks_exact(NV * S::LANES)) {
        let mut row = [D::load(simd, w); N];
        for j in 1..N {
            row[j] = D::load(simd, &w[j * S::LANES..]);
        }
        for i in 0..M {
            let x = D::splat(simd, x[i]);
            for j in 0..N {
                acc[i][j] = D::dot(simd, x, row[j], acc[i][j]);
            }
        }
    }
    acc
}

//! Weights packed once for many products: four bytes of `k` to a word, which instruction sets multiply and add in one or two steps.

use super::packed::{GROUP, LINE};
use super::sink::{Bytes, Sink, Sums};
use super::step::{Pairs, Quads, Step};
use super::tile::{MR, NV, Part, Rest};
use super::{by_rows, check_shapes, pack};
use crate::error::ShapeError;
use crate::kernels::Isa;
use crate::kernels::arch::split::Tile;
use crate::kernels::cut::{Panels, even};
use crate::kernels::requantize::Requantize;
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};
use crate::view::{Mat, MatMut};

/// Weights as one instruction set likes to read them.
///
/// AVX2 adds two products of an unsigned and a signed byte in 16 bits, and saturates. So `x` is shifted to `0..=255`, and packing
/// proves for every such pair of weights that `|w₁| + |w₂| ≤ 128`, which keeps the sum of their products below `2¹⁵`. Pairs for which
/// that is false are cut in two that both obey it, and the register that holds the second part is multiplied on top: sums are exact.
/// Where more than a fifth of all registers would have to be, weights are widened to 16 bits instead, as
/// [`matmul_i32`](super::matmul_i32) does. Weights of 7 bits (`-64..=63`) always pass. Sets whose sums are wide need no proof.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'b> {
    isa: Isa,
    n: usize,
    k: usize,
    form: Form,
    words: &'b [i32],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Four bytes a word, and this many registers that are multiplied on top.
    Quads { extra: usize },
    /// Two numbers of 16 bits a word.
    Pairs,
}

/// One in so many registers may be multiplied on top: pairs of bytes measured 1.35 times as fast as pairs of 16 bits.
const EXTRA: usize = 5;

/// Where what lies in the buffer: starts of the sums, strips, ends of the lists of registers on top, steps, registers.
#[derive(Clone, Copy)]
struct Layout {
    lanes: usize,
    strips: usize,
    steps: usize,
}

impl Layout {
    const fn of(lanes: usize, n: usize, k: usize, depth: usize) -> Self {
        Self { lanes, strips: n.div_ceil(NV * lanes), steps: k.div_ceil(depth) }
    }
    const fn strip_len(&self) -> usize {
        self.steps.saturating_mul(NV * self.lanes)
    }
    /// Registers in all strips.
    const fn registers(&self) -> usize {
        self.strips.saturating_mul(NV).saturating_mul(self.steps)
    }
    const fn starts(&self) -> usize {
        self.strips.saturating_mul(NV * self.lanes)
    }
    const fn lists(&self) -> usize {
        self.strips.saturating_mul(NV)
    }
    /// Words, with `extra` registers on top.
    const fn len(&self, extra: usize) -> usize {
        let words = self.starts().saturating_add(self.registers().saturating_mul(self.lanes));
        words.saturating_add(self.lists()).saturating_add(extra.saturating_mul(1 + self.lanes))
    }
}

impl<'b> Weights<'b> {
    /// Words that [`pack`](Self::pack) needs for `w [n, k]`, at most.
    #[must_use]
    pub fn packed_len(isa: Isa, n: usize, k: usize) -> usize {
        let quads = Layout::of(isa.lanes(), n, k, Quads::DEPTH);
        quads.len(quads.registers() / EXTRA).max(Layout::of(isa.lanes(), n, k, Pairs::DEPTH).len(0))
    }

    /// Packs `w [n, k]`, by rows, into `buffer`, which needs [`packed_len`](Self::packed_len) words.
    ///
    /// # Errors
    /// [`ShapeError`] if `buffer` is too short, `w` is stored by columns, or `k` exceeds [`MAX_K`](super::MAX_K).
    #[inline]
    pub fn pack(isa: Isa, w: Mat<'_, i8>, buffer: &'b mut [i32]) -> Result<Self, ShapeError> {
        let (n, k) = (w.rows(), w.cols());
        check_shapes([0, n], [0, k], [n, k])?;
        let w = by_rows(w)?;
        let needed = Self::packed_len(isa, n, k);
        if buffer.len() < needed {
            return Err(ShapeError::TooShort { what: "the buffer of packed weights", needed, got: buffer.len() });
        }
        let form = match isa.run(Pack { w, words: buffer }) {
            Some(extra) => Form::Quads { extra },
            None => Form::Pairs,
        };
        Ok(Self { isa, n, k, form, words: buffer })
    }

    /// Whether the weights were widened to 16 bits.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.form == Form::Pairs
    }

    /// Words of scratch for a product with `m` rows.
    #[must_use]
    pub const fn scratch_len(&self, m: usize) -> usize {
        let panels = m.div_ceil(MR);
        let rows = if self.group(m) < panels { self.group(m) * MR } else { m };
        rows.saturating_mul(self.steps()).saturating_add(MAX_LANES + LINE)
    }

    /// Words of a row of `x`.
    const fn steps(&self) -> usize {
        self.k.div_ceil(match self.form {
            Form::Quads { .. } => Quads::DEPTH,
            Form::Pairs => Pairs::DEPTH,
        })
    }

    /// Panels of `x` in a group.
    const fn group(&self, m: usize) -> usize {
        let width = MR * if self.k == 0 { 1 } else { self.steps() };
        even(m.div_ceil(MR), if GROUP < width { 1 } else { GROUP / width }, 1)
    }

    /// `c = x·wᵀ`.
    ///
    /// # Shapes
    /// `x [m, k]`, by rows; `c [m, n]`; `scratch` is overwritten and needs [`scratch_len`](Self::scratch_len) words.
    /// # Accuracy
    /// Exact.
    /// # Errors
    /// As [`matmul_i32`](super::matmul_i32).
    #[inline]
    pub fn matmul_i32(&self, c: MatMut<'_, i32>, x: Mat<'_, i8>, scratch: &mut [i32]) -> Result<(), ShapeError> {
        let x = self.check([c.rows(), c.cols()], x, scratch)?;
        if x.rows() > 0 && self.n > 0 {
            self.isa.run(Product { c: Sums(Tile::whole(c)), x, w: *self, scratch });
        }
        Ok(())
    }

    /// `c = requantize(x·wᵀ)`, a channel a column.
    ///
    /// # Shapes
    /// As [`matmul_i32`](Self::matmul_i32); `requantize` has `n` channels.
    /// # Accuracy
    /// The integers of the formula of [`Requantize`], on every instruction set.
    /// # Errors
    /// As [`matmul`](super::matmul).
    #[inline]
    pub fn matmul(
        &self,
        c: MatMut<'_, i8>,
        x: Mat<'_, i8>,
        requantize: Requantize<'_>,
        scratch: &mut [i32],
    ) -> Result<(), ShapeError> {
        let x = self.check([c.rows(), c.cols()], x, scratch)?;
        requantize.check_channels(self.n)?;
        if x.rows() > 0 && self.n > 0 {
            self.isa.run(Product { c: Bytes(Tile::whole(c), requantize), x, w: *self, scratch });
        }
        Ok(())
    }

    fn check<'x>(&self, c: [usize; 2], x: Mat<'x, i8>, scratch: &[i32]) -> Result<Mat<'x, i8>, ShapeError> {
        check_shapes(c, [x.rows(), x.cols()], [self.n, self.k])?;
        let needed = self.scratch_len(x.rows());
        if scratch.len() < needed {
            return Err(ShapeError::TooShort { what: "the scratch of matmul", needed, got: scratch.len() });
        }
        by_rows(x)
    }
}

/// Returns the registers on top, or `None` if weights were widened.
struct Pack<'a, 'b> {
    w: Mat<'a, i8>,
    words: &'b mut [i32],
}

impl Kernel for Pack<'_, '_> {
    type Output = Option<usize>;
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) -> Option<usize> {
        let Self { w, words } = self;
        let (n, k, nr) = (w.rows(), w.cols(), NV * S::LANES);
        let layout = Layout::of(S::LANES, n, k, Quads::DEPTH);
        let (starts, rest) = words.split_at_mut(layout.starts());
        starts.fill(0);
        if S::UNSIGNED {
            for (start, row) in starts.iter_mut().zip(0..n) {
                let row = &w.data()[row * w.row_stride()..][..k];
                *start = -128 * row.iter().map(|w| i32::from(*w)).sum::<i32>();
            }
        }
        let extra = {
            let (strips, rest) = rest.split_at_mut(layout.strips * layout.strip_len());
            for (s, strip) in strips.chunks_exact_mut(layout.strip_len().max(1)).enumerate() {
                pack::quads(w, s * nr, nr, strip);
            }
            if S::NARROW {
                cut(layout, strips, rest)
            } else {
                rest[..layout.lists()].fill(0);
                Some(0)
            }
        };
        if extra.is_none() {
            starts.fill(0);
            let layout = Layout::of(S::LANES, n, k, Pairs::DEPTH);
            for (s, strip) in rest.chunks_exact_mut(layout.strip_len()).enumerate().take(layout.strips) {
                pack::strip(simd, w, s * nr, nr.min(n - s * nr), strip);
            }
        }
        extra
    }
}

/// Cuts pairs whose products could exceed 16 bits. Returns how many registers that made, or `None` if they are too many.
fn cut(layout: Layout, strips: &mut [i32], rest: &mut [i32]) -> Option<usize> {
    let (ends, rest) = rest.split_at_mut(layout.lists());
    let most = layout.registers() / EXTRA;
    let (steps, registers) = rest.split_at_mut(most);
    let mut made = 0;
    for (list, end) in ends.iter_mut().enumerate() {
        let strip = &mut strips[list / NV * layout.strip_len()..][..layout.strip_len()];
        for (step, words) in strip.chunks_exact_mut(NV * layout.lanes).enumerate() {
            let words = &mut words[list % NV * layout.lanes..][..layout.lanes];
            let narrow = |word: &i32| over(*word) == 0;
            if words.iter().all(narrow) {
                continue;
            }
            if made == most {
                return None;
            }
            steps[made] = step as i32;
            for (word, top) in words.iter_mut().zip(&mut registers[made * layout.lanes..]) {
                *top = over(*word);
                *word = under(*word, *top);
            }
            made += 1;
        }
        *end = made as i32;
    }
    Some(made)
}

/// What has to be taken off each byte of a word, so that the magnitudes of each pair add up to 128 at most.
fn over(word: i32) -> i32 {
    let [a, b, c, d]: [i8; 4] = bytemuck::cast(word);
    let take = |a: i8, b: i8| {
        let excess = (i32::from(a).abs() + i32::from(b).abs() - 128).max(0);
        // Of the larger magnitude: it is at least as large as the excess, which is at most 128.
        if a.unsigned_abs() >= b.unsigned_abs() { [signed(excess, a), 0] } else { [0, signed(excess, b)] }
    };
    let ([a, b], [c, d]) = (take(a, b), take(c, d));
    bytemuck::cast([a, b, c, d])
}

/// `excess` with the sign of `of`.
fn signed(excess: i32, of: i8) -> i8 {
    (if of < 0 { -excess } else { excess }) as i8 // 128 is only taken off -128
}

/// What is left of each byte.
fn under(word: i32, top: i32) -> i32 {
    let (word, top): ([i8; 4], [i8; 4]) = (bytemuck::cast(word), bytemuck::cast(top));
    bytemuck::cast::<[i8; 4], i32>(core::array::from_fn(|i| word[i] - top[i]))
}

/// `c = x · wᵀ`.
struct Product<'a, 's, C> {
    c: C,
    x: Mat<'a, i8>,
    w: Weights<'a>,
    scratch: &'s mut [i32],
}

impl<C: Sink> Kernel for Product<'_, '_, C> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        match self.w.form {
            Form::Quads { extra } => self.run::<Quads, S>(simd, extra),
            Form::Pairs => self.run::<Pairs, S>(simd, 0),
        }
    }
}

impl<C: Sink> Product<'_, '_, C> {
    #[inline(always)]
    fn run<D: Step, S: Simd>(mut self, simd: S, extra: usize) {
        let Weights { n, k, words, .. } = self.w;
        let (nr, m) = (NV * S::LANES, self.x.rows());
        let layout = Layout::of(S::LANES, n, k, D::DEPTH);
        let (starts, words) = words.split_at(layout.starts());
        let (strips, words) = words.split_at(layout.strips * layout.strip_len());
        // Words of pairs end here; packing left room for as many steps as there may be registers on top.
        let (ends, words) = words.split_at(if extra > 0 { layout.lists() } else { 0 });
        let (tops, registers) = words.split_at(if extra > 0 { layout.registers() / EXTRA } else { 0 });
        let start = self.scratch.as_ptr().align_offset(4 * LINE).min(LINE - 1);
        let (all, group) = (Panels::of(m, MR), self.w.group(m).max(1));
        let packed = &mut self.scratch[start..];
        for first in (0..all.count).step_by(group) {
            let panels = all.range(first, (first + group).min(all.count));
            let row = all.start(first);
            pack::group::<D, S>(simd, self.x, row, panels, packed);
            for s in 0..layout.strips {
                let col = s * nr;
                let mut rest = [Rest::default(); NV];
                if extra > 0 {
                    for j in 0..NV {
                        let list = s * NV + j;
                        let from = if list == 0 { 0 } else { ends[list - 1] as usize };
                        let to = ends[list] as usize;
                        rest[j] = Rest { steps: &tops[from..to], weights: &registers[from * S::LANES..to * S::LANES] };
                    }
                }
                let part = Part {
                    c: &mut self.c,
                    x: packed,
                    strip: &strips[s * layout.strip_len()..][..layout.strip_len()],
                    start: &starts[col..col + nr],
                    rest,
                    steps: layout.steps,
                    row,
                    at: (col, nr.min(n - col)),
                };
                part.run::<D, S>(simd, panels);
            }
        }
    }
}

//! One pass over slices, register by register: what element-wise kernels have in common.

use super::simd::{Kernel, Simd};
use core::ops::Range;

/// What an element-wise kernel reads at a place: a slice, the output before it is overwritten, or one number everywhere.
pub(super) trait Operand: Copy {
    /// The operand of elements `at` alone.
    fn cut(self, at: Range<usize>) -> Self;
    /// Elements `at`: a register of them, or fewer, then zeros or leftovers after them.
    fn load<S: Simd>(self, simd: S, out: &[f32], at: Range<usize>) -> S::F32;
}

impl Operand for &[f32] {
    #[inline(always)]
    fn cut(self, at: Range<usize>) -> Self {
        &self[at]
    }
    #[inline(always)]
    fn load<S: Simd>(self, simd: S, _out: &[f32], at: Range<usize>) -> S::F32 {
        load(simd, &self[at])
    }
}

/// The output itself: a kernel in place.
#[derive(Clone, Copy)]
pub(super) struct InPlace;

impl Operand for InPlace {
    #[inline(always)]
    fn cut(self, _at: Range<usize>) -> Self {
        self
    }
    #[inline(always)]
    fn load<S: Simd>(self, simd: S, out: &[f32], at: Range<usize>) -> S::F32 {
        load(simd, &out[at])
    }
}

impl Operand for f32 {
    #[inline(always)]
    fn cut(self, _at: Range<usize>) -> Self {
        self
    }
    #[inline(always)]
    fn load<S: Simd>(self, simd: S, _out: &[f32], _at: Range<usize>) -> S::F32 {
        simd.splat(self)
    }
}

/// A register of `src`, or the few elements that it has and zeros after them.
#[inline(always)]
pub(super) fn load<S: Simd>(simd: S, src: &[f32]) -> S::F32 {
    if src.len() == S::LANES { simd.load(src) } else { simd.load_partial(src) }
}

/// Writes as many lanes as `dst` has elements: at most a register.
#[inline(always)]
pub(super) fn store<S: Simd>(simd: S, v: S::F32, dst: &mut [f32]) {
    if dst.len() == S::LANES { simd.store(v, dst) } else { simd.store_partial(v, dst) }
}

/// A function of three elements: a trait, not a closure, so that it is compiled with the enabled instructions.
pub(super) trait Formula: Copy {
    fn of<S: Simd>(self, simd: S, x: S::F32, a: S::F32, b: S::F32) -> S::F32;
}

/// `out = formula(x, a, b)`, element by element. Slices are as long as `out`.
#[inline(always)]
pub(super) fn map<S: Simd, F: Formula>(
    simd: S,
    formula: F,
    x: impl Operand,
    (a, b): (impl Operand, impl Operand),
    out: &mut [f32],
) {
    let len = out.len();
    // The lengths are equal already; said here, the loop needs no check of its own.
    let (x, a, b) = (x.cut(0..len), a.cut(0..len), b.cut(0..len));
    let mut from = 0;
    while from + S::LANES <= len {
        let at = from..from + S::LANES;
        let (a, b) = (a.load(simd, out, at.clone()), b.load(simd, out, at.clone()));
        let v = formula.of(simd, x.load(simd, out, at.clone()), a, b);
        simd.store(v, &mut out[at]);
        from += S::LANES;
    }
    if from < len {
        let at = from..len;
        let (a, b) = (a.load(simd, out, at.clone()), b.load(simd, out, at.clone()));
        let v = formula.of(simd, x.load(simd, out, at.clone()), a, b);
        simd.store_partial(v, &mut out[at]);
    }
}

/// [`map`] as a kernel of its own.
pub(super) struct Map<'o, F, X, A, B> {
    pub(super) formula: F,
    pub(super) x: X,
    /// The second and the third operand.
    pub(super) with: (A, B),
    pub(super) out: &'o mut [f32],
}

impl<F: Formula, X: Operand, A: Operand, B: Operand> Kernel for Map<'_, F, X, A, B> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        map(simd, self.formula, self.x, self.with, self.out);
    }
}

/// `max(v, 0)` if `RELU`, else `v`; NaN stays NaN.
#[inline(always)]
pub(super) fn rectified<const RELU: bool, S: Simd>(simd: S, v: S::F32) -> S::F32 {
    if RELU { simd.relu(v) } else { v }
}

//! What a tile multiplies at a time: a word of `x` with a register of weights, two 16-bit numbers or four bytes to a word.

use crate::kernels::simd::Simd;

/// How words of packed operands are multiplied.
pub(in crate::kernels) trait Step {
    /// A word of `x`, in all lanes.
    type X<S: Simd>: Copy;
    /// A register of weights.
    type W<S: Simd>: Copy;
    /// `k` that one word holds.
    const DEPTH: usize;

    fn splat<S: Simd>(simd: S, x: i32) -> Self::X<S>;
    fn load<S: Simd>(simd: S, w: &[i32]) -> Self::W<S>;
    /// `acc[i] + Σ x[i][j] · w[i][j]` over the numbers of each word.
    fn dot<S: Simd>(simd: S, x: Self::X<S>, w: Self::W<S>, acc: S::I32) -> S::I32;
}

/// Two numbers of 16 bits.
pub(in crate::kernels) struct Pairs;

impl Step for Pairs {
    type X<S: Simd> = S::I16;
    type W<S: Simd> = S::I16;
    const DEPTH: usize = 2;

    #[inline(always)]
    fn splat<S: Simd>(simd: S, x: i32) -> S::I16 {
        simd.splat_pair(bytemuck::cast(x))
    }
    #[inline(always)]
    fn load<S: Simd>(simd: S, w: &[i32]) -> S::I16 {
        simd.load_i16(bytemuck::cast_slice(w))
    }
    #[inline(always)]
    fn dot<S: Simd>(simd: S, x: S::I16, w: S::I16, acc: S::I32) -> S::I32 {
        simd.dot_pairs(x, w, acc)
    }
}

/// Four bytes: those of `x` as [`Simd::UNSIGNED`] says.
pub(in crate::kernels) struct Quads;

impl Step for Quads {
    type X<S: Simd> = S::I8;
    type W<S: Simd> = S::I8;
    const DEPTH: usize = 4;

    #[inline(always)]
    fn splat<S: Simd>(simd: S, x: i32) -> S::I8 {
        simd.splat_quad(bytemuck::cast(x))
    }
    #[inline(always)]
    fn load<S: Simd>(simd: S, w: &[i32]) -> S::I8 {
        simd.load_i8(bytemuck::cast_slice(w))
    }
    #[inline(always)]
    fn dot<S: Simd>(simd: S, x: S::I8, w: S::I8, acc: S::I32) -> S::I32 {
        simd.dot_quads(x, w, acc)
    }
}

//! Dropout: elements are zeroed at random, and those kept made larger by as much as keeps the mean.
//!
//! Which are kept is a pure function of (seed, step, layer, position), the same bits on every instruction set and however a tensor is cut
//! into ranges: nothing is stored, and the gradient draws the same elements again.

mod threefry;

use super::Isa;
use super::map::{Formula, InPlace, Operand, map};
use super::simd::{Kernel, Simd};
use crate::error::ShapeError;
use threefry::threefry;

/// What chooses the elements of one tensor in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key([u32; 2]);

impl Key {
    /// Of step `step` of a run seeded by `seed`: another one in each of the 2⁶⁴ steps.
    #[must_use]
    pub const fn new(seed: u64, step: u64) -> Self {
        Self(threefry(words(seed), words(step)))
    }

    /// The key of one of several tensors of a step: another one for each of the 2⁶⁴ layers.
    #[must_use]
    pub const fn layer(self, layer: u64) -> Self {
        Self(threefry(self.0, words(layer)))
    }
}

/// The low half and the high half.
const fn words(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// Positions drawn at once.
const GROUP: usize = 32;
const HALF: usize = GROUP / 2;

/// `out = x / keep` where an element is kept, which happens with probability `keep`, and 0 elsewhere, even for NaN.
///
/// `offset` is the position of `x[0]` in the tensor of this `key`. The gradient of the loss by `x` is the same function of that by `out`.
///
/// Position `p` is kept if its word `w < 2³²·keep`. Of group `g = ⌊p / 32⌋`, positions `32·g + i` and `32·g + 16 + i` for `i < 16` have the
/// first and the second word of Threefry-2x32 of 13 rounds at counter `16·g + i`, low half first (Salmon, Moraes, Dror and Shaw,
/// *Parallel Random Numbers: As Easy as 1, 2, 3*, 2011). Their library Random123 takes 20 rounds by default and knows of no statistical
/// flaw from 13 on.
///
/// # Accuracy
/// `|error| ≤ γ·|x / keep|`, `γ = 2u / (1 − 2u)`, `u = 2⁻²⁴`; the same bits on every instruction set. The probability is exact from `2⁻⁹`
/// up, less than `2⁻³²` too large below, where `1 / keep` overflows in the end: under `2⁻¹²⁸`.
/// # Errors
/// [`ShapeError::Number`] if `keep` is not above 0 and at most 1, [`ShapeError::Length`] if the slices differ in length,
/// [`ShapeError::Overflow`] if a position would not fit in 64 bits.
#[cfg_attr(not(feature = "std"), inline)]
pub fn apply(isa: Isa, key: Key, offset: u64, keep: f32, x: &[f32], out: &mut [f32]) -> Result<(), ShapeError> {
    if x.len() != out.len() {
        return Err(ShapeError::Length { what: "the output of a dropout", expected: x.len(), got: out.len() });
    }
    applied(isa, key, offset, keep, x, out)
}

/// [`apply`] in place.
///
/// # Accuracy
/// As [`apply`].
/// # Errors
/// As [`apply`].
#[cfg_attr(not(feature = "std"), inline)]
pub fn apply_in_place(isa: Isa, key: Key, offset: u64, keep: f32, x: &mut [f32]) -> Result<(), ShapeError> {
    applied(isa, key, offset, keep, InPlace, x)
}

#[cfg_attr(not(feature = "std"), inline)]
fn applied(isa: Isa, key: Key, offset: u64, keep: f32, x: impl Operand, out: &mut [f32]) -> Result<(), ShapeError> {
    let limit = limit(keep)?;
    offset.checked_add(out.len() as u64).ok_or(ShapeError::Overflow)?;
    isa.run(Dropout { key, offset, limit, factor: 1.0 / keep, x, out });
    Ok(())
}

/// The largest word of an element that is kept.
fn limit(keep: f32) -> Result<u32, ShapeError> {
    if keep > 0.0 && keep <= 1.0 {
        let words = keep * 4_294_967_296.0; // exact: only the exponent changes
        let whole = words as u64;
        // All words below: of those below 2.5, the largest is 2.
        Ok((if words > whole as f32 { whole } else { whole - 1 }) as u32)
    } else {
        let (what, expected) = ("the probability of keeping an element", "a number above 0 and at most 1");
        Err(ShapeError::Number { what, expected, got: keep.to_bits() })
    }
}

struct Dropout<'o, X> {
    key: Key,
    offset: u64,
    limit: u32,
    factor: f32,
    x: X,
    out: &'o mut [f32],
}

impl<X: Operand> Kernel for Dropout<'_, X> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { key, offset, limit, factor, x, out } = self;
        let mut from = 0;
        while from < out.len() {
            let position = offset + from as u64;
            let skip = (position % GROUP as u64) as usize; // of the first group alone, unless the range starts with one
            let to = (from + GROUP - skip).min(out.len());
            let factors = factors(key, position / GROUP as u64, limit, factor);
            let factors = &factors[skip..skip + to - from];
            map(simd, Kept, x.cut(from..to), (factors, 0.0), &mut out[from..to]);
            from = to;
        }
    }
}

/// What each element of a group is multiplied by: `factor` if it is kept, else 0.
///
/// Plain arithmetic of independent lanes, of which the compiler makes vectors of the enabled instructions.
#[inline(always)]
fn factors(key: Key, group: u64, limit: u32, factor: f32) -> [f32; GROUP] {
    let [low, high] = words(group * HALF as u64);
    let mut factors = [0.0; GROUP];
    let (first, second) = factors.split_at_mut(HALF);
    for i in 0..HALF {
        let [a, b] = threefry(key.0, [low | i as u32, high]); // a multiple of 16: nothing is carried
        first[i] = if a <= limit { factor } else { 0.0 };
        second[i] = if b <= limit { factor } else { 0.0 };
    }
    factors
}

/// `x · factor`, and plain 0 where the factor is 0, whatever `x` is.
#[derive(Clone, Copy)]
struct Kept;

impl Formula for Kept {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::F32, factor: S::F32, _: S::F32) -> S::F32 {
        let zero = simd.splat(0.0);
        simd.select_lt(zero, factor, simd.mul(x, factor), zero)
    }
}

#[cfg(test)]
mod tests;

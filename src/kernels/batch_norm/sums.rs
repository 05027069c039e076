//! Mean and variance of every channel.

use super::Planes;
use crate::kernels::map::{Formula, InPlace, map};
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};

pub(super) struct Statistics<'a, 'o> {
    pub(super) planes: &'a Planes,
    pub(super) x: &'a [f32],
    pub(super) mean: &'o mut [f32],
    pub(super) variance: &'o mut [f32],
}

impl Kernel for Statistics<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { planes, x, mean, variance } = self;
        let &Planes { c, plane, .. } = planes;
        let count = planes.count() as f32;
        mean.fill(0.0);
        variance.fill(0.0);
        for sample in x.chunks_exact(c * plane) {
            if plane == 1 {
                map(simd, Add, InPlace, (sample, 0.0), mean);
                continue;
            }
            for (x, mean) in sample.chunks_exact(plane).zip(&mut *mean) {
                *mean += sum(simd, Values, x);
            }
        }
        for mean in &mut *mean {
            *mean /= count;
        }
        for sample in x.chunks_exact(c * plane) {
            if plane == 1 {
                map(simd, AddSquare, InPlace, (sample, &*mean), variance);
                continue;
            }
            for ((x, mean), variance) in sample.chunks_exact(plane).zip(&*mean).zip(&mut *variance) {
                *variance += sum(simd, Squares(*mean), x);
            }
        }
        for variance in variance {
            *variance /= count;
        }
    }
}

#[derive(Clone, Copy)]
struct Add;

impl Formula for Add {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, sum: S::F32, x: S::F32, _: S::F32) -> S::F32 {
        simd.add(sum, x)
    }
}

#[derive(Clone, Copy)]
struct AddSquare;

impl Formula for AddSquare {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, sum: S::F32, x: S::F32, mean: S::F32) -> S::F32 {
        let d = simd.sub(x, mean);
        simd.mul_add(d, d, sum)
    }
}

/// What is summed of every element; `there`, beside the last few, is 1 in the lanes that hold one and 0 after them.
trait Term: Copy {
    fn add<S: Simd>(self, simd: S, acc: S::F32, x: S::F32) -> S::F32;
    fn add_last<S: Simd>(self, simd: S, acc: S::F32, x: S::F32, there: S::F32) -> S::F32;
}

/// `x`
#[derive(Clone, Copy)]
struct Values;

impl Term for Values {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, acc: S::F32, x: S::F32) -> S::F32 {
        simd.add(acc, x)
    }
    #[inline(always)]
    fn add_last<S: Simd>(self, simd: S, acc: S::F32, x: S::F32, _there: S::F32) -> S::F32 {
        simd.add(acc, x)
    }
}

/// `(x − mean)²`
#[derive(Clone, Copy)]
struct Squares(f32);

impl Term for Squares {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, acc: S::F32, x: S::F32) -> S::F32 {
        let d = simd.sub(x, simd.splat(self.0));
        simd.mul_add(d, d, acc)
    }
    #[inline(always)]
    fn add_last<S: Simd>(self, simd: S, acc: S::F32, x: S::F32, there: S::F32) -> S::F32 {
        let d = simd.mul(simd.sub(x, simd.splat(self.0)), there); // an empty lane would count mean²
        simd.mul_add(d, d, acc)
    }
}

/// Marks the lanes of the last few elements of a plane, as many of these as there are.
const ONES: [f32; MAX_LANES] = [1.0; MAX_LANES];

/// `Σ term` over a plane: in four registers, so that no addition waits for the one before it, which are then added to one, and its lanes
/// by halves.
#[inline(always)]
fn sum<S: Simd, T: Term>(simd: S, term: T, x: &[f32]) -> f32 {
    let mut acc = [simd.splat(0.0); 4];
    let mut blocks = x.chunks_exact(4 * S::LANES);
    for x in &mut blocks {
        for j in 0..4 {
            acc[j] = term.add(simd, acc[j], simd.load(&x[j * S::LANES..]));
        }
    }
    let mut registers = blocks.remainder().chunks_exact(S::LANES);
    for x in &mut registers {
        acc[0] = term.add(simd, acc[0], simd.load(x));
    }
    let rest = registers.remainder();
    let there = simd.load_partial(&ONES[..rest.len()]);
    acc[1] = term.add_last(simd, acc[1], simd.load_partial(rest), there);
    simd.sum(simd.add(simd.add(acc[0], acc[1]), simd.add(acc[2], acc[3])))
}

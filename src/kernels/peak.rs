//! What the machine can do at most: the two limits that other figures are given as a share of.

use super::Isa;
use super::simd::{Kernel, MAX_LANES, Simd};

/// Independent sums of [`multiply_adds`]: enough to hide the latency of two multiply-adds a cycle.
const CHAINS: usize = 12;

/// Floating-point operations of `multiply_adds(isa, rounds)`, or the most that a `usize` holds.
#[must_use]
pub const fn multiply_adds_flops(isa: Isa, rounds: usize) -> usize {
    (2 * CHAINS * isa.lanes()).saturating_mul(rounds)
}

/// `rounds` rounds of multiply-adds in registers alone: the peak. The result is of no interest but keeps the work from being dropped.
#[must_use]
pub fn multiply_adds(isa: Isa, rounds: usize) -> f32 {
    struct Loop(usize);
    impl Kernel for Loop {
        type Output = f32;
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) -> f32 {
            let (factor, step) = (simd.splat(0.999), simd.splat(1e-9));
            let mut acc = [simd.splat(1.0); CHAINS];
            for _ in 0..self.0 {
                for a in &mut acc {
                    *a = simd.mul_add(*a, factor, step);
                }
            }
            let mut sum = simd.splat(0.0);
            for a in acc {
                sum = simd.add(sum, a);
            }
            simd.sum(sum)
        }
    }
    isa.run(Loop(rounds))
}

/// Sums of [`pair_products`]: two registers from memory by four that stay, measured best of the shapes that fit.
const PAIR_SUMS: usize = 8;
/// Steps that [`pair_products`] reads its factors for.
const STEPS: usize = 64;

/// Integer operations, multiplications and additions alike, of `pair_products(isa, rounds)`, or the most that a `usize` holds.
#[must_use]
pub const fn pair_products_ops(isa: Isa, rounds: usize) -> usize {
    (4 * PAIR_SUMS * isa.lanes() * STEPS).saturating_mul(rounds)
}

/// `rounds` rounds of 16-bit products summed in pairs to 32 bits, from a few numbers in the first cache: the peak of exact int8
/// arithmetic. The result is of no interest but keeps the work from being dropped.
#[must_use]
pub fn pair_products(isa: Isa, rounds: usize) -> i32 {
    struct Loop(usize);
    impl Kernel for Loop {
        type Output = i32;
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) -> i32 {
            let factors: [[[i16; 2 * MAX_LANES]; 2]; STEPS] =
                core::array::from_fn(|p| [[p as i16 - 31; 2 * MAX_LANES], [7; 2 * MAX_LANES]]);
            let b =
                [simd.splat_pair([3, -1]), simd.splat_pair([-2, 5]), simd.splat_pair([1, 1]), simd.splat_pair([4, -7])];
            let mut acc = [[simd.splat_i32(0); 4]; 2];
            for _ in 0..self.0 {
                // Hidden, or the products would be computed once, before the loop.
                for step in core::hint::black_box(&factors) {
                    for i in 0..2 {
                        let a = simd.load_i16(&step[i]);
                        for j in 0..4 {
                            acc[i][j] = simd.dot_pairs(a, b[j], acc[i][j]);
                        }
                    }
                }
            }
            let mut sum = simd.splat_i32(0);
            for a in acc.into_iter().flatten() {
                sum = simd.add_i32(sum, a);
            }
            simd.sum_i32(sum)
        }
    }
    isa.run(Loop(rounds))
}

/// Places that [`read`] reads at the same time. Caches fetch ahead for each: out of cache four are up to twice as fast as one, in the
/// second and third cache a tenth, and eight are no faster.
const STREAMS: usize = 4;
/// Registers that are read at each place in turn.
const UNROLL: usize = 2;

/// Reads all of `data` once, in four places at a time, and returns its sum: the speed of reading.
#[must_use]
pub fn read(isa: Isa, data: &[f32]) -> f32 {
    struct Read<'a>(&'a [f32]);
    impl Kernel for Read<'_> {
        type Output = f32;
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) -> f32 {
            let step = UNROLL * S::LANES;
            let part = self.0.len() / STREAMS / step * step;
            let (parts, rest) = self.0.split_at(STREAMS * part);
            let mut streams = [parts; STREAMS];
            for s in 0..STREAMS {
                streams[s] = &parts[s * part..][..part];
            }
            let mut acc = [[simd.splat(0.0); UNROLL]; STREAMS];
            for at in (0..part).step_by(step) {
                for s in 0..STREAMS {
                    let registers = &streams[s][at..at + step];
                    for u in 0..UNROLL {
                        acc[s][u] = simd.add(acc[s][u], simd.load(&registers[u * S::LANES..]));
                    }
                }
            }
            let mut sum = simd.splat(0.0);
            for a in acc.into_iter().flatten() {
                sum = simd.add(sum, a);
            }
            simd.sum(sum) + rest.iter().sum::<f32>()
        }
    }
    isa.run(Read(data))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_limits_do_the_work_they_claim() {
        for isa in Isa::available() {
            let rounds = 1000;
            let want = 12.0 * isa.lanes() as f32 * 0.999f32.powi(1000);
            assert!((multiply_adds(isa, rounds) - want).abs() < 1e-3 * want, "{isa}");
            let one: i32 = (0..64).map(|p| (p - 31 + 7) * (2 + 3 + 2 - 3)).sum();
            assert_eq!(pair_products(isa, 3), 3 * one * isa.lanes() as i32, "{isa}");
            let data: Vec<f32> = (0..1003).map(|i| (i % 7) as f32).collect();
            assert_eq!(read(isa, &data), data.iter().sum::<f32>(), "{isa}");
            assert_eq!(multiply_adds_flops(isa, usize::MAX), usize::MAX);
            assert_eq!(pair_products_ops(isa, usize::MAX), usize::MAX);
        }
    }
}

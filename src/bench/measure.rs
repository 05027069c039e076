//! From ways to rows: all ways of a case in turns with what the machine does at most.

use super::case::Case;
use super::cost::{Arithmetic, Bound, Cost};
use super::error::BenchError;
use super::row::Row;
use super::setup::Setup;
use super::timing::{Pace, interleaved};
use super::way::{Variant, Way};
use crate::kernels::{Isa, peak};
use std::hint::black_box;

/// Floats that are read to time memory: 256 MiB, more than caches hold.
const FAR: usize = 1 << 26;
/// Floats of the shortest reading that is timed, under which the call would be what is measured.
const NEAR: usize = 1 << 10;
/// Rounds of the loops that give the peaks: tens of microseconds.
const MULTIPLY_ADDS: usize = 20_000;
const PAIR_PRODUCTS: usize = 30;

/// What the machine does at most: the roofs over all figures.
#[derive(Clone, Copy, Debug)]
pub struct Peaks {
    /// The instruction set.
    pub isa: Isa,
    /// Threads of the last figure.
    pub threads: usize,
    /// 1e9 operations a second of multiply-adds in f32, on one thread.
    pub f32_gflops: f64,
    /// 1e9 operations a second of 16-bit products summed in pairs, on one thread.
    pub i16_gops: f64,
    /// 1e9 bytes a second read in order, on one thread.
    pub read_gb_per_s: f64,
    /// 1e9 bytes a second read by all threads, each its part.
    pub read_gb_per_s_threads: f64,
}

impl Peaks {
    /// 1e9 operations a second that `threads` threads do at most: each has a core of its own.
    #[must_use]
    pub fn arithmetic(&self, cost: Cost, threads: usize) -> f64 {
        threads as f64
            * match cost.arithmetic {
                Arithmetic::Single => self.f32_gflops,
                Arithmetic::Pairs => self.i16_gops,
            }
    }

    /// 1e9 bytes a second that one thread, or else all, read at most. Memory is shared: that is measured, not multiplied.
    #[must_use]
    pub const fn reading(&self, threads: usize) -> f64 {
        if threads == 1 { self.read_gb_per_s } else { self.read_gb_per_s_threads }
    }
}

/// Measures cases.
pub struct Meter {
    setup: Setup,
    pace: Pace,
    memory: Vec<f32>,
}

impl Meter {
    /// With these threads and instruction sets, at this pace.
    #[must_use]
    pub fn new(setup: Setup, pace: Pace) -> Self {
        // Ones, not zeros: zeros would be the one page that the system has for them, and never leave the cache.
        Self { setup, pace, memory: vec![1.0; FAR] }
    }

    /// The peaks of this machine, reading out of cache.
    #[must_use]
    pub fn peaks(&self) -> Peaks {
        self.peaks_of(&interleaved(self.pace, &mut self.loops(&self.memory)), &self.memory)
    }

    /// Checks and times every way of `case`, in turns with the peaks. Reading is that of as many bytes as the case moves.
    ///
    /// # Errors
    /// As [`Case::with_ways`].
    pub fn measure(&self, case: &Case) -> Result<Vec<Row>, BenchError> {
        let floats = usize::try_from(case.cost().bytes / 4).unwrap_or(FAR).clamp(NEAR, FAR);
        let data = &self.memory[..floats];
        let mut rows = Vec::new();
        case.with_ways(&self.setup, &mut |ways: Vec<Way<'_>>| {
            let mut works = self.loops(data);
            let peaks = works.len();
            let mut variants = Vec::with_capacity(ways.len());
            for mut way in ways {
                variants.push(way.variant);
                works.push(Box::new(move || way.call()));
            }
            let seconds = interleaved(self.pace, &mut works);
            let (peaks, seconds) = seconds.split_at(peaks);
            rows = self.rows(case, &self.peaks_of(peaks, data), &variants, seconds);
        })?;
        Ok(rows)
    }

    /// The loops that give the peaks.
    fn loops<'a>(&self, data: &'a [f32]) -> Vec<Box<dyn FnMut() + 'a>> {
        let Setup { isa, threads, .. } = self.setup;
        let mut loops: Vec<Box<dyn FnMut() + 'a>> = vec![
            Box::new(move || _ = black_box(peak::multiply_adds(isa, black_box(MULTIPLY_ADDS)))),
            Box::new(move || _ = black_box(peak::pair_products(isa, black_box(PAIR_PRODUCTS)))),
            Box::new(move || _ = black_box(peak::read(isa, black_box(data)))),
        ];
        if threads > 1 {
            loops.push(Box::new(move || _ = black_box(read(isa, black_box(data), threads))));
        }
        loops
    }

    /// What the seconds of the loops say.
    fn peaks_of(&self, seconds: &[f64], data: &[f32]) -> Peaks {
        let Setup { isa, threads, .. } = self.setup;
        let speed = |work: usize, at: usize| work as f64 / seconds[at] / 1e9;
        Peaks {
            isa,
            threads,
            f32_gflops: speed(peak::multiply_adds_flops(isa, MULTIPLY_ADDS), 0),
            i16_gops: speed(peak::pair_products_ops(isa, PAIR_PRODUCTS), 1),
            read_gb_per_s: speed(size_of_val(data), 2),
            read_gb_per_s_threads: speed(size_of_val(data), seconds.len() - 1),
        }
    }

    fn rows(&self, case: &Case, peaks: &Peaks, variants: &[Variant], seconds: &[f64]) -> Vec<Row> {
        let timed = || variants.iter().zip(seconds);
        let reference = timed().find(|(variant, _)| variant.name == "reference").map(|(_, seconds)| *seconds);
        timed()
            .map(|(variant, &seconds)| {
                let (cost, threads) = (variant.cost, variant.threads);
                let single = timed().find(|(other, _)| other.name == "inkstone-f32" && other.threads == threads);
                let gflops = cost.operations as f64 / seconds / 1e9;
                let gb_per_s = cost.bytes as f64 / seconds / 1e9;
                let percent_of_arithmetic = 100.0 * gflops / peaks.arithmetic(cost, threads);
                let percent_of_reading = 100.0 * gb_per_s / peaks.reading(threads);
                Row {
                    bench: case.name().to_owned(),
                    family: case.family(),
                    variant: *variant,
                    seconds,
                    gflops,
                    percent_of_arithmetic,
                    percent_of_reading,
                    percent_of_peak: match cost.bound {
                        Bound::Arithmetic => percent_of_arithmetic,
                        Bound::Memory => percent_of_reading,
                    },
                    gb_per_s,
                    speedup: reference.map(|reference| reference / seconds),
                    speedup_over_f32: single.map(|(_, single)| single / seconds),
                }
            })
            .collect()
    }
}

/// [`peak::read`] of a part by each of `threads` threads.
fn read(isa: Isa, data: &[f32], threads: usize) -> f32 {
    if threads <= 1 {
        return peak::read(isa, data);
    }
    let left = threads / 2;
    let (first, second) = data.split_at(data.len() / threads * left);
    let (first, second) = rayon::join(|| read(isa, first, left), || read(isa, second, threads - left));
    first + second
}

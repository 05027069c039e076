//! Timing in turns.

use std::time::Instant;

/// How long and how often each work is timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Seconds of a turn, at least.
    pub turn: f64,
    /// Turns, of which the median counts. A call that fills ten of them and more is made in every fifth.
    pub turns: usize,
}

impl Pace {
    /// For figures to keep.
    pub const FULL: Self = Self { turn: 0.01, turns: 15 };
    /// For a first look.
    pub const QUICK: Self = Self { turn: 0.003, turns: 5 };
}

/// Turns that a call may take before it is made in fewer of them: the plain loops of large products, whose seconds would be most of a
/// measurement's, and whose median needs no fifteen.
const LONG: f64 = 10.0;

/// Median seconds a call of each of `works`, timed in turns so that a machine that slows down slows all of them.
pub fn interleaved(pace: Pace, works: &mut [Box<dyn FnMut() + '_>]) -> Vec<f64> {
    let mut calls = Vec::with_capacity(works.len());
    for work in works.iter_mut() {
        work();
        let mut n = 1;
        loop {
            let start = Instant::now();
            (0..n).for_each(|_| work());
            let seconds = start.elapsed().as_secs_f64();
            if seconds > pace.turn / 4.0 {
                let timed = ((pace.turn / seconds * n as f64) as usize).max(1);
                // Before each turn: wakes what slept, and fetches what the others drove out of the caches. Of a call that fills several
                // turns that is no part worth another call.
                let before = if seconds > 4.0 * pace.turn * n as f64 { 0 } else { timed / 5 + 1 };
                let every = if seconds > LONG * pace.turn * n as f64 { 5 } else { 1 };
                calls.push((before, timed, every));
                break;
            }
            n *= 2;
        }
    }
    let mut times = vec![Vec::new(); works.len()];
    for turn in 0..pace.turns {
        for ((work, times), &(before, timed, every)) in works.iter_mut().zip(&mut times).zip(&calls) {
            if turn % every != 0 {
                continue;
            }
            (0..before).for_each(|_| work());
            let start = Instant::now();
            (0..timed).for_each(|_| work());
            times.push(start.elapsed().as_secs_f64() / timed as f64);
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
        })
        .collect()
}

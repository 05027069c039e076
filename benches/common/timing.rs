//! Timing in turns.

use std::time::Instant;

/// Median seconds a call of each of `works`, timed in turns so that a machine that slows down slows all of them.
///
/// Each turn runs for at least `turn` seconds; there are `turns` of them.
pub(crate) fn interleaved(turn: f64, turns: usize, works: &mut [Box<dyn FnMut() + '_>]) -> Vec<f64> {
    let mut calls = Vec::new();
    for work in works.iter_mut() {
        work();
        let mut n = 1;
        loop {
            let start = Instant::now();
            (0..n).for_each(|_| work());
            let seconds = start.elapsed().as_secs_f64();
            if seconds > turn / 4.0 {
                calls.push(((turn / seconds * n as f64) as usize).max(1));
                break;
            }
            n *= 2;
        }
    }
    let mut times = vec![Vec::with_capacity(turns); works.len()];
    for _ in 0..turns {
        for (i, work) in works.iter_mut().enumerate() {
            (0..=calls[i] / 5).for_each(|_| work()); // wakes what slept, and fetches what the others drove out of the caches
            let start = Instant::now();
            (0..calls[i]).for_each(|_| work());
            times[i].push(start.elapsed().as_secs_f64() / calls[i] as f64);
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        })
        .collect()
}

//! Median pruning: which runs have fallen behind, the same whatever runs at the same time.
//!
//! After each epoch from `after` on, a run that is not at its end is compared with the runs of lower numbers, at the same epoch: with
//! those that have got as far, pruned later or not, and with those that finished before it. If they are at least `min_runs`,
//! and its lowest validation loss so far is above the median of theirs, it stops. A run waits for those before it to get as far,
//! so that the outcome is a function of the file alone, not of which run is quicker.
//!
//! This is the median stopping rule of Golovin et al., "Google Vizier" (2017), with the lowest loss instead of the mean of the best,
//! and an order among the runs.

use super::results::Ending;
use super::spec::Prune;
use crate::train::metrics::EpochReport;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Time between two looks at whether to stop waiting.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is known of a run.
#[derive(Clone, Debug, Default)]
struct Curve {
    /// Lowest validation loss after each epoch; infinite before the first that is a number.
    lowest: Vec<f64>,
    ending: Option<Ending>,
}

impl Curve {
    fn push(&mut self, loss: Option<f64>) {
        let before = self.lowest.last().copied().unwrap_or(f64::INFINITY);
        self.lowest.push(loss.filter(|loss| loss.is_finite()).map_or(before, |loss| loss.min(before)));
    }

    /// What a run after `epoch` epochs is compared with.
    fn at(&self, epoch: usize) -> Option<f64> {
        let end = if self.ending == Some(Ending::Finished) { self.lowest.last() } else { None };
        self.lowest.get(epoch.wrapping_sub(1)).or(end).copied()
    }
}

/// The curves of all runs.
#[derive(Debug)]
pub(super) struct Board {
    prune: Prune,
    curves: Mutex<Vec<Curve>>,
    changed: Condvar,
}

impl Board {
    pub(super) fn new(prune: Prune, runs: usize) -> Self {
        Self { prune, curves: Mutex::new(vec![Curve::default(); runs]), changed: Condvar::new() }
    }

    fn curves(&self) -> MutexGuard<'_, Vec<Curve>> {
        self.curves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What run `number` has done so far.
    pub(super) fn set(&self, number: usize, history: &[EpochReport], ending: Option<Ending>) {
        let mut curve = Curve { lowest: Vec::new(), ending };
        history.iter().for_each(|report| curve.push(report.val_loss));
        self.curves()[number - 1] = curve;
        self.changed.notify_all();
    }

    /// Run `number` has finished an epoch.
    pub(super) fn epoch(&self, number: usize, report: &EpochReport) {
        self.curves()[number - 1].push(report.val_loss);
        self.changed.notify_all();
    }

    /// Run `number` is over.
    pub(super) fn end(&self, number: usize, ending: Ending) {
        self.curves()[number - 1].ending = Some(ending);
        self.changed.notify_all();
    }

    /// Whether run `number` is to stop after `epoch` epochs; `None` if `stop` said to stop waiting.
    pub(super) fn falls_behind(&self, number: usize, epoch: u32, stop: &dyn Fn() -> bool) -> Option<bool> {
        if epoch < self.prune.after {
            return Some(false);
        }
        let epoch = epoch as usize;
        let mut curves = self.curves();
        loop {
            let before = &curves[..number - 1];
            if before.iter().all(|curve| curve.ending.is_some() || curve.lowest.len() >= epoch) {
                let others: Vec<f64> = before.iter().filter_map(|curve| curve.at(epoch)).collect();
                let own = curves[number - 1].at(epoch).unwrap_or(f64::INFINITY);
                return Some(others.len() >= self.prune.min_runs && median(&others).is_some_and(|median| own > median));
            }
            if stop() {
                return None;
            }
            curves = self.changed.wait_timeout(curves, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The middle of some values, or the mean of the two in the middle; none of none.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[half]),
        _ => Some(f64::midpoint(sorted[half - 1], sorted[half])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    fn reports(losses: &[f64]) -> Vec<EpochReport> {
        let report = |(i, &loss)| EpochReport { epoch: i as u32 + 1, val_loss: Some(loss), ..EpochReport::default() };
        losses.iter().enumerate().map(report).collect()
    }

    /// Losses by run; the last is asked about after `epoch`.
    fn asked(prune: Prune, runs: &[(&[f64], Option<Ending>)], epoch: u32) -> bool {
        let board = Board::new(prune, runs.len());
        for (i, (losses, ending)) in runs.iter().enumerate() {
            board.set(i + 1, &reports(losses), *ending);
        }
        board.falls_behind(runs.len(), epoch, &|| panic!("must not wait")).unwrap()
    }

    #[test]
    fn medians_by_hand() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[f64::INFINITY, 1.0, f64::INFINITY]), Some(f64::INFINITY));
        assert_eq!(median(&[f64::INFINITY, f64::INFINITY]), Some(f64::INFINITY));
    }

    #[test]
    fn a_run_stops_above_the_median_of_those_before_it() {
        let prune = Prune { after: 2, min_runs: 2 };
        let finished = Some(Ending::Finished);
        let two: [(&[f64], _); 2] = [(&[3.0, 1.0, 0.5], finished), (&[3.0, 2.0], None)];
        let with = |losses: &'static [f64]| [two[0], two[1], (losses, None)];
        assert!(asked(prune, &with(&[9.0, 1.6]), 2), "above 1.5");
        assert!(!asked(prune, &with(&[9.0, 1.5]), 2), "at the median");
        assert!(!asked(prune, &with(&[1.2, 9.0]), 2), "its lowest counts, not its last");
        assert!(asked(prune, &with(&[1.6, f64::NAN]), 2) && asked(prune, &with(&[f64::NAN, f64::NAN]), 2));
        assert!(!asked(prune, &with(&[9.0]), 1), "too early");
        assert!(!asked(Prune { min_runs: 3, ..prune }, &with(&[9.0, 9.0]), 2), "too few to compare with");
    }

    #[test]
    fn who_ended_counts_as_far_as_it_got() {
        let prune = Prune { after: 2, min_runs: 1 };
        let ended = |ending| asked(prune, &[(&[1.0, 1.0], Some(ending)), (&[2.0, 2.0, 2.0], None)], 3);
        assert!(ended(Ending::Finished), "patience ended it: its lowest loss stands");
        assert!(!ended(Ending::Pruned) && !ended(Ending::Diverged), "nobody to compare with after 3 epochs");
        assert!(asked(prune, &[(&[1.0, 1.0], Some(Ending::Pruned)), (&[2.0, 2.0], None)], 2));
    }

    #[test]
    fn a_run_waits_for_those_before_it_and_no_longer() {
        let board = Board::new(Prune { after: 1, min_runs: 1 }, 3);
        board.set(3, &reports(&[0.1]), None); // a later run never matters
        board.set(2, &reports(&[2.0]), None);
        let mut looks = 0..3;
        let looks = Mutex::new(&mut looks);
        assert_eq!(board.falls_behind(2, 1, &|| looks.lock().unwrap().next().is_none()), None, "told to stop waiting");
        thread::scope(|scope| {
            let (told, answer) = mpsc::channel();
            let board = &board;
            scope.spawn(move || told.send(board.falls_behind(2, 1, &|| false)));
            assert!(answer.recv_timeout(Duration::from_millis(120)).is_err(), "waits");
            board.epoch(1, &reports(&[1.0])[0]);
            assert_eq!(answer.recv().unwrap(), Some(true));
        });
    }
}

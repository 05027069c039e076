//! Trains the runs of a sweep: several at once where one alone cannot use the machine, each into its directory and its line of results.

use super::board::Board;
use super::campaign::{Campaign, Job, RESULTS, SWEEP, State, SweepError};
use super::results::{self, Ending, Record, insert};
use crate::checkpoint::write_atomic;
use crate::train::TrainError;
use crate::train::config::Config;
use crate::train::lock::DirLock;
use crate::train::metrics::EpochReport;
use crate::train::run::{Observer, Progress, Start, Summary, history_of, resume, run};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Who watches a sweep, and may end it.
pub trait Watch: Sync {
    /// A run begins; what is returned watches it and is dropped at its end.
    fn begin(&self, job: &Job<'_>) -> Box<dyn Observer + '_>;
    /// A run is over.
    fn ended(&self, _job: &Job<'_>, _record: &Record) {}
    /// Whether to stop every run after its current update and save.
    fn stop_requested(&self) -> bool {
        false
    }
}

/// How a sweep ended.
#[derive(Debug)]
pub struct Outcome {
    /// Everything that `results.jsonl` holds, runs of earlier calls and other shards included.
    pub records: Vec<Record>,
    /// Whether runs were stopped by the watcher.
    pub interrupted: bool,
    /// The first run that failed; it ended the others too.
    pub failure: Option<SweepError>,
}

impl Campaign<'_> {
    /// Trains what is not done, and leaves a line of `results.jsonl` for each run that ends.
    ///
    /// # Errors
    /// [`TrainError`] if the directory of the sweep cannot be written; what happens to a run is in the [`Outcome`].
    pub fn train(&self, watch: &dyn Watch) -> Result<Outcome, TrainError> {
        fs::create_dir_all(&self.out).map_err(|error| TrainError::Io {
            file: self.out.clone(),
            action: "create",
            error,
        })?;
        let (file, text) = (self.out.join(SWEEP), self.sweep.text.as_bytes());
        if !file.is_file() {
            write_atomic(&file, text)?;
        }
        // Before the file says so: what a kill leaves in between is refused once more, and never taken for what this file asks for.
        self.forget()?;
        self.disown()?;
        write_atomic(&file, text)?;
        let board = self.sweep.prune.map(|prune| Board::new(prune, self.jobs.len()));
        if let Some(board) = &board {
            for record in &self.records {
                let job = &self.jobs[record.number - 1];
                board.set(record.number, &history_of(&job.dir, record.epochs)?, Some(record.ending));
            }
        }
        let todo: Vec<&Job<'_>> = self.jobs().filter(|job| !job.done()).collect();
        let floor = Floor {
            campaign: self,
            board,
            watch,
            next: AtomicUsize::new(0),
            halted: AtomicBool::new(false),
            failure: Mutex::new(None),
            writing: Mutex::new(()),
        };
        // In order of number, as runs may wait for those before them: stretches of small runs, and of others.
        let mut from = 0;
        while from < todo.len() && !floor.stopping() {
            let small = todo[from].small;
            let len = todo[from..].iter().take_while(|job| job.small == small).count();
            let (lanes, threads) = if small { (len.min(self.threads), 1) } else { (1, self.threads) };
            floor.next.store(from, Ordering::Relaxed);
            let stretch = &todo[..from + len];
            thread::scope(|scope| {
                for _ in 1..lanes {
                    scope.spawn(|| floor.lane(stretch, threads));
                }
                floor.lane(stretch, threads);
            });
            from += len;
        }
        let failure = floor.failure.into_inner().unwrap_or_else(PoisonError::into_inner).map(|(_, error)| error);
        let records = results::read(&self.out.join(RESULTS))?;
        let recorded = |job: &&Job<'_>| records.iter().any(|record| record.number == job.run.number);
        let interrupted = failure.is_none() && !todo.iter().all(recorded);
        Ok(Outcome { records, interrupted, failure })
    }
}

/// A sweep under way.
struct Floor<'a> {
    campaign: &'a Campaign<'a>,
    board: Option<Board>,
    watch: &'a dyn Watch,
    /// The next of the runs to do.
    next: AtomicUsize,
    /// Whether every run is to stop: asked to, or since one has failed.
    halted: AtomicBool,
    /// The lowest run that has failed.
    failure: Mutex<Option<(usize, SweepError)>>,
    /// One at a time rewrites `results.jsonl`.
    writing: Mutex<()>,
}

impl Floor<'_> {
    /// Whether every run is to stop.
    fn stopping(&self) -> bool {
        if self.watch.stop_requested() {
            self.halted.store(true, Ordering::Relaxed);
        }
        self.halted.load(Ordering::Relaxed)
    }

    /// Trains one run after the other until none of `todo` is left.
    fn lane(&self, todo: &[&Job<'_>], threads: usize) {
        let _guard = HaltOnPanic(&self.halted);
        while !self.stopping() {
            let Some(job) = todo.get(self.next.fetch_add(1, Ordering::Relaxed)) else { return };
            match self.one(job, threads) {
                Ok(Some(record)) => self.watch.ended(job, &record),
                Ok(None) => {} // stopped by `stopping`, which everyone asks
                Err(error) => {
                    self.halted.store(true, Ordering::Relaxed);
                    let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                    if failure.as_ref().is_none_or(|&(number, _)| number > job.run.number) {
                        *failure = Some((job.run.number, SweepError::of(job.run)(error)));
                    }
                }
            }
        }
    }

    /// Trains one run to its end or until all are to stop.
    fn one(&self, job: &Job<'_>, threads: usize) -> Result<Option<Record>, TrainError> {
        let mut watched = Watched {
            floor: self,
            number: job.run.number,
            inner: self.watch.begin(job),
            history: Vec::new(),
            asked: None,
            pruned: false,
        };
        let config = Config { threads: None, ..job.config.clone() };
        let result = match job.state {
            State::Begun => resume(&job.dir, job.data, job.isa, threads, &mut watched),
            _ => run(&config, job.data, job.isa, threads, &job.dir, true, &mut watched),
        };
        let Watched { history, pruned, inner, .. } = watched;
        drop(inner);
        let record = match result {
            Ok(Summary { interrupted: true, .. }) if !pruned => return Ok(None),
            Err(TrainError::Stopped) => return Ok(None),
            Ok(summary) => Record::of(job.run, if pruned { Ending::Pruned } else { Ending::Finished }, &summary),
            Err(TrainError::Diverged { .. }) => Record::from_history(job.run, Ending::Diverged, &history, job.samples),
            Err(error) => return Err(error),
        };
        if let Some(board) = &self.board {
            board.end(record.number, record.ending);
        }
        self.keep(record.clone())?;
        Ok(Some(record))
    }

    /// Adds a line to `results.jsonl`, beside those that other processes may have added since.
    fn keep(&self, record: Record) -> Result<(), TrainError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = DirLock::wait(&self.campaign.out)?;
        let file = self.campaign.out.join(RESULTS);
        let mut records = results::read(&file)?;
        insert(&mut records, record);
        results::write(&file, &records)
    }
}

/// Stops the other lanes if one panics: they might wait for its run.
struct HaltOnPanic<'a>(&'a AtomicBool);

impl Drop for HaltOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Watches one run for the sweep and for whoever watches the sweep.
struct Watched<'a> {
    floor: &'a Floor<'a>,
    number: usize,
    inner: Box<dyn Observer + 'a>,
    history: Vec<EpochReport>,
    /// The epoch after which the board was asked last.
    asked: Option<usize>,
    pruned: bool,
}

impl Observer for Watched<'_> {
    fn start(&mut self, start: &Start<'_>) {
        self.history = start.history.to_vec();
        if let Some(board) = &self.floor.board {
            board.set(self.number, &self.history, None);
        }
        self.inner.start(start);
    }

    fn step(&mut self, progress: &Progress) {
        self.inner.step(progress);
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.history.push(report.clone());
        if let Some(board) = &self.floor.board {
            board.epoch(self.number, report);
        }
        self.inner.epoch(report);
    }

    fn stop_requested(&mut self) -> bool {
        if self.floor.stopping() || self.inner.stop_requested() {
            return true;
        }
        let Some(board) = &self.floor.board else { return false };
        if self.asked == Some(self.history.len()) {
            return false;
        }
        self.asked = Some(self.history.len());
        let behind = board.falls_behind(self.number, self.history.len() as u32, &|| self.floor.stopping());
        self.pruned = behind == Some(true);
        behind != Some(false)
    }
}

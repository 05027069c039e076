//! Trains the runs of a sweep: which are done, which go on, several at once where one alone cannot use the machine.

use super::board::Board;
use super::results::{self, Ending, Record, insert, settings};
use super::spec::{Planned, Sweep};
use crate::checkpoint::{RunDir, load_weights_into, write_atomic};
use crate::data::{Source, Splits, ValSize};
use crate::kernels::Isa;
use crate::train::TrainError;
use crate::train::config::{Config, ConfigError};
use crate::train::metrics::EpochReport;
use crate::train::run::{Observer, Progress, Start, Summary, config_of, history_of, read_text, resolve, resume, run};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

const SWEEP: &str = "sweep.toml";
const RESULTS: &str = "results.jsonl";

/// Floating-point operations of an update, forward and backward, that each thread needs for all of them to work on one run.
///
/// Measured on two cores, AVX2: at 156 million an update (784-512-10, batches of 64) two threads train 18,400 samples/s of one run,
/// but 28,500 of two runs side by side; at 2.4 billion (batches of 1,000) 29,100 and 34,900, and the memory of one.
const SHARED_STEP: u64 = 200_000_000;

/// Why a sweep could not be trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// One of its runs.
    #[error("run {number} ({label}): {error}")]
    Run {
        /// The run.
        number: usize,
        /// What distinguishes it.
        label: String,
        /// What is wrong.
        error: TrainError,
    },
    /// Something that all have in common.
    #[error(transparent)]
    All(#[from] TrainError),
}

impl SweepError {
    fn of(run: &Planned) -> impl FnOnce(TrainError) -> Self {
        let (number, label) = (run.number, run.label());
        move |error| Self::Run { number, label, error }
    }
}

/// Every n-th run, so that n machines share a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which share, from 1.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// Whether run `number` belongs to it.
    #[must_use]
    pub fn holds(self, number: usize) -> bool {
        number % self.count == self.index % self.count
    }
}

/// The data sets that a sweep names.
#[derive(Debug, Default)]
pub struct DataSets(Vec<(Source, Splits)>);

impl DataSets {
    /// Loads each once.
    ///
    /// # Errors
    /// [`TrainError::Data`] as [`Source::load`].
    pub fn load(sweep: &Sweep) -> Result<Self, TrainError> {
        let mut sets: Vec<(Source, Splits)> = Vec::new();
        for run in &sweep.runs {
            if !sets.iter().any(|(source, _)| *source == run.config.data) {
                sets.push((run.config.data.clone(), run.config.data.load()?));
            }
        }
        Ok(Self(sets))
    }

    /// That of a source which the sweep names.
    fn get(&self, source: &Source) -> Result<&Splits, TrainError> {
        let found = self.0.iter().find(|(other, _)| other == source).map(|(_, splits)| splits);
        let (expected, found_none) = (source.to_string(), "another sweep's".to_owned());
        found.ok_or(TrainError::Mismatch { what: "the data of a sweep", expected, found: found_none })
    }
}

/// A run of the sweep that is known to be possible.
#[derive(Debug)]
pub struct Job<'a> {
    /// What it is.
    pub run: &'a Planned,
    /// The same as its directory will keep it, but for its threads.
    pub config: Config,
    /// Its data.
    pub data: &'a Splits,
    /// Its directory.
    pub dir: PathBuf,
    /// Samples that it trains on in an epoch.
    pub samples: usize,
    /// About how much there is to do, in floating-point operations: for the remaining time of a sweep, not for its results.
    pub work: f64,
    /// Whether it is too small for all threads to work on it.
    pub small: bool,
    isa: Isa,
    state: State,
}

/// How far a run is.
#[derive(Debug, PartialEq)]
enum State {
    Done,
    Begun,
    New,
}

impl Job<'_> {
    /// Whether it is over already.
    #[must_use]
    pub fn done(&self) -> bool {
        self.state == State::Done
    }
}

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

/// A sweep with its data and its directory, every run of it checked.
#[derive(Debug)]
pub struct Campaign<'a> {
    sweep: &'a Sweep,
    out: PathBuf,
    /// Every run; those of other shards too.
    jobs: Vec<Job<'a>>,
    shard: Shard,
    threads: usize,
    /// What stands in `results.jsonl` and still holds.
    records: Vec<Record>,
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

impl<'a> Campaign<'a> {
    /// Checks every run against its data: what can be known before training. `isa` goes before the file's.
    ///
    /// # Errors
    /// [`SweepError`] with the first run that is not possible, or a shard that is none.
    pub fn new(
        sweep: &'a Sweep,
        data: &'a DataSets,
        out: &Path,
        shard: Shard,
        isa: Option<Isa>,
        threads: usize,
    ) -> Result<Self, SweepError> {
        let Shard { index, count } = shard;
        if !(1..=count).contains(&index) {
            let found = format!("{index}/{count}");
            return Err(refused("shard", "shards are counted from 1", "1/n to n/n", &found));
        }
        if count > 1 && sweep.prune.is_some() {
            let rule = "a run is pruned by what the runs before it have done, and other shards' are elsewhere";
            return Err(refused("shard", rule, "no [prune] in a sweep in shards", "[prune]"));
        }
        let threads = threads.max(1);
        let job = |run: &'a Planned| check(run, data, out, isa, threads).map_err(SweepError::of(run));
        let jobs = sweep.runs.iter().map(job).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { sweep, out: out.to_owned(), jobs, shard, threads, records: Vec::new() })
    }

    /// Finds out what an earlier call has left in the directory; writes nothing. With `force`, runs of this shard whose
    /// configuration was another one are to be replaced, and results that no longer hold are to be forgotten.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the run and the key that differ, without `force`, or if the directory holds anything but a
    /// sweep; [`TrainError::Io`] if it cannot be read.
    pub fn survey(mut self, force: bool) -> Result<Self, TrainError> {
        let before = self.earlier_text()?;
        let mut records = results::read(&self.out.join(RESULTS))?;
        if let Some(before) = before.and_then(|text| Sweep::parse(Path::new(SWEEP), &text).ok())
            && before.prune != self.sweep.prune
            && !records.is_empty()
        {
            if !force {
                let (key, rule) = (format!("{}: [prune]", self.out.display()), "all runs are pruned by one rule");
                let text = |prune| format!("{prune:?}");
                let expected = format!("{}, --force, or another --out", text(before.prune));
                return Err(ConfigError::new(key, rule, expected, text(self.sweep.prune)).into());
            }
            records.retain(|record| record.ending != Ending::Pruned);
        }
        for job in &mut self.jobs {
            if let Some(error) = conflict(job)? {
                if !force {
                    return Err(error.into());
                }
                records.retain(|record| record.number != job.run.number);
                continue; // it stays new: replaced, if it is this shard's
            }
            let record = records.iter().find(|record| record.number == job.run.number);
            let begun = job.dir.join("config.toml").is_file() && RunDir::open(&job.dir).is_ok();
            let over = record
                .is_some_and(|record| record.ending != Ending::Finished || job.dir.join("model.safetensors").is_file());
            job.state = match begun {
                true if over => State::Done,
                true => State::Begun,
                false => State::New,
            };
        }
        if let Some(other) = records.iter().find(|record| !self.has(record))
            && !force
        {
            let place = format!("{}: run {}", self.out.join(RESULTS).display(), other.number);
            let expected = "one of this sweep, --force to forget it, or another --out";
            let found = serde_json::Value::Object(other.settings.clone());
            return Err(ConfigError::new(place, "results are those of the sweep", expected, found).into());
        }
        // Another machine's runs need not lie here: their lines stand for themselves.
        records.retain(|record| {
            self.has(record) && (!self.shard.holds(record.number) || self.jobs[record.number - 1].done())
        });
        self.records = records;
        Ok(self)
    }

    /// Whether the sweep has the run of this line.
    fn has(&self, record: &Record) -> bool {
        let job = record.number.checked_sub(1).and_then(|index| self.jobs.get(index));
        job.is_some_and(|job| settings(job.run) == record.settings)
    }

    /// The file of the sweep that lies in the directory, if there is one.
    fn earlier_text(&self) -> Result<Option<String>, TrainError> {
        let io = |error| TrainError::Io { file: self.out.clone(), action: "list", error };
        let mut names = match fs::read_dir(&self.out) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            names => names.map_err(io)?,
        };
        let file = self.out.join(SWEEP);
        if file.is_file() {
            return read_text(&file).map(Some);
        }
        match names.next().transpose().map_err(io)? {
            None => Ok(None),
            Some(other) => {
                let rule = "no other directory becomes that of a sweep";
                let found = format!("`{}` and no {SWEEP}", other.file_name().display());
                Err(ConfigError::new(self.out.display(), rule, "a new or empty directory", found).into())
            }
        }
    }

    /// The runs of this shard.
    pub fn jobs(&self) -> impl Iterator<Item = &Job<'a>> {
        self.jobs.iter().filter(|job| self.shard.holds(job.run.number))
    }

    /// The directory.
    #[must_use]
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// Runs at once, and threads of each, for the runs that are too small for several threads.
    #[must_use]
    pub fn side_by_side(&self) -> usize {
        let waiting = self.jobs().filter(|job| job.small && !job.done()).count();
        waiting.min(self.threads)
    }

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
        write_atomic(&self.out.join(SWEEP), self.sweep.text.as_bytes())?;
        self.forget()?;
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

    /// Takes the lines that no longer hold out of `results.jsonl`.
    fn forget(&self) -> Result<(), TrainError> {
        let _lock = DirLock::wait(&self.out)?;
        let file = self.out.join(RESULTS);
        let mut records = results::read(&file)?;
        // A line that came since, of another process at work on another shard, stays.
        records.retain(|record| {
            let kept = self.records.iter().any(|kept| kept.number == record.number);
            kept || (self.has(record) && !self.shard.holds(record.number))
        });
        results::write(&file, &records)
    }
}

/// A value that breaks a rule of all runs together.
fn refused(key: &str, rule: &'static str, expected: &str, found: &str) -> SweepError {
    SweepError::All(ConfigError::new(key, rule, expected, found).into())
}

/// Checks what can be known of a run before training.
fn check<'a>(
    run: &'a Planned,
    data: &'a DataSets,
    out: &Path,
    isa: Option<Isa>,
    threads: usize,
) -> Result<Job<'a>, TrainError> {
    let splits = data.get(&run.config.data)?;
    let isa = match (isa, &run.config.isa) {
        (Some(isa), _) => isa,
        (None, Some(name)) => Isa::from_name(name).map_err(|error| {
            let here: Vec<&str> = Isa::available().map(Isa::name).collect();
            ConfigError::new("isa", "an instruction set of this machine", here.join(", "), error)
        })?,
        (None, None) => Isa::best(),
    };
    let config = resolve(&run.config, splits, isa, 1)?;
    let len = splits.train.len();
    let val = config.split.unwrap_or(ValSize::Count(0)).of(len)?;
    let samples = (len - val).min(config.limit.unwrap_or(usize::MAX));
    let graph = config.graph(splits.train.rows(), splits.train.cols(), splits.train.classes())?;
    if let Some(file) = &config.init {
        load_weights_into(file, &graph, &mut vec![0.0; graph.param_count()])?;
    }
    // Backward costs twice as much as forward; an update reads and writes some twenty floats for each parameter.
    let batch = config.batch.min(samples);
    let step = graph.flops().saturating_mul(3).saturating_mul(batch as u64);
    let (updates, params) = (samples.div_ceil(batch) as f64, graph.param_count() as f64);
    let epoch = 3.0 * graph.flops() as f64 * samples as f64 + updates * (20.0 * params + 20_000.0);
    let work = epoch * f64::from(config.epochs);
    let (dir, small, state) = (out.join(run.name()), step / (threads as u64) < SHARED_STEP, State::New);
    Ok(Job { run, config, data: splits, dir, samples, work, small, isa, state })
}

/// What is at a run's place, if it is a run with another configuration. Threads change no result.
fn conflict(job: &Job<'_>) -> Result<Option<ConfigError>, TrainError> {
    let there = match config_of(&job.dir) {
        Ok(there) => Config { threads: job.config.threads, ..there },
        Err(TrainError::Io { error, .. }) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(TrainError::Config(error)) => return Ok(Some(error)),
        Err(error) => return Err(error),
    };
    if there == job.config {
        return Ok(None);
    }
    let table = |config: &Config| toml::Table::try_from(config).unwrap_or_default();
    let (there, here) = (table(&there), table(&job.config));
    let differs = |key: &&String| there.get(*key) != here.get(*key);
    let key = here.keys().chain(there.keys()).find(differs).map_or("the configuration", String::as_str);
    let value = |table: &toml::Table| table.get(key).map_or_else(|| "nothing".to_owned(), toml::Value::to_string);
    let place = format!("{}: {key}", job.dir.display());
    let expected = format!("{} as the sweep has it, --force to replace the run, or another --out", value(&here));
    Ok(Some(ConfigError::new(place, "a run is not overwritten by another", expected, value(&there))))
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
    fn stopping(&self) -> bool {
        if self.watch.stop_requested() {
            self.halted.store(true, Ordering::Relaxed);
        }
        self.halted.load(Ordering::Relaxed)
    }

    /// Trains one run after the other until none of `todo` is left.
    fn lane(&self, todo: &[&Job<'_>], threads: usize) {
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
        fs::create_dir_all(&job.dir).map_err(|error| TrainError::Io {
            file: job.dir.clone(),
            action: "create",
            error,
        })?;
        let _lock = DirLock::at_once(&job.dir)?;
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

/// A directory that this process alone is at work on, where the system has locks for directories.
struct DirLock(#[allow(dead_code, reason = "held, not read: the lock ends with the file")] Option<File>);

impl DirLock {
    /// Waits for it. A file system without locks is not waited for.
    fn wait(dir: &Path) -> Result<Self, TrainError> {
        let file = Self::open(dir)?;
        Ok(Self(file.filter(|file| file.lock().is_ok())))
    }

    /// Refuses a directory that another process is at work on.
    fn at_once(dir: &Path) -> Result<Self, TrainError> {
        let file = Self::open(dir)?;
        if let Some(Err(fs::TryLockError::WouldBlock)) = file.as_ref().map(File::try_lock) {
            let rule = "one process at a time trains a run";
            return Err(ConfigError::new(dir.display(), rule, "no other sweep at work here", "another one").into());
        }
        Ok(Self(file))
    }

    /// The directory as a file, which only Unix has.
    fn open(dir: &Path) -> Result<Option<File>, TrainError> {
        if !cfg!(unix) {
            return Ok(None);
        }
        let error = |error| TrainError::Io { file: dir.to_owned(), action: "open", error };
        File::open(dir).map(Some).map_err(error)
    }
}

//! A sweep with its data and its directory: which of its runs are possible, which are over, which go on.

use super::results::{self, Ending, Record, settings};
use super::spec::{PRUNED_BY, Planned, Prune, Sweep};
use crate::checkpoint::{RunDir, load_weights_into};
use crate::data::{Source, Splits, ValSize};
use crate::kernels::Isa;
use crate::train::TrainError;
use crate::train::config::{Config, ConfigError};
use crate::train::lock::DirLock;
use crate::train::metrics::EpochReport;
use crate::train::run::{config_of, history_of, read_text, resolve};
use crate::train::sources::pinned;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub(super) const SWEEP: &str = "sweep.toml";
pub(super) const RESULTS: &str = "results.jsonl";

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
        error: Box<TrainError>,
    },
    /// Something that all have in common.
    #[error(transparent)]
    All(#[from] TrainError),
}

impl SweepError {
    pub(super) fn of(run: &Planned) -> impl FnOnce(TrainError) -> Self {
        let (number, label) = (run.number, run.label());
        move |error| Self::Run { number, label, error: Box::new(error) }
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
    /// One that is loaded already.
    #[must_use]
    pub fn one(source: Source, splits: Splits) -> Self {
        Self(vec![(source, splits)])
    }

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

    /// That of a source.
    ///
    /// # Errors
    /// [`TrainError::Mismatch`] if it is not among them.
    pub fn get(&self, source: &Source) -> Result<&Splits, TrainError> {
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
    pub(super) isa: Isa,
    pub(super) state: State,
}

/// How far a run is.
#[derive(Debug, PartialEq)]
pub(super) enum State {
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

/// A sweep with its data and its directory, every run of it checked.
#[derive(Debug)]
pub struct Campaign<'a> {
    pub(super) sweep: &'a Sweep,
    pub(super) out: PathBuf,
    /// Every run; those of other shards too.
    pub(super) jobs: Vec<Job<'a>>,
    shard: Shard,
    pub(super) threads: usize,
    /// What stands in `results.jsonl` and still holds.
    pub(super) records: Vec<Record>,
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
        let job = |run: &'a Planned| check(run, sweep.prune, data, out, isa, threads).map_err(SweepError::of(run));
        let jobs = sweep.runs.iter().map(job).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { sweep, out: out.to_owned(), jobs, shard, threads, records: Vec::new() })
    }

    /// Finds out what an earlier call has left in the directory; writes nothing. With `force`, runs of this shard whose
    /// configuration was another one are to be replaced, and results that no longer hold are to be forgotten. Where runs are pruned, those
    /// behind a run that is replaced were compared with it, and are replaced too: all of them, if they were pruned by another rule.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the run and the key that differ, without `force`, or if the directory holds anything but a
    /// sweep; [`TrainError::Io`] if it cannot be read.
    pub fn survey(mut self, force: bool) -> Result<Self, TrainError> {
        let before = self.earlier_text()?.and_then(|text| Sweep::parse(Path::new(SWEEP), &text).ok());
        let mut records = results::read(&self.out.join(RESULTS))?;
        // What was begun by another rule may have gone further than this one lets it.
        let begun = !records.is_empty() || self.jobs.iter().any(is_begun);
        let before = before.filter(|before| begun && before.prune != self.sweep.prune);
        let mut anew = before.is_some();
        if let Some(before) = before {
            if !force {
                return Err(self.other_prune(before.prune).into());
            }
            records.clear();
        }
        // With force a line of other settings says nothing about the run of its number.
        records.retain(|record| !force || self.has(record));
        for job in &mut self.jobs {
            match conflict(job)? {
                Some(error) if !force => return Err(error.into()),
                // It stays new: replaced, if it is this shard's.
                Some(_) => {
                    records.retain(|record| record.number != job.run.number);
                    anew |= self.sweep.prune.is_some();
                }
                None if anew => {}
                None => job.state = state(job, &records),
            }
        }
        if let Some(other) = records.iter().find(|record| !self.has(record)) {
            let place = format!("{}: run {}", self.out.join(RESULTS).display(), other.number);
            let expected = "one of this sweep, --force to forget it, or another --out";
            let found = serde_json::Value::Object(other.settings.clone());
            return Err(ConfigError::new(place, "results are those of the sweep", expected, found).into());
        }
        // Another machine's runs need not lie here: their lines stand for themselves.
        records.retain(|record| !self.shard.holds(record.number) || self.jobs[record.number - 1].done());
        self.records = records;
        Ok(self)
    }

    /// Runs that lie in the directory were pruned by another rule.
    fn other_prune(&self, before: Option<Prune>) -> ConfigError {
        let (key, rule) = (format!("{}: [prune]", self.out.display()), "all runs are pruned by one rule");
        let text = |prune: Option<Prune>| prune.map_or_else(|| "none".to_owned(), |prune| prune.to_string());
        let expected = format!("{} as before, --force, or another --out", text(before));
        ConfigError::new(key, rule, expected, text(self.sweep.prune))
    }

    /// Whether the sweep has the run of this line.
    fn has(&self, record: &Record) -> bool {
        let job = record.number.checked_sub(1).and_then(|index| self.jobs.get(index));
        job.is_some_and(|job| settings(job.run) == record.settings)
    }

    /// The file of the sweep that lies in the directory, if there is one.
    fn earlier_text(&self) -> Result<Option<String>, TrainError> {
        let io = |error| TrainError::Io { file: self.out.clone(), action: "list", error };
        let names = match fs::read_dir(&self.out) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            names => names.map_err(io)?,
        };
        let file = self.out.join(SWEEP);
        if file.is_file() {
            return read_text(&file).map(Some);
        }
        for name in names {
            let name = name.map_err(io)?.file_name().to_string_lossy().into_owned();
            // A first write that a kill has cut short leaves this and nothing else.
            if name.starts_with(&format!(".{SWEEP}.")) && name.ends_with(".tmp") {
                continue;
            }
            let rule = "no other directory becomes that of a sweep";
            let found = format!("`{name}` and no {SWEEP}");
            return Err(ConfigError::new(self.out.display(), rule, "a new or empty directory", found).into());
        }
        Ok(None)
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

    /// The epochs of a run that is over.
    ///
    /// # Errors
    /// [`TrainError::Io`] if its directory cannot be read.
    pub fn history(&self, record: &Record) -> Result<Vec<EpochReport>, TrainError> {
        let job = record.number.checked_sub(1).and_then(|index| self.jobs.get(index));
        job.map_or_else(|| Ok(Vec::new()), |job| history_of(&job.dir, record.epochs))
    }

    /// The model file of a run, if it left one.
    #[must_use]
    pub fn model(&self, record: &Record) -> PathBuf {
        let job = record.number.checked_sub(1).and_then(|index| self.jobs.get(index));
        job.map_or_else(PathBuf::new, |job| job.dir.join("model.safetensors"))
    }

    /// How many of the runs that are too small for several threads are trained at once.
    #[must_use]
    pub fn side_by_side(&self) -> usize {
        let waiting = self.jobs().filter(|job| job.small && !job.done()).count();
        waiting.min(self.threads)
    }

    /// Makes runs that are to begin anew none that a later call could go on with, though their settings are the same.
    pub(super) fn disown(&self) -> Result<(), TrainError> {
        for job in self.jobs().filter(|job| job.state == State::New && is_begun(job)) {
            if conflict(job)?.is_none() {
                let _lock = DirLock::at_once(&job.dir)?;
                let file = job.dir.join("config.toml");
                fs::remove_file(&file).map_err(|error| TrainError::Io { file, action: "remove", error })?;
            }
        }
        Ok(())
    }

    /// Takes the lines that no longer hold out of `results.jsonl`.
    pub(super) fn forget(&self) -> Result<(), TrainError> {
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
    prune: Option<Prune>,
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
    let config = pinned(resolve(&run.config, splits, isa, 1)?)?;
    let len = splits.train.len();
    let val = config.split.unwrap_or(ValSize::Count(0)).of(len)?;
    config.validate_val(val)?;
    if let Some(split) = config.split.filter(|_| prune.is_some() && val == 0) {
        let found = format!("none, as {split} of {len} rounds to");
        return Err(ConfigError::new("split", PRUNED_BY, "at least one sample of validation", found).into());
    }
    let samples = (len - val).min(config.limit.unwrap_or(usize::MAX));
    let varies = |name: &str| run.settings.iter().any(|(key, _)| key == name);
    if config.model.hidden().is_empty() && varies("activation") {
        let (rule, expected) = ("varies what stands between the layers of an mlp", "mlp:512, for example");
        return Err(ConfigError::new("activation", rule, expected, &config.model).into());
    }
    if !config.optimizer.has_velocity() && varies("momentum") {
        let (rule, expected) = ("varies what a velocity keeps of itself", "the optimizer momentum, ema or nesterov");
        return Err(ConfigError::new("momentum", rule, expected, config.optimizer).into());
    }
    if let Some(file) = config.init.as_ref().filter(|_| varies("initializer")) {
        let (rule, expected) = ("varies how first weights are drawn", "no `init` beside it");
        return Err(ConfigError::new("initializer", rule, expected, file.display()).into());
    }
    let graph = config.graph(splits.train.rows(), splits.train.cols(), splits.train.classes())?;
    if let Some(file) = &config.init {
        load_weights_into(file, &graph, &mut vec![0.0; graph.weights_len()])?;
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

/// Whether a run lies at a job's place.
fn is_begun(job: &Job<'_>) -> bool {
    job.dir.join("config.toml").is_file() && RunDir::open(&job.dir).is_ok()
}

/// How far the run is that lies at a job's place.
fn state(job: &Job<'_>, records: &[Record]) -> State {
    let begun = is_begun(job);
    let ended = |record: &Record| record.ending != Ending::Finished || job.dir.join("model.safetensors").is_file();
    match records.iter().find(|record| record.number == job.run.number) {
        Some(record) if begun && ended(record) => State::Done,
        _ if begun => State::Begun,
        _ => State::New,
    }
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

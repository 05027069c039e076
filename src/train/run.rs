//! A run: epochs into a directory of checkpoints, metrics and the resulting model, from the first step or from where it stopped.

use super::TrainError;
use super::config::{Config, ConfigError, DatasetHashes};
use super::lock::DirLock;
use super::metrics::{EpochReport, Metrics};
use super::sources::pinned;
use super::trainer::{StepReport, Trainer};
use crate::checkpoint::{Buffers, RunDir, State, check_size, load_weights_into, write_atomic};
use crate::data::Splits;
use crate::graph::Graph;
use crate::kernels::Isa;
use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How many of the hardest test samples a summary names.
pub const HARDEST: usize = 10;

/// Largest `config.toml` and `metrics.jsonl` that are read back.
const MAX_TEXT: u64 = 64 << 20;

/// What is about to happen.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Start<'a> {
    /// The resolved configuration.
    pub config: &'a Config,
    /// The network.
    pub graph: &'a Graph,
    /// Samples to train on.
    pub train_samples: usize,
    /// Samples kept for validation.
    pub val_samples: usize,
    /// Samples of the test set.
    pub test_samples: usize,
    /// Updates in an epoch.
    pub steps_per_epoch: u64,
    /// Epochs finished before.
    pub epoch: u32,
    /// Updates made before in the epoch under way.
    pub step_in_epoch: u64,
    /// The reports of the epochs finished before.
    pub history: &'a [EpochReport],
    /// Something that the user must know: `last` was damaged and `previous` is used.
    pub note: Option<&'a str>,
}

/// Where an epoch stands after an update.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Epochs in all.
    pub epochs: u32,
    /// Updates made in this epoch.
    pub step_in_epoch: u64,
    /// Updates in an epoch.
    pub steps_per_epoch: u64,
    /// What this update did.
    pub step: StepReport,
    /// Mean loss over the epoch's samples so far.
    pub loss: f64,
    /// Accuracy over the epoch's samples so far.
    pub accuracy: f64,
    /// Samples seen in this epoch.
    pub samples: u64,
    /// Samples that this run has trained on so far, in all its epochs.
    pub samples_seen: u64,
    /// Seconds of training so far, in all its epochs.
    pub train_seconds: f64,
}

/// Who watches a run, and may end it.
pub trait Observer: Send {
    /// Before the first update.
    fn start(&mut self, _start: &Start<'_>) {}
    /// After each update; it is on the clock, so it should do nothing most times.
    fn step(&mut self, _progress: &Progress) {}
    /// After each epoch, when its checkpoint is saved.
    fn epoch(&mut self, _report: &EpochReport) {}
    /// Whether to stop after the current update and save. Asked before each.
    fn stop_requested(&mut self) -> bool {
        false
    }
}

/// Watches nothing.
impl Observer for () {}

/// How a run ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Whether the observer ended it: it can be resumed, and there is no model file yet.
    pub interrupted: bool,
    /// Whether patience ended it.
    pub stopped_early: bool,
    /// The model file.
    pub model: PathBuf,
    /// Its SHA-256 in hex; `None` after an interruption.
    pub sha256: Option<String>,
    /// Epochs finished.
    pub epochs: u32,
    /// Updates made in the epoch under way, after an interruption.
    pub step_in_epoch: u64,
    /// The epoch of the lowest validation loss, if there is a validation set.
    pub best_epoch: Option<u32>,
    /// The report of the epoch that the model file is of: the best with patience, else the last.
    pub report: Option<EpochReport>,
    /// The model file over the validation samples, if there are any.
    pub val: Option<Metrics>,
    /// The model file over the test set, with its [`HARDEST`] samples.
    pub test: Option<Metrics>,
    /// As `val`, averaged over moves of each image, if the configuration asks for that.
    pub shifted_val: Option<Metrics>,
    /// As `test`, alike.
    pub shifted_test: Option<Metrics>,
    /// Every epoch's report.
    pub history: Vec<EpochReport>,
    /// Seconds of this call, evaluation and checkpoints included.
    pub seconds: f64,
    /// Seconds of training over the whole run, evaluation and checkpoints left out.
    pub train_seconds: f64,
    /// Training samples in a second of training.
    pub samples_per_second: f64,
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Threads of the pool.
    pub threads: usize,
    /// Threads that did a part of the work that is spread.
    pub workers_seen: u32,
    /// Seed.
    pub seed: u64,
}

/// Trains as `config` says and leaves a run directory at `out`; nothing is written before everything has been checked.
///
/// # Errors
/// [`TrainError`]: a value that breaks a rule, data other than the configuration names, a directory that exists (without `force`),
/// a loss that is not a number, a disk that refuses; [`TrainError::Stopped`] if the observer asks for that before there is anything to save.
pub fn run(
    config: &Config,
    data: &Splits,
    isa: Isa,
    threads: usize,
    out: &Path,
    force: bool,
    observer: &mut dyn Observer,
) -> Result<Summary, TrainError> {
    let started = Instant::now();
    let config = pinned(resolve(config, data, isa, threads)?)?;
    let text = config.to_toml()?;
    let mut trainer = Trainer::new(&config, data, isa, threads)?;
    if let Some(file) = &config.init {
        let mut weights = vec![0.0; trainer.graph().weights_len()];
        load_weights_into(file, trainer.graph(), &mut weights)?;
        trainer = trainer.with_weights(&weights)?;
    }
    if observer.stop_requested() {
        return Err(TrainError::Stopped);
    }
    if let Some(file) = config.init.as_deref().filter(|file| lies_in(file, out)) {
        let (key, rule) = (format!("init {}", file.display()), "first weights stay when a run is replaced");
        let expected = "another directory for the run than that of its first weights";
        return Err(ConfigError::new(key, rule, expected, out.display()).into());
    }
    let Buffers { m, v, average } = trainer.buffers();
    for numbers in [trainer.params().len(), m.len() + v.len() + average.len()] {
        check_size(out, size_of::<f32>() as u64 * numbers as u64)?;
    }
    let make = |error| TrainError::Io { file: out.to_owned(), action: "create", error };
    fs::create_dir_all(out).map_err(make)?;
    let _lock = DirLock::at_once(out)?;
    let dir = RunDir::create(out, force)?;
    write_atomic(&dir.config_path(), text.as_bytes())?;
    let run_id = format!("{:016x}", RandomState::new().build_hasher().finish()); // std's keys come from the system's entropy
    let mut run = Run { dir, run_id, history: Vec::new(), observer, started };
    run.save(&trainer)?; // so that a run killed in its first epoch can be resumed
    run.drive(&mut trainer, None)
}

/// The configuration of the run at `dir`.
///
/// # Errors
/// [`TrainError::Io`] if there is none, [`TrainError::Config`] if it is damaged.
pub fn config_of(dir: &Path) -> Result<Config, TrainError> {
    let file = dir.join("config.toml");
    Ok(Config::from_toml(&file, &read_text(&file)?)?)
}

/// Goes on with the run at `dir` from its newest save, to the same weights as if it had never stopped. `data` and `isa` must be what its
/// `config.toml` (see [`config_of`]) names. A run that is finished is evaluated again.
///
/// # Errors
/// As [`run`], [`TrainError::Checkpoint`] if no save is whole, and [`TrainError::Config`] naming the line of `metrics.jsonl` that is not the
/// report of its epoch.
pub fn resume(
    dir: &Path,
    data: &Splits,
    isa: Isa,
    threads: usize,
    observer: &mut dyn Observer,
) -> Result<Summary, TrainError> {
    let started = Instant::now();
    let begun = config_of(dir)?;
    if let Some(name) = begun.isa.as_deref().filter(|name| *name != isa.name()) {
        let rule = "a run goes on with the instruction set that it began with";
        return Err(ConfigError::new(format!("{}: isa", dir.display()), rule, name, isa.name()).into());
    }
    let config = resolve(&begun, data, isa, threads)?;
    let _lock = DirLock::at_once(dir)?;
    let dir = RunDir::open(dir)?;
    let loaded = dir.load()?;
    let mut trainer = Trainer::new(&config, data, isa, threads)?;
    loaded.model.expect_graph(dir.path(), trainer.graph())?;
    if loaded.model.meta != trainer.meta() {
        let (expected, found) = (format!("{:?}", loaded.model.meta), format!("{:?}", trainer.meta()));
        return Err(TrainError::Mismatch { what: "data to resume with is normalised as before", expected, found });
    }
    let state = &loaded.state;
    let best = state.best_epoch.map(|_| dir.load_best(&state.run_id)).transpose()?;
    if let Some(best) = &best {
        best.expect_graph(dir.path(), trainer.graph())?;
    }
    let best = best.as_ref().map(|best| best.params.as_slice());
    trainer.restore(state, &loaded.model.params, loaded.buffers(), best)?;

    let history = keep_lines(&dir.metrics_path(), state.epoch)?;
    trainer.add_epoch_seconds(state.train_seconds - history.iter().map(|report| report.seconds).sum::<f64>());
    let mut run = Run { dir, run_id: state.run_id.clone(), history, observer, started };
    run.drive(&mut trainer, loaded.note.as_deref())
}

/// Fills in what the run found out, and refuses data that the configuration does not mean.
pub(super) fn resolve(config: &Config, data: &Splits, isa: Isa, threads: usize) -> Result<Config, TrainError> {
    config.validate()?;
    let found = DatasetHashes::of(data);
    if let Some(expected) = &config.dataset {
        let fields = [
            ("train-images", &expected.train_images, &found.train_images),
            ("train-labels", &expected.train_labels, &found.train_labels),
            ("t10k-images", &expected.test_images, &found.test_images),
            ("t10k-labels", &expected.test_labels, &found.test_labels),
        ];
        if let Some((file, expected, found)) = fields.into_iter().find(|(_, expected, found)| expected != found) {
            let (key, rule) =
                (format!("data {}: {file}", config.data), "the data is that of the configuration, by SHA-256");
            return Err(ConfigError::new(key, rule, expected, found).into());
        }
    }
    let isa = Some(isa.name().to_owned());
    Ok(Config { threads: Some(threads.max(1)), isa, dataset: Some(found), ..config.clone() })
}

/// Whether a file lies in a directory, by whatever name.
fn lies_in(file: &Path, dir: &Path) -> bool {
    fs::canonicalize(file).is_ok_and(|file| fs::canonicalize(dir).is_ok_and(|dir| file.starts_with(dir)))
}

/// The text of a file that a run or a sweep has written.
pub(super) fn read_text(file: &Path) -> Result<String, TrainError> {
    read_at_most(file, MAX_TEXT).map_err(|error| TrainError::Io { file: file.to_owned(), action: "read", error })
}

/// The text of a file of up to `most` bytes; a longer one is refused, as what is cut short may say something else.
///
/// # Errors
/// What the system says; [`io::ErrorKind::FileTooLarge`] for a longer one.
pub fn read_at_most(file: &Path, most: u64) -> io::Result<String> {
    let text = io::read_to_string(io::Read::take(File::open(file)?, most + 1))?;
    if text.len() as u64 > most {
        let words = format!("expected at most {most} bytes, found more");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
    }
    Ok(text)
}

/// The same, empty if there is no such file.
pub(super) fn text_or_none(file: &Path) -> Result<String, TrainError> {
    match read_text(file) {
        Err(TrainError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        text => text,
    }
}

/// The reports of the first `epochs` epochs; others, of epochs that will run again, are cut off the file.
///
/// # Errors
/// [`TrainError::Config`] if one of their lines is damaged: cutting it off would lose what follows. A file that is not there has none.
fn keep_lines(file: &Path, epochs: u32) -> Result<Vec<EpochReport>, TrainError> {
    let text = text_or_none(file)?;
    let (kept, history) = first_lines(&text, epochs);
    let lost = history.last().map_or(epochs > 0, |last| last.epoch < epochs);
    let later = |line: &&str| serde_json::from_str::<EpochReport>(line).is_ok_and(|report| report.epoch > epochs);
    if let Some(line) = text.lines().nth(history.len()).filter(|line| lost && !later(line)) {
        let (key, rule) = (format!("{}: line {}", file.display(), history.len() + 1), "each finished epoch has a line");
        let expected = format!("the report of an epoch up to {epochs}, or no such file to go on without them");
        let found = line.chars().take(80).collect::<String>();
        return Err(ConfigError::new(key, rule, expected, format!("`{found}`")).into());
    }
    if kept != text {
        write_atomic(file, kept.as_bytes())?;
    }
    Ok(history)
}

/// The reports of the first `epochs` epochs of the run at `dir`.
pub(super) fn history_of(dir: &Path, epochs: u32) -> Result<Vec<EpochReport>, TrainError> {
    Ok(first_lines(&text_or_none(&dir.join("metrics.jsonl"))?, epochs).1)
}

/// The lines of `metrics.jsonl` that are the first `epochs` epochs, and what they say.
fn first_lines(text: &str, epochs: u32) -> (String, Vec<EpochReport>) {
    let mut kept = String::new();
    let mut history: Vec<EpochReport> = Vec::new();
    for line in text.lines() {
        // A line cut short by a kill is the last one, and of an epoch that was not saved.
        let Ok(report) = serde_json::from_str::<EpochReport>(line) else { break };
        if report.epoch > epochs || history.last().is_some_and(|last| last.epoch >= report.epoch) {
            break;
        }
        kept.push_str(line);
        kept.push('\n');
        history.push(report);
    }
    (kept, history)
}

/// A run under way.
struct Run<'a> {
    dir: RunDir,
    run_id: String,
    history: Vec<EpochReport>,
    observer: &'a mut dyn Observer,
    started: Instant,
}

impl Run<'_> {
    fn drive(&mut self, trainer: &mut Trainer<'_>, note: Option<&str>) -> Result<Summary, TrainError> {
        let State { epoch, step_in_epoch, .. } = trainer.state();
        self.observer.start(&Start {
            config: trainer.config(),
            graph: trainer.graph(),
            train_samples: trainer.train_samples(),
            val_samples: trainer.val_samples(),
            test_samples: trainer.test_samples(),
            steps_per_epoch: trainer.steps_per_epoch(),
            epoch,
            step_in_epoch,
            history: &self.history,
            note,
        });
        while !trainer.finished() {
            while !trainer.epoch_done() {
                let observer = &mut *self.observer;
                let stopped = trainer.in_turn(|trainer, steps| {
                    for _ in 0..steps {
                        if trainer.epoch_done() {
                            break;
                        }
                        if observer.stop_requested() {
                            return Ok::<bool, TrainError>(true);
                        }
                        let step = trainer.step()?;
                        observer.step(&trainer.progress(step));
                    }
                    Ok(false)
                })?;
                if stopped {
                    self.save(trainer)?;
                    return Ok(self.summary(trainer, true));
                }
            }
            let report = trainer.finish_epoch()?;
            self.append(&report)?;
            if trainer.state().best_epoch == Some(report.epoch) {
                // Before the state that names it: a kill in between only makes that epoch run again, to the same weights.
                self.dir.save_best(trainer.graph(), trainer.evaluated(), &trainer.meta(), &self.state(trainer))?;
            }
            self.save(trainer)?;
            self.observer.epoch(&report);
            self.history.push(report);
        }
        if trainer.config().patience.is_some() {
            trainer.restore_best();
        }
        let mut summary = self.summary(trainer, false);
        let sha256 = self.dir.save_result(trainer.graph(), trainer.evaluated(), &trainer.meta(), trainer.updates())?;
        summary.sha256 = Some(sha256);
        summary.val = trainer.evaluate_val(0)?;
        summary.test = Some(trainer.evaluate_test(HARDEST, 0)?);
        let shift = trainer.config().test_shift;
        if shift > 0 {
            summary.shifted_val = trainer.evaluate_val(shift)?;
            summary.shifted_test = Some(trainer.evaluate_test(HARDEST, shift)?);
        }
        summary.seconds = self.started.elapsed().as_secs_f64();
        Ok(summary)
    }

    fn state(&self, trainer: &Trainer<'_>) -> State {
        State { run_id: self.run_id.clone(), ..trainer.state() }
    }

    fn save(&self, trainer: &Trainer<'_>) -> Result<(), TrainError> {
        let state = self.state(trainer);
        Ok(self.dir.save(trainer.graph(), trainer.params(), &trainer.meta(), &state, trainer.buffers())?)
    }

    /// Adds a line to `metrics.jsonl`.
    fn append(&self, report: &EpochReport) -> Result<(), TrainError> {
        let file = self.dir.metrics_path();
        let write = || -> io::Result<()> {
            let mut line = serde_json::to_string(report)?;
            line.push('\n');
            let mut file = OpenOptions::new().create(true).append(true).open(&file)?;
            file.write_all(line.as_bytes())?;
            file.sync_data() // the save that follows says that the epoch is over
        };
        write().map_err(|error| TrainError::Io { file: file.clone(), action: "write", error })
    }

    fn summary(&self, trainer: &Trainer<'_>, interrupted: bool) -> Summary {
        let State { epoch, step_in_epoch, best_epoch, train_seconds, .. } = trainer.state();
        let model_epoch = if trainer.config().patience.is_some() { best_epoch } else { Some(epoch) };
        let samples_per_second = if train_seconds > 0.0 { trainer.samples_seen() as f64 / train_seconds } else { 0.0 };
        Summary {
            interrupted,
            stopped_early: trainer.stopped_early(),
            model: self.dir.model_path(),
            sha256: None,
            epochs: epoch,
            step_in_epoch,
            best_epoch,
            report: self.history.iter().find(|report| Some(report.epoch) == model_epoch).cloned(),
            val: None,
            test: None,
            shifted_val: None,
            shifted_test: None,
            history: self.history.clone(),
            seconds: self.started.elapsed().as_secs_f64(),
            train_seconds,
            samples_per_second,
            isa: trainer.isa(),
            threads: trainer.threads(),
            workers_seen: trainer.workers_seen(),
            seed: trainer.config().seed,
        }
    }
}

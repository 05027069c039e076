//! The directory of a training run: what it resumes from, its best weights and its result.
//!
//! ```text
//! RUN/.inkstone-run       marks the directory as ours: `--force` replaces no other
//! RUN/config.toml         the resolved configuration           (written by the trainer)
//! RUN/metrics.jsonl       a line for each epoch                (written by the trainer)
//! RUN/model.safetensors   the result
//! RUN/last/               model.safetensors and optimizer.safetensors of the newest save
//! RUN/previous/           the same of the save before
//! RUN/best/               model.safetensors of the best epoch
//! ```
//! The two files of a save cannot be renamed together, so a save is a directory: written as `last.tmp`, flushed, then
//! `last` becomes `previous` and `last.tmp` becomes `last`. At every moment one of the two is whole. Both files name the run
//! and the step, and the optimizer's names the model's SHA-256.

use super::atomic::{sync_dir, write_new};
use super::model::{self, Meta, Model, RunTag};
use super::sealed::{self, Contents, Values, hex_sha256};
use super::{CheckpointError, save_model, write_atomic};
use crate::graph::Graph;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const MARKER: &str = ".inkstone-run";
const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.jsonl";
const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const LAST: &str = "last";
const LAST_NEW: &str = "last.tmp";
const PREVIOUS: &str = "previous";
const BEST: &str = "best";

/// Where a run stands, besides its weights: enough to go on as if it had never stopped.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Identity of the run.
    pub run_id: String,
    /// Updates made.
    pub step: u64,
    /// Epochs finished.
    pub epoch: u32,
    /// Updates made in the epoch under way.
    pub step_in_epoch: u64,
    /// Running sums of the epoch under way.
    pub sums: RunningSums,
    /// Lowest validation loss so far.
    pub best_loss: Option<f64>,
    /// The epoch that had it.
    pub best_epoch: Option<u32>,
    /// Epochs since, for early stopping.
    pub bad_epochs: u32,
    /// Seconds spent training, evaluation and checkpoints left out.
    pub train_seconds: f64,
}

/// What the epoch under way has summed over its samples.
#[derive(Copy, Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunningSums {
    /// Losses.
    pub loss_sum: f64,
    /// Samples classified correctly.
    pub correct: u64,
    /// Samples seen.
    pub samples: u64,
}

/// What a run carries on beside its weights; each is empty if it has none.
#[derive(Copy, Clone, PartialEq, Debug, Default)]
pub struct Buffers<'a> {
    /// The optimizer's first moment, as long as the parameters.
    pub m: &'a [f32],
    /// Its second moment or velocity, alike.
    pub v: &'a [f32],
    /// The average of the weights, as long as parameters and running statistics.
    pub average: &'a [f32],
}

/// A save, read back.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// Network, weights, normalisation.
    pub model: Model,
    /// Where the run stood.
    pub state: State,
    /// As [`Buffers::m`].
    pub m: Vec<f32>,
    /// As [`Buffers::v`].
    pub v: Vec<f32>,
    /// As [`Buffers::average`].
    pub average: Vec<f32>,
    /// If `last` could not be used: why, and what was used instead. To be shown.
    pub note: Option<String>,
}

impl Loaded {
    /// All that the run carried on beside its weights.
    #[must_use]
    pub fn buffers(&self) -> Buffers<'_> {
        Buffers { m: &self.m, v: &self.v, average: &self.average }
    }
}

/// The metadata of an optimizer file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    state: State,
    /// Elements of `m` and `v`; 0 if the file has none.
    moments: [usize; 2],
    /// Elements of the averaged weights; 0 if the file has none, as those written before there were averages.
    #[serde(default, skip_serializing_if = "is_zero")]
    average: usize,
    model_sha256: String,
}

/// Whether a count need not be written.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The names of an optimizer file's tensors, in their order.
const TENSORS: [&str; 3] = ["m", "v", "average"];

/// Refuses buffers that are neither empty nor as long as the network asks for.
fn check_lens(file: &Path, graph: &Graph, lens: [usize; 3]) -> Result<(), CheckpointError> {
    let (params, weights) = (graph.param_count(), graph.weights_len());
    for ((name, expected), len) in TENSORS.into_iter().zip([params, params, weights]).zip(lens) {
        if len != 0 && len != expected {
            let rule = "moments must be as many as parameters, averages as many as weights";
            let (expected, found) = (format!("0 or {expected} values of `{name}`"), len.to_string());
            return Err(CheckpointError::rule(file, rule, expected, found));
        }
    }
    Ok(())
}

/// A run's directory.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Whether `last` is known to be whole: a damaged one must not take the place of `previous`.
    last_is_whole: AtomicBool,
}

impl RunDir {
    /// Makes the directory of a new run. An existing run is replaced only by `force`, which removes the files that runs
    /// have and no other.
    ///
    /// # Errors
    /// [`CheckpointError::Rule`] if the directory holds a run and not `force`, or if it holds anything but a run;
    /// [`CheckpointError::Io`] if it cannot be made.
    pub fn create(path: &Path, force: bool) -> Result<Self, CheckpointError> {
        let run = Self { path: path.to_path_buf(), last_is_whole: AtomicBool::new(false) };
        fs::create_dir_all(path).map_err(CheckpointError::io(path, "create"))?;
        let names = names_in(path)?;
        // All that a kill leaves before the marker stands is the marker half written: that is no one's directory yet.
        let cut_short = |name: &String| {
            name.strip_prefix('.').is_some_and(|rest| rest.starts_with(MARKER) && rest.ends_with(".tmp"))
        };
        if names.iter().all(cut_short) {
            names.iter().try_for_each(|name| remove_file(&path.join(name)))?;
        } else {
            run.clear(force)?;
        }
        write_atomic(&run.path.join(MARKER), b"A training run of inkstone, format 1.\n")?;
        Ok(run)
    }

    /// The directory of a run that exists, to resume it.
    ///
    /// # Errors
    /// [`CheckpointError::Rule`] if `path` is no directory with a `last` or `previous` in it.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let names = names_in(path)?;
        if !names.iter().any(|name| name == LAST || name == PREVIOUS) {
            let rule = "only a run that has saved can be resumed";
            let (expected, found) = (format!("a directory `{LAST}` or `{PREVIOUS}`"), list(&names));
            return Err(CheckpointError::rule(path, rule, expected, found));
        }
        Ok(Self { path: path.to_path_buf(), last_is_whole: AtomicBool::new(false) })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Place of the resolved configuration.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// Place of the epochs' metrics.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// Place of the result.
    pub fn model_path(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// Saves weights, state and what else the run carries on as `last`; the save before becomes `previous`.
    ///
    /// # Errors
    /// [`CheckpointError`] if the state holds a number that is not finite or a buffer has another length than the network asks
    /// for, or if the disk refuses; the earlier saves are then as they were.
    pub fn save(
        &self,
        graph: &Graph,
        params: &[f32],
        meta: &Meta,
        state: &State,
        buffers: Buffers<'_>,
    ) -> Result<(), CheckpointError> {
        let new = self.path.join(LAST_NEW);
        let model = model::encode(&new.join(MODEL), graph, params, meta, state.step, Some(tag(state)))?;
        let optimizer = encode_optimizer(&new.join(OPTIMIZER), state, graph, buffers, hex_sha256(&[&model]))?;

        remove_save(&new)?; // left by a save that was cut short
        fs::create_dir(&new).map_err(CheckpointError::io(&new, "create"))?;
        let written = [(MODEL, &model), (OPTIMIZER, &optimizer)].into_iter().try_for_each(|(name, bytes)| {
            let file = new.join(name);
            write_new(&file, bytes).map_err(CheckpointError::io(&file, "write"))
        });
        let flushed = written.and_then(|()| sync_dir(&new).map_err(CheckpointError::io(&new, "flush")));
        if let Err(error) = flushed {
            let _ = remove_save(&new); // the first error is the one to report
            return Err(error);
        }
        self.rotate(&new)
    }

    /// `last` becomes `previous` if it is whole, and `new` becomes `last`.
    fn rotate(&self, new: &Path) -> Result<(), CheckpointError> {
        let (last, previous) = (self.path.join(LAST), self.path.join(PREVIOUS));
        let whole = self.last_is_whole.swap(false, Ordering::Relaxed) || load_save(&last).is_ok();
        if whole {
            remove_save(&previous)?;
            fs::rename(&last, &previous).map_err(CheckpointError::io(&last, "rename"))?;
        } else {
            remove_save(&last)?;
        }
        fs::rename(new, &last).map_err(CheckpointError::io(new, "rename"))?;
        sync_dir(&self.path).map_err(CheckpointError::io(&self.path, "flush"))?;
        self.last_is_whole.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Reads the newest save that is whole: `last`, else `previous` with a note that says so.
    ///
    /// # Errors
    /// [`CheckpointError::Rule`] saying what is wrong with both.
    pub fn load(&self) -> Result<Loaded, CheckpointError> {
        let damage = match load_save(&self.path.join(LAST)) {
            Ok(loaded) => {
                self.last_is_whole.store(true, Ordering::Relaxed);
                return Ok(loaded);
            }
            Err(damage) => damage,
        };
        match load_save(&self.path.join(PREVIOUS)) {
            Ok(mut loaded) => {
                let State { epoch, step, .. } = loaded.state;
                loaded.note = Some(format!("{damage}; going on from `{PREVIOUS}`: epoch {epoch}, step {step}"));
                Ok(loaded)
            }
            Err(other) => {
                let found = format!("({damage}) and ({other})");
                Err(CheckpointError::rule(&self.path, "a run resumes from a save", "one that is whole", found))
            }
        }
    }

    /// Keeps the weights of the best epoch.
    ///
    /// # Errors
    /// As [`save_model`].
    pub fn save_best(&self, graph: &Graph, params: &[f32], meta: &Meta, state: &State) -> Result<(), CheckpointError> {
        let file = self.path.join(BEST).join(MODEL);
        let bytes = model::encode(&file, graph, params, meta, state.step, Some(tag(state)))?;
        let dir = self.path.join(BEST);
        fs::create_dir_all(&dir).map_err(CheckpointError::io(&dir, "create"))?;
        write_atomic(&file, &bytes)
    }

    /// The weights of the best epoch.
    ///
    /// # Errors
    /// [`CheckpointError`] if there are none, or they are damaged, or another run's than `run_id`.
    pub fn load_best(&self, run_id: &str) -> Result<Model, CheckpointError> {
        let file = self.path.join(BEST).join(MODEL);
        let model = model::load_model(&file)?;
        match &model.run {
            Some(run) if run.run_id == run_id => Ok(model),
            run => {
                let found = run.as_ref().map_or_else(|| "none".to_owned(), |run| format!("`{}`", run.run_id));
                Err(CheckpointError::rule(&file, "must belong to this run", format!("run `{run_id}`"), found))
            }
        }
    }

    /// Writes the run's result and returns its SHA-256 in hex.
    ///
    /// # Errors
    /// As [`save_model`].
    pub fn save_result(
        &self,
        graph: &Graph,
        params: &[f32],
        meta: &Meta,
        updates: u64,
    ) -> Result<String, CheckpointError> {
        save_model(&self.model_path(), graph, params, meta, updates)
    }

    /// Removes an old run, and nothing that a run does not have.
    fn clear(&self, force: bool) -> Result<(), CheckpointError> {
        let names = names_in(&self.path)?;
        let is_run = names.iter().any(|name| name == MARKER);
        if !(is_run && force) {
            let rule = "a run is not overwritten, and no other directory becomes one";
            let found =
                if is_run { "a run (--force replaces it, --resume continues it)".to_owned() } else { list(&names) };
            return Err(CheckpointError::rule(&self.path, rule, "a new or empty directory", found));
        }
        let saves = [LAST_NEW, LAST, PREVIOUS, BEST].map(|name| self.path.join(name));
        saves.iter().try_for_each(|dir| only_ours(dir).map(drop))?; // before anything is removed
        saves.iter().try_for_each(|dir| remove_save(dir))?;
        [CONFIG, METRICS, MODEL].iter().try_for_each(|name| remove_file(&self.path.join(name)))
    }
}

fn tag(state: &State) -> RunTag {
    RunTag { run_id: state.run_id.clone(), step: state.step }
}

/// The bytes of an optimizer file.
fn encode_optimizer(
    file: &Path,
    state: &State,
    graph: &Graph,
    Buffers { m, v, average }: Buffers<'_>,
    model_sha256: String,
) -> Result<Vec<u8>, CheckpointError> {
    check_lens(file, graph, [m.len(), v.len(), average.len()])?;
    let numbers = [
        ("loss_sum", state.sums.loss_sum),
        ("train_seconds", state.train_seconds),
        ("best_loss", state.best_loss.unwrap_or(0.0)),
    ];
    if let Some((name, number)) = numbers.into_iter().find(|(_, number)| !number.is_finite()) {
        return Err(CheckpointError::rule(
            file,
            "a run's state holds finite numbers",
            format!("a finite {name}"),
            number.to_string(),
        ));
    }
    let body = Body { state: state.clone(), moments: [m.len(), v.len()], average: average.len(), model_sha256 };
    let tensors = TENSORS.into_iter().zip([m, v, average]).filter(|(_, values)| !values.is_empty());
    sealed::encode(
        file,
        &body,
        tensors.map(|(name, values)| (name.to_owned(), vec![values.len()], Values::F32(values))).collect(),
    )
}

/// Reads both files of a save and checks that they belong together.
fn load_save(dir: &Path) -> Result<Loaded, CheckpointError> {
    let model = model::load_model(&dir.join(MODEL))?;
    let file = dir.join(OPTIMIZER);
    let bytes = sealed::read_file(&file)?;
    let contents = Contents::parse(&file, &bytes)?;
    let (body, seal) = contents.body::<Body>(&file)?;
    let lens = [body.moments[0], body.moments[1], body.average];
    check_lens(&file, &model.graph, lens)?;
    let shapes: Vec<(&str, &[usize])> =
        TENSORS.into_iter().zip(lens.chunks(1)).filter(|(_, len)| len[0] != 0).collect();
    let found = contents.tensors(&file, &shapes, &[])?;
    sealed::check(&file, &seal, &body, &found.iter().map(|values| Values::F32(values)).collect::<Vec<_>>())?;
    let belongs = model.run.as_ref() == Some(&tag(&body.state)) && model.sha256 == body.model_sha256;
    if !belongs {
        let of = |run: &RunTag, sha256: &str| format!("run `{}`, step {}, SHA-256 {sha256}", run.run_id, run.step);
        let expected = format!("a model of {}", of(&tag(&body.state), &body.model_sha256));
        let found = model.run.as_ref().map_or_else(|| "one of no run".to_owned(), |run| of(run, &model.sha256));
        return Err(CheckpointError::rule(&file, "model and optimizer must be of one save", expected, found));
    }
    let mut found = found.into_iter();
    let [m, v, average] = lens.map(|len| if len == 0 { Vec::new() } else { found.next().unwrap_or_default() });
    Ok(Loaded { model, state: body.state, m, v, average, note: None })
}

/// The names in a directory, sorted.
fn names_in(dir: &Path) -> Result<Vec<String>, CheckpointError> {
    let read = || -> std::io::Result<Vec<String>> {
        let lossy = |name: &OsStr| name.to_string_lossy().into_owned();
        let mut names: Vec<_> =
            fs::read_dir(dir)?.map(|entry| Ok(lossy(&entry?.file_name()))).collect::<Result<_, std::io::Error>>()?;
        names.sort_unstable();
        Ok(names)
    };
    read().map_err(CheckpointError::io(dir, "list"))
}

/// The names in the directory of a save, or none if there is no such directory; refuses one that holds other files.
fn only_ours(dir: &Path) -> Result<Vec<String>, CheckpointError> {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(CheckpointError::io(dir, "read")(error)),
        Ok(info) if info.is_dir() => {}
        Ok(_) => {
            let rule = "is not removed, since inkstone did not make it";
            return Err(CheckpointError::rule(dir, rule, "a directory", "a file or a link"));
        }
    }
    let names = names_in(dir)?;
    // Files of ours, and what a write of theirs that was cut short has left.
    let ours = |name: &str| {
        [MODEL, OPTIMIZER].iter().any(|file| {
            name == *file || name.strip_prefix('.').is_some_and(|rest| rest.starts_with(file) && rest.ends_with(".tmp"))
        })
    };
    match names.iter().find(|name| !ours(name)) {
        None => Ok(names),
        Some(other) => {
            let rule = "is not removed while it holds files that inkstone did not write";
            Err(CheckpointError::rule(dir, rule, format!("only {MODEL} and {OPTIMIZER}"), format!("`{other}`")))
        }
    }
}

/// Removes the directory of a save, if there is one and nothing else is in it.
fn remove_save(dir: &Path) -> Result<(), CheckpointError> {
    only_ours(dir)?.iter().try_for_each(|name| remove_file(&dir.join(name)))?;
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(CheckpointError::io(dir, "remove")(error)),
        _ => Ok(()),
    }
}

/// Removes a file, if there is one.
fn remove_file(file: &Path) -> Result<(), CheckpointError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(CheckpointError::io(file, "remove")(error)),
        _ => Ok(()),
    }
}

/// The first few names, for an error message.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 4;
    match names.len() {
        0 => "nothing".to_owned(),
        len if len <= SHOWN => names.join(", "),
        len => format!("{} and {} more", names[..SHOWN].join(", "), len - SHOWN),
    }
}

//! `inkstone train`: a network learns, into a run directory that can be resumed.

use super::machine::Machine;
use super::progress::{Watcher, on_ctrl_c};
use super::screen::{bytes, duration, grouped};
use super::settings::{Settings, apply_data};
use super::{End, Screen, Usage, shell_word, summary};
use anyhow::Context;
use clap::Args;
use inkstone::data::{Source, Splits};
use inkstone::graph::Plan;
use inkstone::kernels::Isa;
use inkstone::train::run::{config_of, read_at_most};
use inkstone::train::{Config, Metrics, Summary, TrainError, resume, run};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Flags beside which `--resume` makes no sense. (Named one by one: of a group, clap would list every flag in its message.)
const FIXED_BY_THE_RUN: [&str; 34] = [
    "model",
    "activation",
    "initializer",
    "bias",
    "init",
    "normalize",
    "augment",
    "split",
    "limit",
    "no_shuffle",
    "optimizer",
    "lr",
    "momentum",
    "reset_velocity",
    "schedule",
    "warmup",
    "reduction",
    "epochs",
    "batch",
    "seed",
    "dropout",
    "weight_decay",
    "l1",
    "l2",
    "label_smoothing",
    "clip_norm",
    "average",
    "test_shift",
    "patience",
    "exact_train_metrics",
    "out",
    "force",
    "config",
    "isa",
];

/// Largest file that `--config` reads.
const MAX_CONFIG: u64 = 1 << 20;

/// Train a network on a set of handwritten digits.
///
/// Without any flag: 784-512-10 with ReLU, Adam at 0.001 with a cosine schedule, batches of 200, 15 epochs of MNIST.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  inkstone train\n  inkstone train --model linear --lr 5e-4 --epochs 30\n  inkstone train --model mlp:256,128 --split 10000 --patience 3 --epochs 50\n  inkstone train --model cnn --batch 64 --epochs 5 --augment rotate=10,translate=0.1\n  inkstone train --resume runs/mlp-512-s1",
    after_long_help = LONG_HELP
)]
pub(crate) struct Train {
    #[command(flatten)]
    settings: Settings,
    /// mnist, or a folder with four IDX files [default: mnist, in $INKSTONE_DATA or ./data/mnist]
    #[arg(long, value_name = "mnist|DIR", help_heading = "Data")]
    data: Option<Source>,
    /// Directory of the run [default: runs/MODEL-sSEED, as runs/mlp-512-s1]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    out: Option<PathBuf>,
    /// Replace the run that is in the directory
    #[arg(long, help_heading = "Run")]
    force: bool,
    /// Go on with the run in DIR where it stopped: bit-identical to a run that was never stopped
    ///
    /// Its settings are those of DIR/config.toml; only --data and --threads may be given anew.
    #[arg(long, value_name = "DIR", help_heading = "Run", conflicts_with_all = FIXED_BY_THE_RUN)]
    resume: Option<PathBuf>,
    /// Settings in TOML, as a run's config.toml: flags override the file, the file overrides the defaults
    #[arg(long, value_name = "FILE.toml", help_heading = "Run")]
    config: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

const LONG_HELP: &str = "\
Penalties, and which flag is which convention:
  --l1 X             loss + X * sum |w|    gradient + X * sign(w)   weights only (--bias input: all)
  --l2 X             loss + X * sum w^2    gradient + 2 * X * w     weights only (--bias input: all)
  --weight-decay X                         gradient + X * w         biases too
Reported losses are without penalties.

The run directory holds
  config.toml        the resolved settings: --config takes them and re-runs the same training
  metrics.jsonl      a line for each epoch
  model.safetensors  the weights, of the best epoch with --patience, else of the last;
                     torch's load_state_dict takes what safetensors' load_file reads of it
  last, previous, best   what --resume goes on from
Ctrl-C finishes the step, saves, and says how to go on; a second one ends at once.

Examples:
  inkstone train
  inkstone train --model linear --lr 5e-4 --epochs 30
  inkstone train --model mlp:256,128 --split 10000 --patience 3 --epochs 50
  inkstone train --resume runs/mlp-512-s1";

impl Train {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let mut config = match (&self.resume, &self.config) {
            (Some(dir), _) => config_of(dir)?,
            (None, Some(file)) => read_config(file)?,
            (None, None) => Config::default(),
        };
        let alone = config.validate();
        self.settings.clone().apply(&mut config);
        apply_data(self.data.clone(), &mut config);
        config.validate().map_err(|error| match &self.config {
            Some(file) if alone.as_ref() == Err(&error) => Usage::error(error.in_file().at(file)), // no flag has to do with it
            _ => Usage::error(format_args!("--{error}")),
        })?;
        if let Some(error) = self.settings.without_effect(&config).filter(|_| self.resume.is_none()) {
            return Err(Usage::error(error));
        }
        let threads = self.machine.threads.or(config.threads).unwrap_or_else(|| self.machine.threads());
        let isa = self.isa(&config)?;
        let out = self.resume.clone().or_else(|| self.out.clone()).unwrap_or_else(|| default_out(&config));

        let stop = on_ctrl_c()?;
        let data = config.data.load()?;
        if let Some(split) = config.split {
            let val = split.of(data.train.len()).map_err(Usage::error)?;
            config.validate_val(val).map_err(|error| Usage::error(format_args!("--{error}")))?;
        }
        check_memory(&config, &data, ["--model", "--batch"])?;
        let mut watcher = Watcher::new(screen, &out, stop);
        let summary = match &self.resume {
            Some(dir) => resume(dir, &data, isa, threads, &mut watcher),
            None => run(&config, &data, isa, threads, &out, self.force, &mut watcher),
        };
        drop(watcher); // the bar goes before the next words come
        let summary = match summary {
            Err(TrainError::Stopped) => {
                screen.say("Stopped before the first update: nothing was written.");
                return Ok(End::Interrupted);
            }
            summary => summary?,
        };
        close(screen, &summary, &data, &out);
        screen.answer("train", &answer(&summary, &out));
        Ok(if summary.interrupted { End::Interrupted } else { End::Done })
    }

    /// The instruction set: forced by the flag, else by the configuration, else the best.
    fn isa(&self, config: &Config) -> anyhow::Result<Isa> {
        match (self.machine.isa, &config.isa) {
            (None, Some(name)) => Isa::from_name(name).map_err(|error| {
                let way = match &self.resume {
                    Some(dir) => {
                        let config = shell_word(&dir.join("config.toml"));
                        format!(
                            "a run goes on where it has its instruction set; to begin anew, --config {config} --isa"
                        )
                    }
                    None => "--isa forces another".to_owned(),
                };
                Usage::error(format_args!("the configuration's isa \"{name}\": {error}; {way}"))
            }),
            _ => Ok(self.machine.isa()),
        }
    }
}

/// Refuses a network or a batch that this machine cannot hold, before allocating it would end the process; `names` are what the command
/// calls the two.
pub(super) fn check_memory(config: &Config, data: &Splits, names: [&str; 2]) -> anyhow::Result<()> {
    let graph = config.graph(data.train.rows(), data.train.cols(), data.train.classes());
    let graph = graph.map_err(|error| match error {
        // A flag asks for what the network has no place for; what is wrong with a file of layers names the file.
        TrainError::Config(error) if ["model", "dropout"].contains(&error.key.as_str()) => {
            Usage::error(format_args!("--{error}"))
        }
        error => error.into(),
    })?;
    let arena = Plan::training(&graph, config.batch.min(data.train.len())).map(|plan| plan.arena_len());
    let floats = arena.unwrap_or(usize::MAX).saturating_add(graph.param_count().saturating_mul(4)); // weights, gradients, m, v
    let fits = Vec::<f32>::new().try_reserve_exact(floats).is_ok(); // asks for it, touches none of it
    if fits {
        return Ok(());
    }
    let (model, batch, needed) = (&config.model, config.batch, bytes((floats as u64).saturating_mul(4)));
    let [model_is, batch_is] = names;
    Err(Usage::error(format_args!(
        "{model_is} {model} {batch_is} {batch}: network and batch fit in memory: expected smaller ones, found {needed}"
    )))
}

/// `runs/mlp-512-s1`
fn default_out(config: &Config) -> PathBuf {
    Path::new("runs").join(format!("{}-s{}", config.model.slug(), config.seed))
}

/// The settings in a file.
fn read_config(file: &Path) -> anyhow::Result<Config> {
    let text = read_at_most(file, MAX_CONFIG).with_context(|| format!("{}: cannot be read", file.display()))?;
    Config::parse_toml(file, &text).map_err(Usage::error)
}

/// The results as JSON: the keys that the design names, then what else the screen shows.
fn answer(summary: &Summary, out: &Path) -> serde_json::Value {
    let loss = |metrics: &Option<Metrics>| metrics.as_ref().map(|metrics| metrics.loss);
    let accuracy = |metrics: &Option<Metrics>| metrics.as_ref().map(|metrics| metrics.accuracy);
    let (report, test) = (summary.report.as_ref(), summary.test.as_ref());
    json!({
        "model": (!summary.interrupted).then(|| summary.model.display().to_string()),
        "sha256": summary.sha256,
        "epochs": summary.epochs,
        "best_epoch": summary.best_epoch,
        "train_loss": report.map(|report| report.train_loss),
        "train_accuracy": report.map(|report| report.train_accuracy),
        "val_loss": loss(&summary.val),
        "val_accuracy": accuracy(&summary.val),
        "test_loss": loss(&summary.test),
        "test_accuracy": accuracy(&summary.test),
        "shifted_val_accuracy": accuracy(&summary.shifted_val),
        "shifted_test_loss": loss(&summary.shifted_test),
        "shifted_test_accuracy": accuracy(&summary.shifted_test),
        "seconds": summary.seconds,
        "samples_per_second": summary.samples_per_second,
        "isa": summary.isa.name(),
        "threads": summary.threads,
        "seed": summary.seed,
        "run": out.display().to_string(),
        "interrupted": summary.interrupted,
        "stopped_early": summary.stopped_early,
        "workers": summary.workers_seen,
        "per_class_accuracy": test.map(Metrics::per_class_accuracy),
        "confusion": test.map(|test| &test.confusion),
        "hardest": test.map(|test| &test.hardest),
    })
}

/// A test over moves of each image, in a line.
fn shifted_line(screen: &Screen, shifted: &Metrics) -> String {
    format!(
        "test accuracy {}   test loss {}  over moves of each image",
        screen.bold(format_args!("{:.2} %", 100.0 * shifted.accuracy)),
        screen.bold(format_args!("{:.4}", shifted.loss))
    )
}

/// The last words of a run.
fn close(screen: &Screen, summary: &Summary, data: &Splits, out: &Path) {
    if summary.interrupted {
        let (epoch, updates) = (u64::from(summary.epochs) + 1, summary.step_in_epoch);
        let resume = format_args!("inkstone train --resume {}", shell_word(out));
        screen.say(format_args!(
            "\nStopped and saved in epoch {epoch}, after {updates} of its updates. To go on:\n  {resume}"
        ));
        return;
    }
    let Some(test) = &summary.test else { return };
    let classes: Vec<String> = (0..test.confusion.len()).map(|class| class.to_string()).collect();
    screen.say(format_args!("\n{}\n", summary::mistakes(test, &data.test, &classes)));
    let which = match (summary.best_epoch, summary.stopped_early) {
        (Some(best), true) => format!("  (stopped early; weights of epoch {best}, the best by validation)"),
        (Some(best), false) if summary.report.as_ref().is_some_and(|report| report.epoch == best) => {
            format!("  (weights of epoch {best}, the best by validation)")
        }
        _ => String::new(),
    };
    screen.say(format_args!(
        "test accuracy {}   test loss {}{which}",
        screen.bold(format_args!("{:.2} %", 100.0 * test.accuracy)),
        screen.bold(format_args!("{:.4}", test.loss))
    ));
    if let Some(shifted) = &summary.shifted_test {
        screen.say(shifted_line(screen, shifted));
    }
    screen.say(format_args!(
        "{} epochs in {}, {} samples/s while training",
        summary.epochs,
        duration(summary.seconds),
        grouped(summary.samples_per_second as u64)
    ));
    let (model, sha256) = (shell_word(&summary.model), summary.sha256.as_deref().unwrap_or("?"));
    screen.say(format_args!("{model}  {}", screen.dim(format_args!("sha256 {sha256}"))));
    let run = shell_word(out);
    screen.say(format_args!(
        "\nNext: inkstone predict {run} PICTURE.png --show\nor, for a chip: inkstone quantize {run} --out model.ink"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    #[test]
    fn every_setting_is_refused_beside_resume() {
        let settings = Settings::augment_args(Command::new("train"));
        let settings = settings.get_arguments().map(|arg| arg.get_id().as_str());
        let mut all: Vec<&str> = settings.chain(["out", "force", "config", "isa"]).collect();
        let mut fixed = FIXED_BY_THE_RUN.to_vec();
        all.sort_unstable();
        fixed.sort_unstable();
        assert_eq!(fixed, all);
    }
}

//! `inkstone eval`: a trained network over the test set.

use super::data::DataFlag;
use super::draw::table;
use super::machine::Machine;
use super::screen::{duration, grouped};
use super::{End, Screen, Usage, deployed, model_file, same_file, summary};
use anyhow::{Context, bail};
use clap::Args;
use inkstone::checkpoint::{Model, load_model, write_atomic};
use inkstone::data::{Dataset, batch};
use inkstone::kernels::Isa;
use inkstone::quant::score;
use inkstone::train::config::MAX_SHIFT;
use inkstone::train::evaluate::batch_of;
use inkstone::train::{Evaluator, Metrics, Network};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Evaluate a trained network on the test set: loss, accuracy, confusion matrix, hardest digits.
#[derive(Args)]
#[command(after_help = "Example:\n  inkstone eval runs/mlp-512-s1")]
pub(crate) struct Eval {
    /// A model.safetensors, the directory of a run, or an image (.ink), which the device runtime runs
    model: PathBuf,
    #[command(flatten)]
    data: DataFlag,
    /// Only the first N samples of the test set
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Write the network's outputs before softmax, `logits [samples, classes]` in f32, in the order of the test set:
    /// always of the images as they are, without --test-shift
    #[arg(long, value_name = "FILE.safetensors")]
    logits: Option<PathBuf>,
    /// Test-time augmentation: average the probabilities over moves of each image by up to PX pixels each way [default: 0]
    ///
    /// 1: nine moves, 2: 25.
    #[arg(long, value_name = "PX", default_value_t = 0, hide_default_value = true, allow_negative_numbers = true)]
    test_shift: u8,
    #[command(flatten)]
    machine: Machine,
}

impl Eval {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        if self.limit == Some(0) {
            return Err(Usage::error("--limit: an evaluation needs a sample: expected 1 or more, found 0"));
        }
        if self.test_shift > MAX_SHIFT {
            let found = self.test_shift;
            return Err(Usage::error(format_args!(
                "--test-shift: images are moved by a few pixels: expected 0 to {MAX_SHIFT}, found {found}"
            )));
        }
        if deployed::is_image(&self.model) {
            return self.run_image(screen);
        }
        let path = model_file(&self.model);
        check_place(self.logits.as_deref(), &path)?;
        let model = load_model(&path)?;
        let mut test = self.data.data.load()?.test;
        test.limit(self.limit.unwrap_or(usize::MAX));
        check_input(&path, &model, test.rows(), test.cols())?;

        let (isa, threads) = (self.machine.isa(), self.machine.threads());
        let pool = self.machine.pool()?;
        let started = Instant::now();
        let metrics = pool.install(|| -> anyhow::Result<Metrics> {
            let mut evaluator = Evaluator::new(&model.graph, isa)?;
            let (shift, normalize) = (self.test_shift, &model.meta.normalize);
            Ok(evaluator.evaluate_shifted(&model.params, &test, normalize, None, summary::HARDEST, shift)?)
        })?;
        let seconds = started.elapsed().as_secs_f64();
        if let Some(file) = &self.logits {
            let logits = pool.install(|| logits(&model, &test, isa))?;
            write_logits(file, &logits, test.len(), model.graph.classes())?;
        }

        let subject =
            Subject { path: &path, key: "sha256", sum: model.sha256.clone(), classes: model.meta.classes.clone() };
        self.report(screen, &subject, &test, &metrics, seconds, isa.name(), threads)
    }

    /// The device runtime itself, on this machine.
    fn run_image(&self, screen: &Screen) -> anyhow::Result<End> {
        if self.test_shift > 0 {
            return Err(Usage::error(
                "--test-shift: a device sees each image once: leave it out, or evaluate the checkpoint",
            ));
        }
        let path = &self.model;
        check_place(self.logits.as_deref(), path)?;
        let image = deployed::load(path)?;
        let model = image.model()?;
        let mut test = self.data.data.load()?.test;
        test.limit(self.limit.unwrap_or(usize::MAX));
        deployed::check_input(path, &model, test.rows(), test.cols())?;
        let (isa, threads) = (self.machine.isa(), self.machine.threads());
        let started = Instant::now();
        let all = score::all(&test);
        let (metrics, logits) =
            self.machine.pool()?.install(|| score::score(&model, &test, &all, isa, summary::HARDEST))?;
        let seconds = started.elapsed().as_secs_f64();
        if let Some(file) = &self.logits {
            write_logits(file, &logits, test.len(), model.classes())?;
        }
        let classes = deployed::classes(&model);
        let subject = Subject { path, key: "crc32", sum: format!("{:08x}", model.crc32()), classes };
        self.report(screen, &subject, &test, &metrics, seconds, isa.name(), threads)
    }

    #[expect(clippy::too_many_arguments, reason = "what was measured, and on what, once")]
    fn report(
        &self,
        screen: &Screen,
        subject: &Subject<'_>,
        test: &Dataset,
        metrics: &Metrics,
        seconds: f64,
        isa: &str,
        threads: usize,
    ) -> anyhow::Result<End> {
        let Subject { path, key, sum, classes } = subject;
        screen.say(format_args!(
            "{}: {} test samples{} in {}",
            path.display(),
            grouped(metrics.samples),
            if self.test_shift > 0 { ", each also moved," } else { "" },
            duration(seconds)
        ));
        screen.say(format_args!(
            "test loss {}   test accuracy {}\n",
            screen.bold(format_args!("{:.4}", metrics.loss)),
            screen.bold(format_args!("{:.2} %", 100.0 * metrics.accuracy))
        ));
        screen.say(summary::mistakes(metrics, test, classes));
        if let Some(file) = &self.logits {
            let row = |name: &str, value: String| vec![name.to_owned(), value];
            let shape = format!("[{}, {}] f32", test.len(), classes.len());
            screen.say(format_args!("\n{}", table(&[row("logits", shape), row("in", file.display().to_string())])));
        }
        screen.answer(
            "eval",
            &json!({
                "model": path.display().to_string(),
                *key: sum,
                "samples": metrics.samples,
                "test_shift": self.test_shift,
                "test_loss": metrics.loss,
                "test_accuracy": metrics.accuracy,
                "per_class_accuracy": metrics.per_class_accuracy(),
                "confusion": metrics.confusion,
                "hardest": metrics.hardest,
                "logits": self.logits.as_ref().map(|file| file.display().to_string()),
                "seconds": seconds,
                "isa": isa,
                "threads": threads,
            }),
        );
        Ok(End::Done)
    }
}

/// What was evaluated.
struct Subject<'p> {
    path: &'p Path,
    /// What its checksum is called, and the checksum.
    key: &'static str,
    sum: String,
    classes: Vec<String>,
}

/// Refuses a model that was trained on images of another size.
pub(crate) fn check_input(path: &Path, model: &Model, rows: usize, cols: usize) -> anyhow::Result<()> {
    let input = model.graph.input_shape();
    if input.dims() != [1, rows, cols] {
        bail!("{}: the network fits the images: expected an input of 1x{rows}x{cols}, found {input}", path.display());
    }
    Ok(())
}

/// What the network says of every sample, before softmax.
fn logits(model: &Model, data: &Dataset, isa: Isa) -> anyhow::Result<Vec<f32>> {
    let most = batch_of(&model.graph)?;
    let mut network = Network::inference(&model.graph, most, isa)?;
    let indices: Vec<u32> = (0..u32::try_from(data.len())?).collect();
    let mut logits = Vec::with_capacity(data.len() * model.graph.classes());
    for indices in indices.chunks(most) {
        batch::fill(isa, data, &model.meta.normalize, indices, network.input_mut(indices.len())?)?;
        logits.extend_from_slice(network.forward_filled(&model.params, indices.len())?);
    }
    Ok(logits)
}

/// Refuses to write logits over the model that they are of.
fn check_place(file: Option<&Path>, model: &Path) -> anyhow::Result<()> {
    match file.filter(|file| same_file(file, model)) {
        None => Ok(()),
        Some(file) => {
            let file = file.display();
            Err(Usage::error(format_args!("--logits {file}: that is the model itself: name another file")))
        }
    }
}

/// Writes the one tensor `logits`, row by row.
fn write_logits(file: &Path, logits: &[f32], samples: usize, classes: usize) -> anyhow::Result<()> {
    let bytes: Vec<u8> = logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![samples, classes], &bytes)?;
    let bytes = safetensors::serialize([("logits", view)], None)?;
    write_atomic(file, &bytes).context("--logits")
}

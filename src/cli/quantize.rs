//! `inkstone quantize`: from a checkpoint to an image for a device, and what that costs.

use super::data::DataFlag;
use super::deployed;
use super::draw::table;
use super::eval::check_input;
use super::machine::Machine;
use super::screen::{bytes, grouped};
use super::{End, Screen, Usage, model_file, same_file, shell_word};
use anyhow::Context;
use clap::{Args, ValueEnum};
use inkstone::checkpoint::{Model, load_model, write_atomic};
use inkstone::export::image::{self, Image};
use inkstone::quant::calibrate::{self, Calibrator, Candidate};
use inkstone::quant::fidelity::{self, Fidelity};
use inkstone::quant::float::{self, About};
use inkstone::quant::lower::{Lowered, lower};
use inkstone::runtime::{Kind, device_arena_len};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::ptr;

/// Turn a trained network into a model image for a device: int8 or half floats instead of floats, batch norms folded, memory planned.
///
/// The ranges of int8 come from training images, by four calibrators; the one with the least loss on other training images is taken, and with
/// it the logit below which int8 saturates. The test set is only looked at for the report.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  inkstone quantize runs/mlp-512-s1 --out model.ink\n  inkstone eval model.ink\n  inkstone export model.ink --format c --out firmware"
)]
pub(crate) struct Quantize {
    /// A model.safetensors, or the directory of a run
    model: PathBuf,
    /// What weights and activations become
    #[arg(long, value_enum, default_value_t = To::Int8)]
    to: To,
    /// The image [default: beside the model: model.ink, of floats model.f16.ink or model.f32.ink]
    #[arg(long, value_name = "FILE.ink")]
    out: Option<PathBuf>,
    #[command(flatten)]
    data: DataFlag,
    /// Training images that ranges are read from; as many others choose the calibrator [default: 2000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    calibration: Option<u32>,
    /// How ranges are chosen [default: all are tried]
    #[arg(long, value_name = "NAME", value_enum)]
    calibrator: Option<CalibratorName>,
    /// Which training images are taken [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// A number for the image, so that a device can refuse older ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    release: u32,
    #[command(flatten)]
    machine: Machine,
}

/// What weights and activations become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// Bytes, sums of 32 bits: the same integers on every machine
    Int8,
    /// Weights of half precision, everything else single
    F16,
    /// Single precision
    F32,
}

impl To {
    /// What the image is called: beside one of bytes, floats take no other's place.
    const fn file_name(self) -> &'static str {
        match self {
            Self::Int8 => "model.ink",
            Self::F16 => "model.f16.ink",
            Self::F32 => "model.f32.ink",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CalibratorName {
    /// Everything that was seen
    MinMax,
    /// All but one number in twenty thousand on either side
    Percentile,
    /// The least sum of squared differences
    Mse,
    /// The least divergence of the distributions
    Kl,
}

impl CalibratorName {
    fn calibrator(self) -> Calibrator {
        match self {
            Self::MinMax => Calibrator::MinMax,
            Self::Percentile => Calibrator::Percentile,
            Self::Mse => Calibrator::Mse,
            Self::Kl => Calibrator::Kl,
        }
    }
}

/// A checkpoint as layers that a device runs.
pub(super) fn lowered(path: &Path, model: &Model, release: u32) -> anyhow::Result<(Lowered, About)> {
    let lowered = lower(&model.graph, &model.params).with_context(|| path.display().to_string())?;
    let (normalization, classes) = (model.meta.normalize.constant(), model.meta.classes.clone());
    Ok((lowered, About { normalization, classes, release }))
}

/// Images of the test set whose layers are compared one by one.
const LAYER_IMAGES: usize = 500;

impl Quantize {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let given = [
            ("--calibrator", self.calibrator.is_some()),
            ("--calibration", self.calibration.is_some()),
            ("--seed", self.seed.is_some()),
        ];
        if let Some((flag, _)) = given.iter().find(|(_, given)| *given && self.to != To::Int8) {
            return Err(Usage::error(format_args!(
                "{flag}: floats need no ranges: leave it out, or quantize --to int8"
            )));
        }
        if deployed::is_image(&self.model) {
            let found = self.model.display();
            return Err(Usage::error(format_args!(
                "{found}: an image, which is quantized already: expected the checkpoint that it was made of"
            )));
        }
        let path = model_file(&self.model);
        let model = load_model(&path)?;
        let data = self.data.data.load()?;
        check_input(&path, &model, data.test.rows(), data.test.cols())?;
        let (lowered, about) = lowered(&path, &model, self.release)?;
        let isa = self.machine.isa();
        let out = self.out.clone().unwrap_or_else(|| path.with_file_name(self.to.file_name()));
        if same_file(&out, &path) {
            let out = out.display();
            return Err(Usage::error(format_args!("--out {out}: that is the model itself: name another file")));
        }
        let pool = self.machine.pool()?;

        let calibrators = self.calibrator.map_or(Calibrator::ALL.to_vec(), |name| vec![name.calibrator()]);
        let (seen, others) = calibrate::images(
            data.train.len(),
            self.calibration.map_or(calibrate::IMAGES, |n| n as usize),
            self.seed.unwrap_or(calibrate::SEED),
        );
        let (image, candidates) = pool.install(|| -> anyhow::Result<(Image, Vec<Candidate>)> {
            if self.to != To::Int8 {
                let program =
                    float::program(&lowered, &about, self.to == To::F16).with_context(|| path.display().to_string())?;
                return Ok((image::write(&program)?, Vec::new()));
            }
            let images = (seen.as_slice(), others.as_slice());
            let candidates = calibrate::candidates(&lowered, &about, &data.train, images, &calibrators, isa)
                .with_context(|| path.display().to_string())?;
            let best = calibrate::best(&candidates).context("no calibrator was tried")?;
            Ok((best.image.clone(), candidates))
        })?;
        let chosen = calibrate::best(&candidates);
        if !candidates.is_empty() {
            let mut rows = vec![["calibrator", "loss", "accuracy", ""].map(str::to_owned).to_vec()];
            rows.extend(candidates.iter().map(|candidate| {
                let mark = if chosen.is_some_and(|chosen| ptr::eq(chosen, candidate)) { "taken" } else { "" };
                let accuracy = format!("{:.2} %", 100.0 * candidate.accuracy);
                vec![candidate.to_string(), format!("{:.5}", candidate.loss), accuracy, mark.to_owned()]
            }));
            let others = grouped(others.len() as u64);
            screen.say(format_args!(
                "Calibrators, on {others} training images that they had not seen\n{}\n",
                table(&rows)
            ));
        }
        let fidelity = pool.install(|| {
            fidelity::compare(&image.model()?, &lowered, &about, &data.test, LAYER_IMAGES, isa)
                .map_err(anyhow::Error::from)
        })?;
        write_atomic(&out, image.bytes()).context("--out")?;

        self.say_fidelity(screen, &fidelity);
        let deployed = image.model()?;
        let (flash, arena) = (deployed.len() as u64, device_arena_len(image.bytes()) as u64);
        screen.say(format_args!(
            "\n{}: {} of flash, {} of them weights and tables; {} of memory to run in",
            out.display(),
            bytes(flash),
            bytes(deployed.constants_len() as u64),
            bytes(arena)
        ));
        if deployed.kind() == Kind::I8 {
            screen.say(format_args!(
                "As C: {}",
                screen.bold(format_args!("inkstone export {} --format c --out firmware", shell_word(&out)))
            ));
        }
        screen.answer(
            "quantize",
            &json!({
                "model": path.display().to_string(), "sha256": model.sha256,
                "image": out.display().to_string(), "to": deployed.kind().name(), "crc32": format!("{:08x}", deployed.crc32()),
                "bytes": flash, "flash": flash, "constants": deployed.constants_len(), "arena": arena, "macs": deployed.macs(),
                "calibrator": chosen.map(|chosen| chosen.calibrator.name()), "lowest_logit": chosen.and_then(|chosen| chosen.lowest_logit),
                "candidates": candidates.iter().map(|candidate| json!({
                    "calibrator": candidate.calibrator.name(), "lowest_logit": candidate.lowest_logit, "loss": candidate.loss, "accuracy": candidate.accuracy,
                })).collect::<Vec<_>>(),
                "accuracy_float": fidelity.float.accuracy, "accuracy_quantized": fidelity.quantized.accuracy,
                "loss_float": fidelity.float.loss, "loss_quantized": fidelity.quantized.loss,
                "confusion_float": fidelity.float.confusion, "confusion_quantized": fidelity.quantized.confusion,
                "agreement": fidelity.agreement, "flips": fidelity.flips, "layers": fidelity.layers, "isa": isa.name(),
            }),
        );
        Ok(End::Done)
    }

    fn say_fidelity(&self, screen: &Screen, fidelity: &Fidelity) {
        let Fidelity { float, quantized, flips, layers, .. } = fidelity;
        let row = |name: &str, of: &inkstone::train::Metrics| {
            vec![name.to_owned(), format!("{:.4}", of.loss), format!("{:.2} %", 100.0 * of.accuracy)]
        };
        let heading = ["test set", "loss", "accuracy"].map(str::to_owned).to_vec();
        let to = self.to.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        screen.say(table(&[heading, row("float", float), row(&to, quantized)]));
        if !layers.is_empty() {
            let mut rows = vec![["step", "signal/noise", "saturated", "clipped"].map(str::to_owned).to_vec()];
            let percent = |part: f64| format!("{:.3} %", 100.0 * part);
            rows.extend(layers.iter().map(|layer| {
                let ratio = layer.sqnr_db.map_or_else(|| "exact".to_owned(), |db| format!("{db:.1} dB"));
                vec![layer.name.clone(), ratio, percent(layer.saturated), percent(layer.clipped)]
            }));
            screen.say(format_args!("\n{}", table(&rows)));
        }
        let right = |wins: bool| {
            flips
                .iter()
                .filter(|flip| (if wins { flip.quantized } else { flip.float }) == usize::from(flip.label))
                .count()
        };
        screen.say(format_args!(
            "\n{} of {} digits change their class: {} become wrong, {} become right",
            flips.len(),
            grouped(float.samples),
            right(false),
            right(true)
        ));
        let named: Vec<String> =
            flips.iter().take(12).map(|flip| format!("#{} {} -> {}", flip.index, flip.float, flip.quantized)).collect();
        if !named.is_empty() {
            screen.say(screen.dim(named.join("  ")));
        }
    }
}

//! `inkstone export`: a network as files for a device, or for other runtimes.

use super::data::DataFlag;
use super::deployed::{self, check_input};
use super::draw::table;
use super::quantize::lowered;
use super::screen::bytes;
use super::{End, Screen, Usage, model_file, same_file, shell_word};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use inkstone::checkpoint::{load_model, write_atomic};
use inkstone::data::Dataset;
use inkstone::export::c_source::{c_source, check_name};
use inkstone::export::golden::{Golden, Reals};
use inkstone::export::image::{self, Image};
use inkstone::export::onnx::onnx;
use inkstone::export::rust_source::{arena_len, rust_source};
use inkstone::export::safetensors;
use inkstone::kernels::Isa;
use inkstone::quant::float;
use inkstone::runtime::{Kind, Model, device_arena_len};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Write a network for a device or for another runtime.
///
/// Beside the network go golden digits, the first of each class in the test set of --data, with their logits: in the self-test of C and Rust,
/// otherwise in a safetensors file, `inputs [digits, pixels]` in raw pixels and `logits [digits, classes]`. Images and constants of int8 have
/// logits as bytes, equal on every machine; all else has floats, from which another runtime may differ by a thousandth of the largest logit,
/// ONNX of int8 by some steps of a byte.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  inkstone export model.ink --format c --out firmware && cc -O2 firmware/*.c -o selftest && ./selftest\n  inkstone export model.ink --format onnx --out model.onnx"
)]
pub(crate) struct Export {
    /// An image (.ink), or a model.safetensors or the directory of a run, which is taken in single precision
    model: PathBuf,
    /// What is written
    #[arg(long, value_enum)]
    format: Format,
    /// The file, of C the directory [default: as the model, beside it]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// What the functions of C begin with [default: model]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    data: DataFlag,
    /// Leave the golden digits out, for which the data set is read; not of C and Rust, whose self-tests are made of them
    #[arg(long)]
    no_golden: bool,
    /// Fail if the constants of the model take more flash than this, its code not counted: bytes, or with k, Ki, M, Mi behind the number
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    max_flash: Option<u64>,
    /// Fail if the model needs more memory to run in, the stack left out
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    max_ram: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The image that inkstone's runtime reads
    Image,
    /// model.c, model.h and selftest.c: C99 without a library
    C,
    /// A no_std module that calls inkstone's kernels
    Rust,
    /// For ONNX Runtime and others; bytes as pairs of QuantizeLinear and DequantizeLinear
    Onnx,
    /// Every constant by its step
    Safetensors,
}

/// "16k" is 16,000, "16Ki" is 16,384.
fn amount(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" => Some(1),
        "k" => Some(1000),
        "Ki" => Some(1 << 10),
        "M" => Some(1_000_000),
        "Mi" => Some(1 << 20),
        _ => None,
    };
    let bytes = unit.and_then(|unit| digits.parse::<u64>().ok()?.checked_mul(unit));
    bytes.ok_or_else(|| "expected a number of bytes, with k, Ki, M or Mi behind it for more".to_owned())
}

impl Export {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let path = if deployed::is_image(&self.model) { self.model.clone() } else { model_file(&self.model) };
        if self.name.is_some() && self.format != Format::C {
            return Err(Usage::error("--name: only functions of C are named: leave it out"));
        }
        let name = self.name.as_deref().unwrap_or("model");
        check_name(name).map_err(|error| Usage::error(format_args!("--name: {error}")))?;
        let is_source = matches!(self.format, Format::C | Format::Rust | Format::Image);
        if !is_source && (self.max_flash.is_some() || self.max_ram.is_some()) {
            return Err(Usage::error(
                "--max-flash, --max-ram: what other runtimes take is theirs: expected --format image, c or rust",
            ));
        }
        if self.no_golden && matches!(self.format, Format::C | Format::Rust) {
            return Err(Usage::error(
                "--no-golden: the self-tests of C and Rust are made of golden digits: expected --format image, onnx or safetensors",
            ));
        }
        let image = self.image(&path)?;
        let model = image.model()?;
        let extension = match self.format {
            // Beside a checkpoint an image of bytes may lie, which this is not.
            Format::Image if !deployed::is_image(&path) => "f32.ink",
            Format::Image => "ink",
            Format::C => "",
            Format::Rust => "rs",
            Format::Onnx => "onnx",
            Format::Safetensors => "constants.safetensors",
        };
        let out = self.out.clone().unwrap_or_else(|| path.with_extension(extension));
        if !(self.format == Format::Image && deployed::is_image(&path)) && same_file(&out, &path) {
            let out = out.display();
            return Err(Usage::error(format_args!("--out {out}: that is the model itself: name another file")));
        }
        let pixels = || self.pixels(&path, &model);
        let refused = || path.display().to_string();
        let (mut flash, mut arena) = (model.len(), device_arena_len(image.bytes()));
        let mut files: Vec<(PathBuf, Vec<u8>)> = match self.format {
            Format::Image => vec![(out.clone(), image.bytes().to_vec())],
            Format::C => {
                let golden = Golden::of(&model, &pixels()?).with_context(refused)?;
                let source = c_source(&model, name, &golden).with_context(refused)?;
                (flash, arena) = (source.flash, source.arena);
                source.files.into_iter().map(|(file, text)| (out.join(file), text.into_bytes())).collect()
            }
            Format::Rust => {
                let golden = Golden::of(&model, &pixels()?).with_context(refused)?;
                let text = rust_source(&model, &golden).with_context(refused)?;
                (flash, arena) = (model.constants_len(), arena_len(&model)?);
                vec![(out.clone(), text.into_bytes())]
            }
            Format::Onnx => vec![(out.clone(), onnx(&model).with_context(refused)?)],
            Format::Safetensors => vec![(out.clone(), safetensors::tensors(&model).with_context(refused)?)],
        };
        let missed = |(what, most, found): (&str, Option<u64>, u64)| {
            let most = most.filter(|most| found > *most)?;
            Some(format!("{what}: the model takes {found} bytes, {} more than {most}\n", found - most))
        };
        let budgets = [("--max-flash", self.max_flash, flash as u64), ("--max-ram", self.max_ram, arena as u64)];
        let missed: String = budgets.into_iter().filter_map(missed).collect();
        if !missed.is_empty() {
            bail!("{missed}{}", self.usage(&model, [flash, arena]).unwrap_or_default());
        }
        // The golden digits as a file, where they are no part of a self-test; logits as bytes if the format has them.
        let golden = match self.format {
            _ if self.no_golden => None,
            Format::C | Format::Rust => None,
            Format::Image => Some((out.with_extension("golden.safetensors"), true)),
            Format::Onnx => Some((beside(&out), false)),
            Format::Safetensors => Some((beside(&out), true)),
        };
        if let Some((file, as_bytes)) = golden {
            let pixels = pixels().context("--no-golden leaves the golden digits out")?;
            let vectors = if as_bytes && model.kind() == Kind::I8 {
                safetensors::golden(&Golden::of(&model, &pixels)?)?
            } else {
                safetensors::golden_reals(&Reals::of(&model, &pixels)?)?
            };
            files.push((file, vectors));
        }
        if self.format == Format::C {
            std::fs::create_dir_all(&out).with_context(|| format!("--out {}", out.display()))?;
        }
        for (file, contents) in &files {
            write_atomic(file, contents).context("--out")?;
        }
        for (file, contents) in &files {
            screen.say(format_args!("{} {}", file.display(), screen.dim(bytes(contents.len() as u64))));
        }
        if let Some(table) = self.usage(&model, [flash, arena]) {
            screen.say(format_args!("\n{table}"));
        }
        if self.format == Format::C {
            let (dir, program) = (shell_word(&out), shell_word(&out.join("selftest")));
            let line = format!("cc -O2 {dir}/*.c -o {program} && {program}");
            screen.say(format_args!("\nTry it: {}", screen.bold(line)));
        }
        screen.answer(
            "export",
            &json!({
                "model": path.display().to_string(), "format": self.format.to_possible_value().map(|value| value.get_name().to_owned()),
                "files": files.iter().map(|(file, contents)| json!({"file": file.display().to_string(), "bytes": contents.len()})).collect::<Vec<_>>(),
                "bytes": files.iter().map(|(_, contents)| contents.len()).sum::<usize>(),
                "flash": flash, "arena": arena, "kind": model.kind().name(), "crc32": format!("{:08x}", model.crc32()),
            }),
        );
        Ok(End::Done)
    }

    /// What uses how much, where it runs by our code; of sources, whose tables and memory are others than the image's, also at all.
    fn usage(&self, model: &Model<'_>, [flash, arena]: [usize; 2]) -> Option<String> {
        let what = match self.format {
            Format::Image => return Some(usage(model)),
            Format::C => "The C takes",
            Format::Rust => "The module takes",
            Format::Onnx | Format::Safetensors => return None,
        };
        Some(format!(
            "{}\n{what} {flash} bytes of constants and {arena} of memory, its own code and the stack not counted.",
            usage(model)
        ))
    }

    /// The golden digits: the first of each class of the test set, pixel after pixel.
    fn pixels(&self, path: &Path, model: &Model<'_>) -> anyhow::Result<Vec<u8>> {
        let place = "golden digits come from the test set of --data";
        let test = self.data.data.load().context(place)?.test;
        check_input(path, model, test.rows(), test.cols()).context(place)?;
        if test.classes() != model.classes() {
            bail!("{place}: expected {} classes, as the network has, found {}", model.classes(), test.classes());
        }
        Ok(digits(&test))
    }

    fn image(&self, path: &Path) -> anyhow::Result<Image> {
        if deployed::is_image(path) {
            return deployed::load(path);
        }
        let model = load_model(path)?;
        let (lowered, about) = lowered(path, &model, 0)?;
        image::write(&float::program(&lowered, &about, false)?).with_context(|| path.display().to_string())
    }
}

/// `model.onnx.golden.safetensors` for `model.onnx`: `model.golden.safetensors` is that of the image.
fn beside(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".golden.safetensors");
    name.into()
}

/// The first image of each class, pixel after pixel.
fn digits(data: &Dataset) -> Vec<u8> {
    let first = |class: usize| (0..data.len()).find(|index| usize::from(data.label(*index)) == class);
    (0..data.classes()).filter_map(first).flat_map(|index| data.image(index).to_vec()).collect()
}

/// What uses how much.
pub(super) fn usage(model: &Model<'_>) -> String {
    let mut rows = vec![["step", "output", "flash", "arena", "scratch", "multiplications"].map(str::to_owned).to_vec()];
    let mut places = Vec::new();
    for step in model.steps() {
        let tensor = model.tensor(step.index + 1);
        let dims = tensor.map_or(String::new(), |tensor| {
            let [channels, rows, cols] = tensor.dims;
            if [rows, cols] == [1, 1] { channels.to_string() } else { format!("{channels}x{rows}x{cols}") }
        });
        let scratch = model.scratch_len(Isa::SCALAR, 1, step.index).unwrap_or(0);
        let arena = tensor.map_or(0, |tensor| tensor.bytes());
        places.push(scratch);
        rows.push(vec![
            format!("{} {}", step.index, step.name()),
            dims,
            model.step_constants_len(step.index).to_string(),
            arena.to_string(),
            scratch.to_string(),
            step.macs().to_string(),
        ]);
    }
    rows.push(vec![
        "header and tables".to_owned(),
        String::new(),
        (model.len() - model.constants_len()).to_string(),
        String::new(),
        String::new(),
        String::new(),
    ]);
    rows.push(vec![
        "whole, or the most".to_owned(),
        String::new(),
        model.len().to_string(),
        model.activations_len().to_string(),
        places.iter().max().copied().unwrap_or(0).to_string(),
        model.macs().to_string(),
    ]);
    format!("Bytes of flash and of memory of the image, on a chip without vectors\n{}", table(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        assert_eq!(
            (amount("16384"), amount("16k"), amount("16Ki"), amount("2Mi")),
            (Ok(16384), Ok(16000), Ok(16384), Ok(2 << 20))
        );
        for text in ["", "k", "-1", "1.5k", "16kb", "99999999999999999999", "18446744073709551615k"] {
            assert!(amount(text).is_err(), "{text}");
        }
    }
}

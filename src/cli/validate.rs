//! `inkstone validate`: the same digits by everything that can run a network, and how far the answers are apart.

use super::data::DataFlag;
use super::deployed;
use super::draw::table;
use super::machine::Machine;
use super::quantize::lowered;
use super::screen::grouped;
use super::{End, Screen, Usage, model_file};
use anyhow::{Context, bail};
use clap::Args;
use inkstone::checkpoint::load_model;
use inkstone::data::Dataset;
use inkstone::export::c_source::c_source;
use inkstone::export::golden::Golden;
use inkstone::export::image;
use inkstone::export::onnx::onnx;
use inkstone::kernels::Isa;
use inkstone::quant::{float, score};
use inkstone::runtime::{Kind, Model, first_largest};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Run the same digits by everything that can run an image, and compare the answers.
///
/// Instruction sets, the C that is generated, and firmware in QEMU have to give the same bytes. ONNX Runtime rounds at other places: for an image
/// of floats its logits have to be within a thousandth of the largest; for one of int8, in its precise mode, the class has to be the same wherever
/// the largest logit is clearly above the second. Its default mode, which may saturate, and the network in floats are shown beside them. What is
/// missing on this machine is named; what was asked for and is missing fails. Exit code 1 if something that must agree does not.
#[derive(Args)]
#[command(after_help = "Example:\n  inkstone validate model.ink --float runs/mlp-512-s1")]
pub(crate) struct Validate {
    /// An image (.ink)
    image: PathBuf,
    /// The checkpoint that it was made of: a model.safetensors or the directory of a run
    #[arg(long, value_name = "RUN")]
    float: Option<PathBuf>,
    /// Only the first N samples of the test set
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// The C compiler [default: cc, if there is one]
    #[arg(long, value_name = "COMMAND")]
    cc: Option<String>,
    /// The Python that has numpy and onnxruntime [default: python3, if it has them]
    #[arg(long, value_name = "COMMAND")]
    python: Option<String>,
    /// The folder of the firmware, which is built and run in QEMU
    #[arg(long, value_name = "DIR")]
    firmware: Option<PathBuf>,
    /// The boards whose firmware is run, of those of its README
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "mps2-an386,microbit",
        value_delimiter = ',',
        requires = "firmware"
    )]
    boards: Vec<String>,
    /// Digits that each board classifies
    #[arg(long, value_name = "N", default_value_t = 200, requires = "firmware", value_parser = clap::value_parser!(u32).range(1..))]
    board_digits: u32,
    #[command(flatten)]
    data: DataFlag,
    #[command(flatten)]
    machine: Machine,
}

/// What one executor said of the digits.
struct Answer {
    name: String,
    must: Must,
    /// Whether it was asked for, and must not be missing.
    asked: bool,
    outcome: Outcome,
}

/// What must hold of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Must {
    /// The same numbers.
    Equal,
    /// Those of another order of roundings.
    Near,
    /// It is shown for comparison.
    Nothing,
}

/// Parts of the largest logit that floats may differ by where they are rounded in another order.
const NEAR: f32 = 1e-3;
/// Steps of a byte that the two largest logits are apart where other roundings must not change the class.
const CLEAR: f32 = 4.0;

enum Outcome {
    /// Logits, digit after digit.
    Logits(Vec<f32>),
    /// A checksum of the logits of some digits, and that of the same digits here.
    Checksum { digits: usize, found: String, expected: String },
    /// What it would have taken.
    Missing(String),
    /// What was said instead of logits.
    Failed(String),
}

/// How an answer differs from the image's own.
struct Compared {
    digits: usize,
    equal: Option<f64>,
    worst: Option<f32>,
    agreement: Option<f64>,
    accuracy: Option<f64>,
    good: Option<bool>,
    note: String,
}

impl Validate {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        if !deployed::is_image(&self.image) {
            let found = self.image.display();
            return Err(Usage::error(format_args!(
                "expected an image (.ink), which `inkstone quantize` makes, found {found}"
            )));
        }
        let image = deployed::load(&self.image)?;
        let model = image.model()?;
        let mut test = self.data.data.load()?.test;
        test.limit(self.limit.map_or(usize::MAX, |limit| limit as usize));
        deployed::check_input(&self.image, &model, test.rows(), test.cols())?;
        let asked = [("--cc", self.cc.is_some()), ("--firmware", self.firmware.is_some())];
        if let Some((flag, _)) = asked.into_iter().find(|(_, asked)| *asked && model.kind() != Kind::I8) {
            let found = self.image.display();
            return Err(Usage::error(format_args!(
                "{flag}: is for images of bytes: expected one that `inkstone quantize --to int8` made, found {found}"
            )));
        }
        let (isa, all) = (self.machine.isa(), score::all(&test));
        let pool = self.machine.pool()?;
        let (metrics, logits) = pool.install(|| score::score(&model, &test, &all, isa, 0))?;
        screen.say(format_args!(
            "{}: {} digits on {isa}, {:.2} % right\n",
            self.image.display(),
            grouped(metrics.samples),
            100.0 * metrics.accuracy
        ));

        let folder = tempdir(&self.image)?;
        let work = Work { model: &model, test: &test, all: &all, folder: &folder.0 };
        let mut answers = Vec::new();
        for other in Isa::available().filter(|other| *other != isa && model.kind() == Kind::I8) {
            let (_, logits) = pool.install(|| score::score(&model, &test, &all, other, 0))?;
            let outcome = Outcome::Logits(logits);
            answers.push(Answer { name: format!("runtime, {other}"), must: Must::Equal, asked: true, outcome });
        }
        if let Some(run) = &self.float {
            let path = model_file(run);
            let checkpoint = load_model(&path)?;
            let (lowered, about) = lowered(&path, &checkpoint, 0)?;
            let floats = image::write(&float::program(&lowered, &about, false)?)?;
            let (_, logits) =
                pool.install(|| score::score(&floats.model()?, &test, &all, isa, 0).map_err(anyhow::Error::from))?;
            let outcome = Outcome::Logits(logits);
            answers.push(Answer { name: "floats".into(), must: Must::Nothing, asked: true, outcome });
        }
        if model.kind() == Kind::I8 {
            let (cc, asked) = (self.cc.as_deref().unwrap_or("cc"), self.cc.is_some());
            answers.push(Answer { name: format!("C by {cc}"), must: Must::Equal, asked, outcome: work.c(cc)? });
        }
        for mode in ["default", "precise"] {
            let outcome = work.onnx(self.python.as_deref().unwrap_or("python3"), mode)?;
            let asked = self.python.is_some();
            let saturates = model.kind() == Kind::I8 && mode == "default";
            let must = if saturates { Must::Nothing } else { Must::Near };
            answers.push(Answer { name: format!("ONNX Runtime, {mode}"), must, asked, outcome });
        }
        if let Some(firmware) = &self.firmware {
            let data = self.data.data.dir()?;
            for board in &self.boards {
                let files = [self.image.as_path(), data.as_path()];
                let outcome =
                    work.firmware(firmware, board, (self.board_digits as usize).min(test.len()), files, &logits)?;
                answers.push(Answer { name: format!("firmware, {board}"), must: Must::Equal, asked: true, outcome });
            }
        }
        let compared: Vec<Compared> = answers.iter().map(|answer| compare(answer, &model, &logits, &test)).collect();
        self.report(screen, &model, metrics.accuracy, &answers, &compared);
        Ok(if compared.iter().any(|compared| compared.good == Some(false)) { End::Refuted } else { End::Done })
    }

    fn report(&self, screen: &Screen, model: &Model<'_>, accuracy: f64, answers: &[Answer], compared: &[Compared]) {
        let bytes = model.kind() == Kind::I8;
        let heading = ["executor", "digits", "equal", "worst", "same class", "right", ""];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        let percent = |part: Option<f64>| part.map_or_else(String::new, |part| format!("{:.2} %", 100.0 * part));
        for (answer, of) in answers.iter().zip(compared) {
            rows.push(vec![
                answer.name.clone(),
                if of.digits > 0 { grouped(of.digits as u64) } else { String::new() },
                percent(of.equal),
                of.worst.map_or_else(
                    String::new,
                    |worst| if bytes { format!("{worst:.3}") } else { format!("{worst:.1e}") },
                ),
                percent(of.agreement),
                percent(of.accuracy),
                of.note.clone(),
            ]);
        }
        screen.say(table(&rows));
        if bytes && self.firmware.is_none() {
            let how = "firmware was not asked for: --firmware firmware-notes/cortex-m builds and runs it in QEMU";
            screen.say(screen.dim(how));
        }
        let unit = if bytes { "steps of a byte" } else { "parts of the largest logit" };
        screen.say(screen.dim(format_args!("worst: the largest difference of a logit, in {unit}")));
        let row = |(answer, of): (&Answer, &Compared)| {
            json!({
                "executor": answer.name, "exact": answer.must == Must::Equal, "digits": of.digits, "equal": of.equal, "worst": of.worst,
                "agreement": of.agreement, "accuracy": of.accuracy, "good": of.good, "note": of.note,
            })
        };
        let rows: Vec<_> = answers.iter().zip(compared).map(row).collect();
        let (image, crc32) = (self.image.display().to_string(), format!("{:08x}", model.crc32()));
        screen.answer("validate", &json!({ "image": image, "crc32": crc32, "accuracy": accuracy, "executors": rows }));
    }
}

fn compare(answer: &Answer, model: &Model<'_>, logits: &[f32], test: &Dataset) -> Compared {
    let none = Compared {
        digits: 0,
        equal: None,
        worst: None,
        agreement: None,
        accuracy: None,
        good: None,
        note: String::new(),
    };
    let found = match &answer.outcome {
        Outcome::Missing(what) => {
            return Compared { note: format!("missing: {what}"), good: answer.asked.then_some(false), ..none };
        }
        Outcome::Failed(said) => return Compared { note: format!("failed: {said}"), good: Some(false), ..none },
        Outcome::Checksum { digits, found, expected } => {
            let good = found == expected;
            let note = if good { format!("logits {found}") } else { format!("logits {found}, here {expected}") };
            return Compared {
                digits: *digits,
                equal: Some(f64::from(u8::from(good))),
                good: Some(good),
                note,
                ..none
            };
        }
        Outcome::Logits(found) => found,
    };
    let classes = model.classes();
    let quantum = match (model.kind(), model.tensor(model.output())) {
        (Kind::I8, Some(tensor)) => tensor.scale,
        _ => logits.iter().fold(0.0f32, |most, x| most.max(x.abs())),
    };
    let (digits, mut equal, mut worst, mut same, mut right) = (found.len() / classes, 0usize, 0.0f32, 0usize, 0usize);
    // Another class for a digit whose class is clear.
    let mut clash = false;
    for (index, (a, b)) in logits.chunks_exact(classes).zip(found.chunks_exact(classes)).enumerate() {
        equal += a.iter().zip(b).filter(|(a, b)| a == b).count();
        for (a, b) in a.iter().zip(b) {
            let apart = (a - b).abs() / quantum;
            worst = if apart.is_nan() { f32::INFINITY } else { worst.max(apart) };
        }
        let (class, other) = (first_largest(a), first_largest(b));
        same += usize::from(class == other);
        clash |= a[class] - a[other] > CLEAR * quantum;
        right += usize::from(other == usize::from(test.label(index)));
    }
    let of = |count: usize, all: usize| count as f64 / all.max(1) as f64;
    let whole = found.len() == logits.len();
    let good = match answer.must {
        Must::Equal => Some(whole && equal == logits.len()),
        Must::Near if model.kind() == Kind::I8 => Some(whole && !clash),
        Must::Near => Some(whole && worst <= NEAR),
        Must::Nothing => None,
    };
    Compared {
        digits,
        equal: Some(of(equal, logits.len())),
        worst: Some(worst),
        agreement: Some(of(same, digits)),
        accuracy: Some(of(right, digits)),
        good,
        note: match (answer.must, good) {
            (_, Some(false)) => "DIFFERS".into(),
            (Must::Equal, _) => "equal to the bit".into(),
            (Must::Near, _) => "but for roundings".into(),
            (Must::Nothing, _) => String::new(),
        },
    }
}

/// What the others are given.
struct Work<'w> {
    model: &'w Model<'w>,
    test: &'w Dataset,
    all: &'w [u32],
    folder: &'w Path,
}

impl Work<'_> {
    fn pixels(&self) -> anyhow::Result<PathBuf> {
        let file = self.folder.join("digits.bin");
        if !file.exists() {
            let bytes: Vec<u8> = self.all.iter().flat_map(|index| self.test.image(*index as usize)).copied().collect();
            fs::write(&file, bytes).with_context(|| file.display().to_string())?;
        }
        Ok(file)
    }

    /// The generated C, compiled and run.
    fn c(&self, cc: &str) -> anyhow::Result<Outcome> {
        let golden = Golden::of(self.model, self.test.image(0))?;
        let mut command = Command::new(cc);
        let program = self.folder.join("selftest");
        command.args(["-O2", "-std=c99", "-o"]).arg(&program);
        for (name, text) in c_source(self.model, "model", &golden)?.files {
            let file = self.folder.join(&name);
            fs::write(&file, text).with_context(|| file.display().to_string())?;
            if name.ends_with(".c") {
                command.arg(file);
            }
        }
        match command.output() {
            Err(error) => return Ok(Outcome::Missing(format!("{cc}: {error}"))),
            Ok(output) if !output.status.success() => {
                bail!("{cc} does not compile the generated C:\n{}", String::from_utf8_lossy(&output.stderr))
            }
            Ok(_) => {}
        }
        let logits = self.folder.join("c.bin");
        let output = Command::new(&program).arg(self.pixels()?).arg(&logits).output().context("the generated C")?;
        if !output.status.success() {
            bail!("the generated C failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let tensor = self.model.tensor(self.model.output()).context("the output of the model")?;
        let real = |byte: &u8| tensor.scale * f32::from(i16::from(*byte as i8) - i16::from(tensor.zero_point));
        Ok(Outcome::Logits(fs::read(&logits).with_context(|| logits.display().to_string())?.iter().map(real).collect()))
    }

    fn onnx(&self, python: &str, mode: &str) -> anyhow::Result<Outcome> {
        let (file, script, found) =
            (self.folder.join("model.onnx"), self.folder.join("onnx.py"), self.folder.join("onnx.bin"));
        fs::write(&file, onnx(self.model)?).with_context(|| file.display().to_string())?;
        fs::write(&script, include_str!("validate/onnx.py")).with_context(|| script.display().to_string())?;
        let mut command = Command::new(python);
        command.arg(&script).arg(&file).arg(self.pixels()?);
        command.arg(&found).arg(mode);
        match command.output() {
            Err(error) => Ok(Outcome::Missing(format!("{python}: {error}"))),
            Ok(output) if !output.status.success() => {
                let said = String::from_utf8_lossy(&output.stderr);
                // Packages may say something before they fail.
                match said.lines().rev().find_map(|line| line.strip_prefix("missing: ")) {
                    Some(what) => Ok(Outcome::Missing(what.to_owned())),
                    None => bail!("ONNX Runtime refused the model: {}", said.trim()),
                }
            }
            Ok(_) => {
                let bytes = fs::read(&found).with_context(|| found.display().to_string())?;
                Ok(Outcome::Logits(bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()))
            }
        }
    }

    /// The firmware of a board, built for this very image.
    fn firmware(
        &self,
        folder: &Path,
        board: &str,
        digits: usize,
        [image, data]: [&Path; 2],
        logits: &[f32],
    ) -> anyhow::Result<Outcome> {
        let script = folder.join("run.sh");
        if !script.exists() {
            return Ok(Outcome::Missing(format!("{}", script.display())));
        }
        let output = Command::new("bash")
            .arg(&script)
            .args([board, "digits"])
            .env("INKSTONE_MODEL", fs::canonicalize(image)?)
            .env("INKSTONE_DATA", fs::canonicalize(data)?)
            .env("DIGITS", digits.to_string())
            .output();
        let output = match output {
            Err(error) => return Ok(Outcome::Missing(format!("bash: {error}"))),
            Ok(output) => output,
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let all = format!("{digits} digits");
        let found = said.lines().find_map(|line| line.strip_prefix("logits "));
        let Some(found) = found.filter(|_| said.lines().any(|line| line.trim() == all)) else {
            return Ok(unfinished(output.status.code(), &said, &String::from_utf8_lossy(&output.stderr)));
        };
        let tensor = self.model.tensor(self.model.output()).context("the output of the model")?;
        let byte = |x: &f32| ((x / tensor.scale).round() as i32 + i32::from(tensor.zero_point)) as u8;
        let expected = fnv(logits[..digits * self.model.classes()].iter().map(byte));
        Ok(Outcome::Checksum { digits, found: found.trim().to_owned(), expected: format!("{expected:016x}") })
    }
}

/// Why firmware gave no logits, by what `run.sh` ended with: cargo and its linker write errors, the board and QEMU lines of output.
fn unfinished(code: Option<i32>, said: &str, errors: &str) -> Outcome {
    if code == Some(124) {
        return Outcome::Failed("it was still at work at the end of its time: fewer --board-digits".into());
    }
    let last = |text: &str| text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned());
    let with = |parts: [&str; 2]| {
        let mut lines = errors.lines().chain(said.lines()).map(str::trim);
        lines.find(|line| parts.iter().any(|part| line.contains(part))).map(str::to_owned)
    };
    // What the linker says of a model that a board has no room for, and a shell of a tool that is not there.
    if let Some(line) = with(["overflowed by", "will not fit in region"]) {
        return Outcome::Failed(line);
    }
    if let Some(line) = with(["not found", "No such file"]).or_else(|| last(errors).filter(|_| code == Some(127))) {
        return Outcome::Missing(line);
    }
    Outcome::Failed(last(said).or_else(|| last(errors)).unwrap_or_else(|| "without a word".into()))
}

/// FNV-1a of 64 bits: what firmware prints of its logits.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A folder that goes when it is no longer needed.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // what is left of it lies where temporary files lie
    }
}

fn tempdir(image: &Path) -> anyhow::Result<Folder> {
    let name = image.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = std::env::temp_dir().join(format!("inkstone-validate-{name}-{}", std::process::id()));
    // A folder that is there is somebody else's.
    fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
    Ok(Folder(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an executor may do, and what it may not: of bytes.
    #[test]
    fn answers_are_as_near_as_they_must_be() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware-notes/cortex-m/models");
        let image = deployed::load(&models.join("mlp-128.ink")).unwrap();
        let model = image.model().unwrap();
        let step = model.tensor(model.output()).unwrap().scale;
        let test = Dataset::new(vec![0; 784], vec![3], 28, 28, 10).unwrap();
        // The third class, by so many steps above the second.
        let logits = |steps: f32| {
            let mut logits = vec![0.0; 10];
            (logits[2], logits[1]) = (steps * step + 7.0, 7.0);
            logits
        };
        let turned = |mut logits: Vec<f32>| {
            logits.swap(1, 2);
            logits
        };
        let good = |must, found: Vec<f32>, here: &[f32]| {
            let answer = Answer { name: String::new(), must, asked: true, outcome: Outcome::Logits(found) };
            compare(&answer, &model, here, &test).good
        };
        for steps in [0.5, 3.0] {
            let here = logits(steps);
            assert_eq!(good(Must::Equal, here.clone(), &here), Some(true));
            assert_eq!(good(Must::Equal, turned(here.clone()), &here), Some(false));
            assert_eq!(good(Must::Near, turned(here.clone()), &here), Some(true), "{steps} steps are roundings");
        }
        let clear = logits(6.0);
        assert_eq!(good(Must::Near, turned(clear.clone()), &clear), Some(false));
        assert_eq!(good(Must::Near, Vec::new(), &clear), Some(false), "no answer");
        assert_eq!(good(Must::Nothing, turned(clear.clone()), &clear), None);
        let nan = vec![f32::NAN; 10];
        assert_eq!(good(Must::Near, nan.clone(), &clear), Some(false), "none is a number");
        let answer = Answer { name: String::new(), must: Must::Near, asked: true, outcome: Outcome::Logits(nan) };
        assert_eq!(compare(&answer, &model, &clear, &test).worst, Some(f32::INFINITY));
    }

    #[test]
    fn what_firmware_gives_instead_of_logits_is_named() {
        let linker =
            "error: linking failed\n  ld: region `FLASH' overflowed by 161 bytes\nerror: could not compile `x`\n";
        let none =
            "error: linker `arm-none-eabi-ld` not found\n  |\nerror: could not compile `x` due to 1 previous error\n";
        let built = "   Compiling x\n    Finished `release` profile\n";
        let emulator = "timeout: failed to run command 'qemu-system-arm': No such file or directory\n";
        let cases = [
            (Some(101), "", linker, "failed: ld: region `FLASH' overflowed by 161 bytes"),
            (Some(101), "", none, "missing: error: linker `arm-none-eabi-ld` not found"),
            (Some(127), emulator, built, "missing: timeout: failed to run"),
            (Some(127), "", "run.sh needs rustup\n", "missing: run.sh needs rustup"),
            (Some(1), "reset\nthe image: the arena is too small\n", built, "failed: the image: the arena is too small"),
            (Some(124), "reset\n", built, "failed: it was still at work"),
            (None, "", "", "failed: without a word"),
        ];
        for (code, said, errors, expected) in cases {
            let found = match unfinished(code, said, errors) {
                Outcome::Missing(what) => format!("missing: {what}"),
                Outcome::Failed(what) => format!("failed: {what}"),
                _ => String::new(),
            };
            assert!(found.starts_with(expected), "{expected}: {found}");
        }
    }
}

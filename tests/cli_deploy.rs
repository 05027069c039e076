//! The command quantizes, exports, evaluates and validates; every test runs the binary.

mod cli_support;

use cli_support::{contents, inkstone, json, sha256, with};
use inkstone::export::image::Image;
use safetensors::{Dtype, SafeTensors};
use serde_json::json as value;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::{TempDir, tempdir};

/// Some hundred digits: enough for networks that are better than guessing.
const SMALL: [&str; 7] = ["train", "--limit", "1500", "--epochs", "1", "--batch", "10"];

fn trained(model: &str, more: &[&str]) -> TempDir {
    let dir = tempdir().unwrap();
    json(dir.path(), &with(&with(&SMALL, &["--model", model, "--out", "run"]), more));
    dir
}

fn fails(dir: &Path, words: &[&str], code: i32, expected: &str) {
    let output = inkstone(dir, words).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{stderr}");
    assert!(stderr.contains(expected), "{words:?}: expected {expected:?} in\n{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// The bytes of a file of golden vectors: of the inputs, ten digits, and of their logits in numbers of this type.
fn golden(file: &Path, logits: Dtype) -> [Vec<u8>; 2] {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let vectors = SafeTensors::deserialize(&bytes).unwrap();
    [("inputs", Dtype::U8, [10, 784]), ("logits", logits, [10, 10])].map(|(name, element, shape)| {
        let tensor = vectors.tensor(name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (element, &shape[..]), "{}", file.display());
        tensor.data().to_vec()
    })
}

#[test]
fn a_network_goes_from_checkpoint_to_every_form() {
    let dir = trained("cnn-tiny", &[]);
    let at = dir.path();
    let quantized = json(at, &["quantize", "run", "--out", "model.ink", "--calibration", "200", "--release", "7"]);
    assert_eq!((&quantized["command"], &quantized["to"]), (&value!("quantize"), &value!("int8")));
    let (float, int8) =
        (quantized["accuracy_float"].as_f64().unwrap(), quantized["accuracy_quantized"].as_f64().unwrap());
    assert!(float > 0.6 && (float - int8).abs() < 0.01, "{float} {int8}");
    assert_eq!(quantized["candidates"].as_array().unwrap().len(), 4);
    let losses: Vec<f64> =
        quantized["candidates"].as_array().unwrap().iter().map(|c| c["loss"].as_f64().unwrap()).collect();
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let chosen =
        quantized["candidates"].as_array().unwrap().iter().find(|c| c["calibrator"] == quantized["calibrator"]);
    assert_eq!(chosen.unwrap()["loss"].as_f64(), Some(least), "the calibrator of the least loss is taken");
    assert_eq!(quantized["flash"], fs::metadata(at.join("model.ink")).unwrap().len());
    assert!(quantized["arena"].as_u64().unwrap() <= 3072, "it is made for chips with 5 kB of RAM");
    let flips = quantized["flips"].as_array().unwrap().len() as u64;
    let agreement = &quantized["agreement"];
    let same: u64 = (0..10).map(|class| agreement[class][class].as_u64().unwrap()).sum();
    assert_eq!(same + flips, 10_000);
    for layer in quantized["layers"].as_array().unwrap() {
        assert!(layer["sqnr_db"].as_f64().unwrap() > 20.0, "{layer}");
    }

    // The same again gives the same bytes, for any number of threads.
    let sum = sha256(&at.join("model.ink"));
    json(at, &["quantize", "run", "--out", "again.ink", "--calibration", "200", "--release", "7", "--threads", "1"]);
    assert_eq!(sha256(&at.join("again.ink")), sum);

    // The device runtime on this machine says what the report said, on any instruction set.
    let eval = json(at, &["eval", "model.ink", "--logits", "best.safetensors"]);
    assert_eq!((eval["test_accuracy"].as_f64(), &eval["crc32"]), (Some(int8), &quantized["crc32"]));
    json(at, &["eval", "model.ink", "--isa", "scalar", "--logits", "scalar.safetensors"]);
    assert_eq!(sha256(&at.join("best.safetensors")), sha256(&at.join("scalar.safetensors")));

    let inspected = json(at, &["inspect", "model.ink"]);
    assert_eq!((&inspected["release"], &inspected["flash"]), (&value!(7), &quantized["flash"]));
    assert_eq!(inspected["steps"].as_array().unwrap().len(), 5);

    // C compiles without a warning and proves itself.
    let exported = json(at, &["export", "model.ink", "--format", "c", "--out", "firmware"]);
    assert_eq!(exported["files"].as_array().unwrap().len(), 3);
    let program = at.join("selftest");
    let words = ["-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", "firmware/model.c", "firmware/selftest.c", "-o"];
    let compiled = Command::new("cc")
        .args(words)
        .arg(&program)
        .current_dir(at)
        .status()
        .expect("a C compiler: apt-get install gcc");
    assert!(compiled.success());
    let tested = Command::new(&program).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));

    for (format, file) in
        [("image", "copy.ink"), ("rust", "model.rs"), ("onnx", "model.onnx"), ("safetensors", "model.st")]
    {
        let exported = json(at, &["export", "model.ink", "--format", format, "--out", file]);
        assert_eq!((&exported["format"], &exported["kind"]), (&value!(format), &value!("int8")));
        assert!(fs::metadata(at.join(file)).unwrap().len() > 5000);
    }
    assert_eq!(sha256(&at.join("copy.ink")), sum);
    // Golden digits lie beside: their logits are bytes, and in ONNX the numbers that these stand for.
    let [inputs, bytes] = golden(&at.join("copy.golden.safetensors"), Dtype::I8);
    assert_eq!(golden(&at.join("model.st.golden.safetensors"), Dtype::I8), [inputs.clone(), bytes.clone()]);
    let image = Image::copy(&fs::read(at.join("copy.ink")).unwrap());
    let output = image.model().unwrap().tensor(image.model().unwrap().output()).unwrap();
    let real = |byte: &u8| output.scale * f32::from(i16::from(*byte as i8) - i16::from(output.zero_point));
    let [same_inputs, reals] = golden(&at.join("model.onnx.golden.safetensors"), Dtype::F32);
    assert_eq!(same_inputs, inputs);
    assert_eq!(reals, bytes.iter().flat_map(|byte| real(byte).to_le_bytes()).collect::<Vec<u8>>());

    let validated = json(at, &["validate", "model.ink", "--float", "run", "--limit", "300"]);
    let executors = validated["executors"].as_array().unwrap();
    let exact = executors.iter().filter(|row| row["exact"] == true && row["digits"] == 300);
    assert!(exact.clone().count() >= 2 && exact.clone().all(|row| row["good"] == true), "{validated}");
    // What was asked for may not be missing.
    for flag in ["--python", "--cc", "--firmware"] {
        let output = inkstone(at, &["validate", "model.ink", "--limit", "10", flag, "no-such-thing"]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.code() == Some(1) && said.contains("missing: no-such-thing"), "{flag}: {said}");
    }

    // Budgets fail with what uses how much, and write nothing.
    let words = ["export", "model.ink", "--format", "c", "--out", "none"];
    fails(at, &with(&words, &["--max-ram", "2k"]), 1, "--max-ram: the model takes");
    fails(at, &with(&words, &["--max-flash", "4Ki"]), 1, "multiplications");
    for missed in ["--max-flash: the model takes", "--max-ram: the model takes"] {
        fails(at, &with(&words, &["--max-flash", "4Ki", "--max-ram", "2k"]), 1, missed);
    }
    assert!(!at.join("none").exists());
    json(at, &with(&words, &["--max-ram", "3Ki", "--max-flash", "16k"]));
}

#[test]
fn floats_are_deployed_too() {
    let dir = trained("mlp:16", &["--normalize", "image"]);
    let at = dir.path();
    let expected = json(at, &["eval", "run"])["test_accuracy"].as_f64().unwrap();
    for (to, least) in [("f32", 0.9999), ("f16", 0.998)] {
        let quantized = json(at, &["quantize", "run", "--to", to, "--out", "model.ink"]);
        assert_eq!((&quantized["to"], &quantized["calibrator"]), (&value!(to), &value!(null)));
        let eval = json(at, &["eval", "model.ink"])["test_accuracy"].as_f64().unwrap();
        assert!((eval - expected).abs() < 1.0 - least, "{to}: {eval} {expected}");
        fails(at, &["export", "model.ink", "--format", "c"], 1, "inkstone quantize --to int8");
        fails(at, &["validate", "model.ink", "--cc", "cc"], 2, "--cc: is for images of bytes");
        fails(at, &["validate", "model.ink", "--firmware", "."], 2, "--firmware: is for images of bytes");
        // Golden digits are those of a data set; without them none is needed.
        let words = ["export", "model.ink", "--format", "onnx", "--out", "none.onnx"];
        let refused = inkstone(at, &words).env("INKSTONE_DATA", "none").output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(1) && said.contains("--no-golden"), "{said}");
        assert!(!at.join("none.onnx").exists());
        let mut export = inkstone(at, &with(&words, &["--no-golden"]));
        assert!(export.env("INKSTONE_DATA", "none").output().unwrap().status.success());
        assert!(at.join("none.onnx").exists() && !at.join("none.onnx.golden.safetensors").exists());
        fs::remove_file(at.join("none.onnx")).unwrap();
        // Of floats every form has the same.
        let forms = [
            ("image", "copy.ink", "copy.golden.safetensors"),
            ("onnx", "model.onnx", "model.onnx.golden.safetensors"),
            ("safetensors", "model.st", "model.st.golden.safetensors"),
        ];
        let vectors = forms.map(|(format, file, beside)| {
            let exported = json(at, &["export", "model.ink", "--format", format, "--out", file]);
            assert_eq!(exported["files"].as_array().unwrap().len(), 2, "{exported}");
            golden(&at.join(beside), Dtype::F32)
        });
        assert!(vectors[0] == vectors[1] && vectors[0] == vectors[2], "{to}");
        assert!(vectors[0][1].iter().any(|byte| *byte != 0), "{to}");
        json(at, &["quantize", "run", "--to", to]);
        assert_eq!(sha256(&at.join(format!("run/model.{to}.ink"))), sha256(&at.join("model.ink")));
    }
    // Images that are normalised one by one: by integers.
    json(at, &["quantize", "run", "--out", "bytes.ink"]);
    let eval = json(at, &["eval", "bytes.ink"])["test_accuracy"].as_f64().unwrap();
    assert!((eval - expected).abs() < 0.01, "{eval} {expected}");
    json(at, &["export", "bytes.ink", "--format", "c", "--out", "firmware"]);
    json(at, &["export", "run", "--format", "onnx", "--out", "run.onnx"]);
    let other = json(at, &["export", "run", "--format", "image", "--out", "run.ink"]);
    assert_eq!(other["kind"], "f32");
}

#[test]
fn bad_input_is_named() {
    let dir = trained("linear", &[]);
    let at = dir.path();
    json(at, &["quantize", "run", "--out", "model.ink", "--calibration", "50"]);
    let image = fs::read(at.join("model.ink")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(at.join(name), bytes).unwrap();
    write("short.ink", &image[..image.len() - 1]);
    write("damaged.ink", &[&image[..500], &[image[500] ^ 1], &image[501..]].concat());
    write("text.ink", b"an image of a digit, and then some more words to fill what a header needs at least");
    let before = contents(at);
    for (file, expected) in [("short.ink", "cut short"), ("damaged.ink", "damaged"), ("text.ink", "do not begin")] {
        for words in [
            vec!["eval", file],
            vec!["inspect", file],
            vec!["export", file, "--format", "onnx"],
            vec!["validate", file],
        ] {
            fails(at, &words, 1, expected);
        }
    }
    fails(at, &["eval", "none.ink"], 1, "none.ink");
    fails(at, &["eval", "model.ink", "--test-shift", "1"], 2, "--test-shift");
    fails(at, &["eval", "model.ink", "--logits", "model.ink"], 2, "the model itself");
    fails(at, &["eval", "run", "--logits", "run/model.safetensors"], 2, "the model itself");
    fails(at, &["inspect", "model.ink", "--plan"], 2, "--plan");
    fails(at, &["validate", "run"], 2, "expected an image");
    fails(at, &["quantize", "run", "--to", "f16", "--calibrator", "kl"], 2, "--calibrator");
    fails(at, &["quantize", "run", "--calibration", "0"], 2, "--calibration");
    fails(at, &["quantize", "run", "--out", "no/such/folder/model.ink", "--calibration", "50"], 1, "--out");
    fails(at, &["export", "model.ink", "--format", "c", "--name", "2 words"], 2, "--name: a name in C");
    fails(at, &["export", "model.ink", "--format", "c", "--no-golden"], 2, "--no-golden: the self-tests");
    fails(at, &["export", "model.ink", "--format", "onnx", "--max-ram", "much"], 2, "--max-ram");
    fails(at, &["export", "model.ink", "--format", "onnx", "--out", "model.ink"], 2, "the model itself");
    // A checkpoint is not written over by what is made of it.
    let checkpoint = "run/model.safetensors";
    fails(at, &["quantize", "run", "--out", checkpoint, "--calibration", "50"], 2, "the model itself");
    fails(at, &["export", "run", "--format", "image", "--out", checkpoint], 2, "the model itself");
    assert_eq!(contents(at), before, "what fails writes nothing");
}

/// Every kind of step of bytes was counted on every board.
#[test]
fn a_device_is_told_what_each_step_takes() {
    let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware-notes/cortex-m/models/parts.ink");
    let parts = parts.to_str().unwrap();
    for core in ["cortex-m0", "m3", "m4", "m7", "cortex-m33"] {
        let output = inkstone(Path::new("."), &["inspect", parts, "--device", core, "--clock", "64"]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        for word in ["max-pool", "avg-pool", "table", "add", " ms at 64 MHz"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(!said.contains("not measured"), "{said}");
    }
}

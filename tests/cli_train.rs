//! The command trains, resumes, evaluates, predicts and inspects; every test runs the binary.

mod cli_support;

use cli_support::{contents, inkstone, json, sha256, with};
use serde_json::{Value, json as value};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// A run of a second: two epochs of 2,000 digits.
const SMALL: [&str; 9] = ["train", "--model", "mlp:32", "--limit", "2000", "--epochs", "2", "--batch", "20"];

#[test]
fn a_run_leaves_what_it_says() {
    let dir = tempdir().unwrap();
    let output = inkstone(dir.path(), &with(&SMALL, &["--json"])).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stdout.lines().count(), 1, "with --json, stdout is the object alone");
    assert!(stderr.contains("1/2") && stderr.contains("2/2"), "a line for each epoch on stderr:\n{stderr}");
    assert!(!stderr.contains('\x1b'), "no colours and no bar away from a terminal:\n{stderr}");

    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert!(stdout.starts_with(r#"{"command":"train""#), "{stdout}");
    let run = dir.path().join("runs/mlp-32-s1"); // the default: model and seed
    assert_eq!(answer["model"], "runs/mlp-32-s1/model.safetensors");
    assert_eq!(answer["sha256"], sha256(&run.join("model.safetensors")));
    assert_eq!((&answer["epochs"], &answer["seed"]), (&value!(2), &value!(1)));
    for key in ["best_epoch", "val_loss", "val_accuracy"] {
        assert!(answer.get(key).unwrap().is_null(), "{key} without a validation set");
    }
    for key in ["train_loss", "train_accuracy", "test_loss", "seconds", "samples_per_second"] {
        assert!(answer[key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert!(answer["test_accuracy"].as_f64().unwrap() > 0.7, "{answer}");
    assert!(answer["isa"].is_string() && answer["threads"].is_u64());

    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let mut keys: Vec<&String> = lines[1].as_object().unwrap().keys().collect();
    keys.sort();
    let mut documented = ["epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy"].to_vec();
    documented.extend(["test_loss", "test_accuracy", "test_per_class_accuracy", "lr", "seconds"]);
    documented.sort_unstable();
    assert_eq!(keys, documented);
    assert_eq!(lines[1]["test_loss"], answer["test_loss"], "the model is the last epoch's");

    // config.toml re-runs the same training, and a flag goes before it.
    let config = "runs/mlp-32-s1/config.toml";
    let again = json(dir.path(), &["train", "--config", config, "--out", "again"]);
    assert_eq!(again["sha256"], answer["sha256"]);
    let other = json(dir.path(), &["train", "--config", config, "--seed", "2", "--epochs", "1"]);
    assert_eq!((&other["epochs"], &other["model"]), (&value!(1), &value!("runs/mlp-32-s2/model.safetensors")));
    assert_ne!(other["sha256"], answer["sha256"]);
}

#[test]
fn augmented_runs_resume_to_the_same_bytes() {
    let dir = tempdir().unwrap();
    let words =
        ["train", "--model", "mlp:16", "--limit", "4000", "--epochs", "4", "--batch", "4", "--normalize", "image"];
    let spec = "rotate=10,translate=0.1,elastic=4:2,erase=0.2:0.1";
    let plain = json(dir.path(), &with(&words, &["--augment", "none", "--out", "plain"]));
    let words = with(&words, &["--augment", spec]);
    let whole = json(dir.path(), &with(&words, &["--out", "whole"]));
    assert_ne!(whole["sha256"], plain["sha256"]);
    assert!(whole["train_loss"].as_f64() > plain["train_loss"].as_f64(), "what it trains on is harder");
    assert!(whole["test_accuracy"].as_f64().unwrap() > 0.7, "{whole}");
    let config = fs::read_to_string(dir.path().join("whole/config.toml")).unwrap();
    assert!(config.contains(&format!("augment = \"{spec}\"\n")), "{config}");

    let (code, said) = interrupted(dir.path(), &with(&words, &["--out", "stopped"]), "-INT");
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains(&format!("pixels image, augmented {spec}")), "{said}");
    let resumed = json(dir.path(), &["train", "--resume", "stopped", "--threads", "3"]);
    assert_eq!(resumed["sha256"], whole["sha256"]);

    // The file says it again.
    let again = json(dir.path(), &["train", "--config", "whole/config.toml", "--threads", "1", "--out", "again"]);
    assert_eq!(again["sha256"], whole["sha256"]);
}

#[test]
fn varied_networks_train_and_train_again() {
    let dir = tempdir().unwrap();
    let words = ["train", "--model", "cnn-small+residual", "--dropout", "0.2", "--limit", "200", "--epochs", "1"];
    let answer = json(dir.path(), &words);
    assert_eq!(answer["model"], "runs/cnn-small-residual-s1/model.safetensors");
    let file = "runs/cnn-small-residual-s1/config.toml";
    let config = fs::read_to_string(dir.path().join(file)).unwrap();
    assert!(config.contains("model = \"cnn-small+residual\"\n") && config.contains("dropout = 0.2\n"), "{config}");
    let again = json(dir.path(), &["train", "--config", file, "--out", "again"]);
    assert_eq!(again["sha256"], answer["sha256"]);
    let plain = json(dir.path(), &["train", "--config", file, "--dropout", "0", "--out", "plain"]);
    assert_ne!(plain["sha256"], answer["sha256"]);
    let layers = json(dir.path(), &["inspect", "again"])["layers"].clone();
    let ops: Vec<&str> = layers.as_array().unwrap().iter().map(|layer| layer["op"].as_str().unwrap()).collect();
    assert_eq!(ops.iter().filter(|op| **op == "add").count(), 2);
    assert_eq!(ops.iter().filter(|op| **op == "dropout").count(), 2);
}

#[test]
fn words_for_a_person() {
    let dir = tempdir().unwrap();
    let output = inkstone(dir.path(), &SMALL).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for part in ["mlp:32 relu: 784-32-10", "1/2", "2/2", "True digit", "hardest", "test accuracy", "sha256"] {
        assert!(stdout.contains(part), "{part:?} is missing:\n{stdout}");
    }
    assert!(stdout.contains('█'), "the hardest digits are drawn:\n{stdout}");
    assert!(!stdout.contains('\x1b'), "plain lines away from a terminal");
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let dir = tempdir().unwrap();
    let words = ["train", "--model", "mlp:256,64", "--limit", "2000", "--epochs", "2", "--batch", "200"];
    let mut bytes = Vec::new();
    for threads in ["1", "2", "3", "8"] {
        // On a busy machine one thread may do all the work before another gets its turn: such a run proves nothing.
        let workers = (0..20).find_map(|attempt| {
            let out = format!("{threads}-{attempt}");
            let answer = json(dir.path(), &with(&words, &["--threads", threads, "--out", &out]));
            let workers = answer["workers"].as_u64().unwrap();
            println!("{threads} threads: {workers} took part, sha256 {}", answer["sha256"]);
            assert_eq!(answer["threads"].to_string(), threads);
            bytes.push(answer["sha256"].as_str().unwrap().to_owned());
            (threads == "1" || workers > 1).then_some(workers)
        });
        let workers = workers.expect("in twenty runs never more than one thread worked");
        assert_eq!(threads == "1", workers == 1, "{workers} of {threads} threads worked");
    }
    bytes.dedup();
    assert_eq!(bytes.len(), 1, "{bytes:?}");
}

/// Starts a training and waits until it has said `word`; returns the process, its output, and what it said so far.
fn started(dir: &Path, words: &[&str], word: &str) -> (Child, BufReader<ChildStdout>, String) {
    begun(Command::new(env!("CARGO_BIN_EXE_inkstone")), dir, words, word)
}

/// The same by another command, to which `words` are added.
fn begun(mut command: Command, dir: &Path, words: &[&str], word: &str) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = command
        .args(words)
        .current_dir(dir)
        .env("INKSTONE_DATA", cli_support::mnist())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains(word) {
        assert_ne!(stdout.read_line(&mut said).unwrap(), 0, "ended before it said {word:?}:\n{said}");
    }
    (child, stdout, said)
}

/// Sends a signal; the shell's own `kill`: a bare machine has no other. False if the process is gone.
fn send(child: &Child, signal: &str) -> bool {
    let kill = format!("kill {signal} {}", child.id());
    Command::new("sh").args(["-c", &kill]).status().unwrap().success()
}

/// Starts a training that takes seconds, sends `signal` after its first epoch, and returns the exit code and what it said.
fn interrupted(dir: &Path, words: &[&str], signal: &str) -> (Option<i32>, String) {
    let (mut child, mut stdout, mut said) = started(dir, words, " 1/");
    assert!(send(&child, signal));
    stdout.read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

#[test]
fn a_run_resumes_to_the_same_bytes() {
    let dir = tempdir().unwrap();
    let words = ["train", "--model", "mlp:16", "--limit", "4000", "--epochs", "8", "--batch", "4", "--split", "500"];
    let words = with(&words, &["--warmup", "50", "--weight-decay", "1e-4"]);
    let whole = json(dir.path(), &with(&words, &["--out", "whole"]));

    // Ctrl-C: finishes the step, saves, says how to go on.
    let (code, said) = interrupted(dir.path(), &with(&words, &["--out", "my run"]), "-INT");
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("inkstone train --resume 'my run'"), "{said}");
    assert!(!dir.path().join("my run/model.safetensors").exists(), "no result before the end");
    let resumed = json(dir.path(), &["train", "--resume", "my run", "--threads", "3"]);
    assert_eq!(resumed["sha256"], whole["sha256"]);
    assert_eq!(resumed["sha256"], sha256(&dir.path().join("my run/model.safetensors")));
    assert_eq!(resumed["epochs"], 8);
    let without_seconds = |run: &str| -> Vec<Value> {
        let lines = fs::read_to_string(dir.path().join(run).join("metrics.jsonl")).unwrap();
        let parse = |line: &str| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line["seconds"].take();
            line
        };
        lines.lines().map(parse).collect()
    };
    assert_eq!(without_seconds("my run"), without_seconds("whole"), "sums of the epoch under way survive");

    // Another machine's instruction set: what is advised is what may be said.
    let other = if cfg!(target_arch = "x86_64") { "neon" } else { "avx2" };
    let config = dir.path().join("my run/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let line = text.lines().find(|line| line.starts_with("isa = ")).unwrap();
    fs::write(&config, text.replace(line, &format!("isa = \"{other}\""))).unwrap();
    let output = inkstone(dir.path(), &["train", "--resume", "my run"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("--config 'my run/config.toml' --isa"), "{said}");

    // kill -9: nothing is finished, the last save is whole.
    let (code, _) = interrupted(dir.path(), &with(&words, &["--out", "killed"]), "-KILL");
    assert_eq!(code, None);
    let resumed = json(dir.path(), &["train", "--resume", "killed", "--threads", "1"]);
    assert_eq!(resumed["sha256"], whole["sha256"]);

    // A run that is over is evaluated again and left as it is.
    let again = json(dir.path(), &["train", "--resume", "killed"]);
    assert_eq!((&again["sha256"], &again["test_loss"]), (&whole["sha256"], &whole["test_loss"]));
}

/// Sends Ctrl-C again and again until the process ends.
#[test]
fn a_second_ctrl_c_ends_at_once_and_loses_only_what_was_not_saved() {
    let dir = tempdir().unwrap();
    // One update takes seconds: the first Ctrl-C waits for it, the second does not.
    let words = ["train", "--model", "mlp:2048,2048", "--batch", "20000", "--epochs", "2", "--out", "run"];
    let (mut child, mut stdout, mut said) = started(dir.path(), &words, "epoch  train loss");
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(60), "goes on after two Ctrl-C");
        send(&child, "-INT");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    stdout.read_to_string(&mut said).unwrap();
    assert!(!said.contains("--resume"), "nothing was saved: {said}");
    assert!(!dir.path().join("run/model.safetensors").exists());
}

/// As under `nohup`, which has a process ignore that its terminal closes.
#[cfg(target_os = "linux")]
#[test]
fn a_closed_terminal_stops_a_run_that_was_not_told_to_ignore_it() {
    let dir = tempdir().unwrap();
    let words = ["train", "--model", "mlp:16", "--limit", "4000", "--epochs", "6", "--batch", "4"];
    // These tests may run under `nohup` themselves, and what a process ignores its children ignore too.
    let mut hears = Command::new("env");
    hears.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_inkstone")]);
    let (mut child, mut stdout, mut said) = begun(hears, dir.path(), &with(&words, &["--out", "heard"]), " 1/");
    assert!(send(&child, "-HUP"));
    stdout.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_inkstone")]);
    let (mut child, mut stdout, mut said) = begun(shell, dir.path(), &with(&words, &["--out", "ignored"]), " 1/");
    assert!(send(&child, "-HUP"));
    stdout.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert!(dir.path().join("ignored/model.safetensors").exists());
}

#[test]
fn a_run_is_trained_by_one_process_at_a_time() {
    let dir = tempdir().unwrap();
    let words = ["train", "--model", "mlp:16", "--limit", "4000", "--epochs", "200", "--batch", "4", "--out", "run"];
    let (mut child, mut stdout, mut said) = started(dir.path(), &words, " 1/");
    for more in [vec!["train", "--epochs", "1", "--out", "run", "--force"], vec!["train", "--resume", "run"]] {
        let output = inkstone(dir.path(), &more).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && error.contains("one process at a time trains a run"), "{error}");
    }
    assert!(send(&child, "-INT"));
    stdout.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
}

#[test]
fn flags_go_before_the_file_that_they_mend() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("c.toml"), "model = \"mlp:8\"\nlimit = 300\nepochs = 1\npatience = 3\n").unwrap();
    let answer = json(dir.path(), &["train", "--config", "c.toml", "--split", "100", "--out", "run"]);
    assert_eq!(answer["epochs"], 1);
}

#[test]
fn patience_keeps_the_best_epoch() {
    let dir = tempdir().unwrap();
    let words = ["train", "--model", "mlp:32", "--limit", "500", "--batch", "20", "--lr", "0.02", "--epochs", "40"];
    let answer = json(dir.path(), &with(&words, &["--split", "0.02", "--patience", "2", "--out", "run"]));
    let (best, epochs) = (answer["best_epoch"].as_u64().unwrap(), answer["epochs"].as_u64().unwrap());
    assert_eq!((answer["stopped_early"].as_bool(), epochs), (Some(true), best + 2));
    let lines = fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    let line: Value = serde_json::from_str(lines.lines().nth(best as usize - 1).unwrap()).unwrap();
    for key in ["val_loss", "val_accuracy", "test_loss", "test_accuracy", "train_loss"] {
        assert_eq!(answer[key], line[key], "{key} is the best epoch's");
    }
    let eval = json(dir.path(), &["eval", "run"]);
    assert_eq!((&eval["test_loss"], &eval["sha256"]), (&answer["test_loss"], &answer["sha256"]));
}

#[test]
fn a_trained_model_is_evaluated_inspected_and_started_from() {
    let dir = tempdir().unwrap();
    let trained = json(dir.path(), &with(&SMALL, &["--out", "run", "--normalize", "mean-std"]));
    let model = "run/model.safetensors";

    let eval = json(dir.path(), &["eval", model, "--logits", "logits.safetensors"]);
    for key in ["test_loss", "test_accuracy", "confusion", "per_class_accuracy", "sha256"] {
        assert_eq!(eval[key], trained[key], "{key}");
    }
    let counts = eval["confusion"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap());
    assert_eq!(counts.map(|count| count.as_u64().unwrap()).sum::<u64>(), 10_000);
    let bytes = fs::read(dir.path().join("logits.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let logits = tensors.tensor("logits").unwrap();
    assert_eq!((logits.shape(), logits.dtype()), (&[10_000, 10][..], safetensors::Dtype::F32));
    let logits: Vec<f32> =
        logits.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    let labels = inkstone::data::load(&cli_support::mnist()).unwrap().test;
    let right = logits.chunks_exact(10).enumerate().filter(|(i, row)| {
        let best = (0..10).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        best == usize::from(labels.label(*i))
    });
    assert_eq!(right.count() as f64 / 10_000.0, eval["test_accuracy"].as_f64().unwrap(), "logits are in order");

    let inspect = json(dir.path(), &["inspect", "run", "--batch", "200"]);
    assert_eq!((&inspect["parameters"], &inspect["input"]), (&value!(784 * 32 + 32 + 320 + 10), &value!([1, 28, 28])));
    assert_eq!(inspect["layers"].as_array().unwrap().len(), 4);
    assert!(inspect["flops"].as_u64().unwrap() >= 2 * (784 * 32 + 320) && inspect["arena_bytes"].is_u64());

    // From these weights, with steps too small to move them, the test loss is the same.
    let words = ["train", "--model", "mlp:32", "--normalize", "mean-std", "--limit", "200", "--epochs", "1"];
    let started = json(dir.path(), &with(&words, &["--lr", "1e-30", "--no-shuffle", "--init", model, "--out", "more"]));
    assert_eq!(started["test_loss"], trained["test_loss"]);
}

#[test]
fn pictures_are_read() {
    let dir = tempdir().unwrap();
    json(dir.path(), &with(&SMALL, &["--out", "run"]));
    let test = inkstone::data::load(&cli_support::mnist()).unwrap().test;
    // Sample 0 is a clear 7, sample 1 a clear 2: one as MNIST has it, one large, dark on bright, and off the centre.
    let mut pgm = b"P5 28 28 255\n".to_vec();
    pgm.extend(test.image(0));
    fs::write(dir.path().join("seven.pgm"), pgm).unwrap();
    let (side, zoom) = (300, 5);
    let mut pgm = format!("P5 {side} {side} 255\n").into_bytes();
    for at in 0..side * side {
        let (row, col) = (at / side / zoom, at % side / zoom);
        pgm.push(if row < 28 && col < 28 { 255 - test.image(1)[row * 28 + col] } else { 255 });
    }
    fs::write(dir.path().join("two.pgm"), pgm).unwrap();

    let answer = json(dir.path(), &["predict", "run", "seven.pgm", "two.pgm"]);
    let results = answer["results"].as_array().unwrap();
    assert_eq!((&results[0]["digit"], &results[1]["digit"]), (&value!(7), &value!(2)), "{answer}");
    assert_eq!(results[0]["file"], "seven.pgm");
    for result in results {
        let sum: f64 = result["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
    let shown = inkstone(dir.path(), &["predict", "run", "seven.pgm", "--show"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains('█') && shown.contains("seven.pgm: 7"), "{shown}");
}

#[test]
fn the_data_is_verified_and_shown() {
    let dir = tempdir().unwrap();
    let verify = json(dir.path(), &["data", "verify"]);
    assert_eq!((&verify["ok"], verify["files"].as_array().unwrap().len()), (&value!(true), 4));
    let show = json(dir.path(), &["data", "show", "--test", "--label", "3", "--count", "2"]);
    assert_eq!(show["samples"], value!([{ "index": 18, "label": 3 }, { "index": 30, "label": 3 }]));
    let drawn = |words: &[&str]| {
        let output = inkstone(dir.path(), &with(&["data", "show", "--count", "1"], words)).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let augment = ["--augment", "rotate=30,scale=0.2"];
    let augmented = [&[], &["--epoch", "2"][..], &["--seed", "2"]].map(|words| drawn(&with(&augment, words)));
    assert!(augmented.iter().all(|text| text.contains('█') && text.contains("#0: 5") && *text != drawn(&[])));
    assert!(augmented[0] != augmented[1] && augmented[0] != augmented[2], "another epoch, another seed");
    assert_eq!(drawn(&["--augment", "none"]), drawn(&[]));
    let show = json(dir.path(), &with(&["data", "show", "--count", "1"], &augment));
    assert_eq!(show["augment"], "rotate=30,scale=0.2");
    let drawn = inkstone(dir.path(), &["data", "show", "--count", "1"]).output().unwrap();
    let drawn = String::from_utf8(drawn.stdout).unwrap();
    assert!(drawn.contains('█') && drawn.contains("#0: 5"), "{drawn}");
}

/// No option is read and forgotten: each makes other weights than none, and than every other one.
#[test]
fn every_option_of_training_makes_other_weights() {
    let dir = tempdir().unwrap();
    let momentum = ["--optimizer", "momentum"];
    let options: [&[&str]; 26] = [
        &[],
        &["--activation", "tanh"],
        &["--dropout", "0.2"],
        &["--initializer", "kaiming"],
        &["--initializer", "xavier"],
        &["--bias", "input"],
        &["--normalize", "image"],
        &["--normalize", "mean-std"],
        &["--augment", "rotate=10"],
        &["--split", "100"],
        &["--no-shuffle"],
        &["--optimizer", "sgd"],
        &["--optimizer", "adamw", "--weight-decay", "0.1"],
        &["--weight-decay", "0.1"],
        &momentum,
        &["--optimizer", "momentum", "--momentum", "0.5"],
        &["--optimizer", "momentum", "--reset-velocity"],
        &["--lr", "0.01"],
        &["--schedule", "constant"],
        &["--warmup", "10"],
        &["--l1", "0.01"],
        &["--l2", "0.01"],
        &["--label-smoothing", "0.1"],
        &["--clip-norm", "0.01"],
        &["--average", "ema:0.9"],
        &["--seed", "2"],
    ];
    let base = ["train", "--model", "mlp:8", "--limit", "300", "--epochs", "2", "--batch", "20"];
    let mut seen = std::collections::BTreeMap::new();
    for (number, words) in options.into_iter().enumerate() {
        let out = format!("run-{number}");
        let answer = json(dir.path(), &[&base[..], words, &["--out", &out]].concat());
        let before = seen.insert(answer["sha256"].as_str().unwrap().to_owned(), words);
        assert_eq!(before, None, "the same weights with {words:?}");
    }
}

#[test]
fn gradients_are_checked() {
    let dir = tempdir().unwrap();
    let answer = json(dir.path(), &["gradcheck", "--model", "mlp:5", "--activation", "tanh"]);
    assert_eq!(answer["passed"], true, "{answer}");
    assert!(!answer["ops"].as_array().unwrap().is_empty());
}

#[test]
fn completions_and_help_are_complete() {
    let dir = tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = inkstone(dir.path(), &["completions", shell]).output().unwrap();
        assert!(script.status.success());
        let script = String::from_utf8(script.stdout).unwrap();
        for command in
            "train eval predict gradcheck inspect bench sweep study report quantize export validate completions"
                .split(' ')
        {
            assert!(script.contains(command), "{shell}: {command} is missing");
        }
    }
    assert!(json(dir.path(), &["completions", "bash"])["script"].as_str().unwrap().contains("inkstone"));
    let help = inkstone(dir.path(), &["train", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for flag in "model activation data normalize augment split optimizer lr momentum schedule reduction l1 l2 epochs batch patience \
                 seed threads isa weight-decay warmup exact-train-metrics force init no-shuffle limit out resume config json dropout \
                 initializer bias reset-velocity label-smoothing clip-norm average test-shift"
        .split_whitespace()
    {
        // One name may begin as another does.
        let is_there = [" ", "\n", "["].iter().any(|end| help.contains(&format!("--{flag}{end}")));
        assert!(is_there, "--{flag} is missing from the help");
    }
    assert!(contents(dir.path()).is_empty(), "neither writes a file");
}

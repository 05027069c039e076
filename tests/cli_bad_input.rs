//! Bad input of every kind: a message that names what is wrong, where, and what would be right; exit code 1 or 2; nothing overwritten.
//! Every test runs the binary.

mod cli_support;

use cli_support::{contents, inkstone, json, mnist, sha256, with};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use tempfile::{TempDir, tempdir};

const NAMES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// Runs the command, expects this exit code, all of these words on stderr, and none on stdout.
fn refused(dir: &Path, words: &[&str], code: i32, parts: &[&str]) -> String {
    let output = inkstone(dir, words).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{stdout}\n{stderr}");
    check_message(&stderr, words, parts);
    assert_eq!(stdout, "", "{words:?}");
    stderr
}

fn check_message(stderr: &str, words: &[&str], parts: &[&str]) {
    assert!(stderr.contains("error: "), "{words:?}\n{stderr}");
    assert!(!stderr.contains("panicked"), "{words:?}\n{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{words:?}: {part:?} is missing in\n{stderr}");
    }
}

/// An IDX file: magic number, sizes, contents.
fn idx(magic: u32, sizes: &[u32], contents: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(contents);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A folder `set` of 20 and 10 images of 28 x 28, with one file replaced.
fn folder_with(file: &str, bytes: &[u8]) -> TempDir {
    let dir = tempdir().unwrap();
    let set = dir.path().join("set");
    fs::create_dir(&set).unwrap();
    for (name, count) in NAMES.into_iter().zip([20u32, 20, 10, 10]) {
        let whole = match name.contains("images") {
            true => {
                let pixels: Vec<u8> = (0..count * 784).map(|i| (i * 7 % 256) as u8).collect();
                idx(0x803, &[count, 28, 28], &pixels)
            }
            false => idx(0x801, &[count], &(0..count).map(|i| (i % 10) as u8).collect::<Vec<_>>()),
        };
        fs::write(set.join(name), whole).unwrap();
    }
    if !file.is_empty() {
        let _ = fs::remove_file(set.join(file.trim_end_matches(".gz")));
        fs::write(set.join(file), bytes).unwrap();
    }
    dir
}

/// Training on the folder `set`: nothing may be left behind.
fn training_refused(dir: &Path, parts: &[&str]) {
    let before = contents(dir);
    refused(dir, &["train", "--data", "set", "--epochs", "1"], 1, parts);
    assert_eq!(contents(dir), before, "nothing is written before the data is known to be good");
}

#[test]
fn a_good_folder_is_accepted() {
    let dir = folder_with("", b"");
    let answer = json(dir.path(), &["train", "--model", "linear", "--data", "set", "--epochs", "1"]);
    assert_eq!(answer["epochs"], 1);
}

#[test]
fn damaged_data_is_refused() {
    let pixels = vec![0; 20 * 784];
    let images = gzip(&idx(0x803, &[20, 28, 28], &pixels));
    let [file, labels] = [NAMES[0], NAMES[1]];
    let compressed = format!("{file}.gz");

    let truncated = folder_with(&compressed, &images[..images.len() / 2]);
    training_refused(truncated.path(), &[&compressed]);

    let too_long = folder_with(&compressed, &gzip(&idx(0x803, &[20, 28, 28], &vec![0; 21 * 784])));
    training_refused(too_long.path(), &[&compressed, "expected", "found"]);

    // A bomb: a small file that unfolds to 64 MiB behind a header of 20 images. And a header that announces 3 GB.
    let mut bomb = idx(0x803, &[20, 28, 28], &pixels);
    bomb.resize(64 << 20, 0);
    let bomb = folder_with(&compressed, &gzip(&bomb));
    training_refused(bomb.path(), &[&compressed, "expected", "found"]);
    let announced = folder_with(&compressed, &gzip(&idx(0x803, &[4_000_000, 28, 28], &pixels)));
    training_refused(announced.path(), &[&compressed, "expected", "found"]);

    let magic = folder_with(file, &idx(0x802, &[20, 28, 28], &pixels));
    training_refused(magic.path(), &[file, "expected", "found", "magic"]);

    let overflow = folder_with(file, &idx(0x803, &[u32::MAX, u32::MAX, u32::MAX], &pixels));
    training_refused(overflow.path(), &[file, "expected", "found"]);

    let short = folder_with(file, &idx(0x803, &[20, 28, 28], &pixels[1..]));
    training_refused(short.path(), &[file, "expected", "found"]);

    let label_ten = folder_with(labels, &idx(0x801, &[20], &[[9; 19].as_slice(), &[10]].concat()));
    training_refused(label_ten.path(), &[labels, "expected", "found", "10"]);

    let other_count = folder_with(labels, &idx(0x801, &[19], &[0; 19]));
    training_refused(other_count.path(), &[labels, "expected 20", "found 19"]);

    let empty_file = folder_with(file, b"");
    training_refused(empty_file.path(), &[file]);
}

#[test]
fn folders_without_the_data_are_refused() {
    let dir = tempdir().unwrap();
    fs::create_dir(dir.path().join("set")).unwrap();
    training_refused(dir.path(), &["set", NAMES[0]]);
    refused(dir.path(), &["data", "verify", "--data", "set"], 1, &["set", NAMES[0]]);
    refused(dir.path(), &["eval", "no-such-run"], 1, &["no-such-run"]);
    // MNIST nowhere: the message lists the places.
    let output = inkstone(dir.path(), &["train"]).env("INKSTONE_DATA", "/no/such/place").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    check_message(&String::from_utf8(output.stderr).unwrap(), &["train"], &["/no/such/place", "data/mnist"]);
    // A set that calls itself MNIST and is another one.
    let other = folder_with("", b"");
    refused_verify(other.path());
    let output = inkstone(other.path(), &["train"]).env("INKSTONE_DATA", other.path().join("set")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    check_message(&String::from_utf8(output.stderr).unwrap(), &["train"], &[NAMES[0], "SHA-256", "expected", "found"]);
}

/// `data verify` shows all four files, and then fails.
fn refused_verify(dir: &Path) {
    let output = inkstone(dir, &["data", "verify", "--data", "set"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    check_message(
        &String::from_utf8(output.stderr).unwrap(),
        &["data verify"],
        &[NAMES[0], "SHA-256", "expected", "found"],
    );
}

#[test]
fn bad_flags_are_usage_errors() {
    let dir = tempdir().unwrap();
    let cases: [(&[&str], &[&str]); 44] = [
        (&["--optimizer", "adamm"], &["--optimizer", "adamm", "adamw"]),
        (&["--no-such-flag"], &["--no-such-flag"]),
        (&["--model", "cnn", "--activation", "tanh"], &["--activation", "between the layers of an mlp", "found cnn"]),
        (&["--lr", "NaN"], &["--lr", "expected", "found NaN"]),
        (&["--lr", "-0.1"], &["--lr", "expected", "found -0.1"]),
        (&["--lr", "0"], &["--lr", "expected", "found 0"]),
        (&["--lr", "inf"], &["--lr", "expected", "found inf"]),
        (&["--lr", "fast"], &["--lr", "fast"]),
        (&["--batch", "0"], &["--batch", "expected", "found 0"]),
        (&["--batch", "-1"], &["--batch", "-1"]),
        (&["--epochs", "0"], &["--epochs", "expected", "found 0"]),
        (&["--limit", "0"], &["--limit", "expected", "found 0"]),
        (&["--model", "mlp:0"], &["--model", "mlp:0", "expected", "found"]),
        (&["--model", "mlp:512,,10"], &["--model", "expected", "found"]),
        (&["--model", "mlp:1048576,1048576,1048576"], &["--model", "memory", "expected", "found"]),
        (&["--model", "resnet"], &["--model", "resnet", "expected", "found"]),
        (&["--model", "linear+residual"], &["--model: +residual", "expected", "found linear"]),
        (&["--model", "cnn+residual+residual"], &["--model", "once", "expected", "found"]),
        (&["--dropout", "1"], &["--dropout", "expected", "found 1"]),
        (&["--model", "linear", "--dropout", "0.5"], &["--dropout", "expected", "found 0.5"]),
        (&["--momentum", "0.5"], &["--momentum", "a velocity", "expected --optimizer momentum", "found adam"]),
        (
            &["--init", "w.safetensors", "--initializer", "xavier"],
            &["--initializer", "no --init", "found w.safetensors"],
        ),
        (&["--momentum", "1"], &["--momentum", "expected", "found 1"]),
        (&["--weight-decay", "-1"], &["--weight-decay", "expected", "found -1"]),
        (&["--l1", "NaN"], &["--l1", "expected", "found NaN"]),
        (&["--l2", "-1e-4"], &["--l2", "expected", "found -0.0001"]),
        (&["--schedule", "step:0,0.5"], &["--schedule", "expected", "found"]),
        (&["--schedule", "cosinus"], &["--schedule", "cosinus", "expected", "found"]),
        (&["--split", "1.5"], &["--split", "expected", "found"]),
        (&["--split", "60000"], &["split", "expected", "found"]),
        (&["--augment", "rotate=181"], &["--augment", "augment rotate", "0 to 180", "expected", "found \"181\""]),
        (&["--augment", "translate=1"], &["--augment", "augment translate", "expected", "found \"1\""]),
        (&["--augment", "scale=NaN"], &["--augment", "augment scale", "expected", "found \"NaN\""]),
        (&["--augment", "shear=-5"], &["--augment", "augment shear", "expected", "found \"-5\""]),
        (&["--augment", "elastic=6:0"], &["--augment", "augment elastic", "expected", "found \"6:0\""]),
        (&["--augment", "erase=1.5:0.2"], &["--augment", "augment erase", "expected", "found \"1.5:0.2\""]),
        (&["--augment", "rotat=5"], &["--augment", "expected rotate", "found \"rotat\""]),
        (&["--augment", "rotate=5,rotate=6"], &["--augment", "augment rotate", "once", "expected", "found \"6\""]),
        (&["--resume", "run", "--augment", "rotate=5"], &["--resume", "--augment"]),
        (&["--patience", "3"], &["--patience", "--split"]),
        (&["--threads", "0"], &["--threads", "expected"]),
        (&["--isa", "avx9000"], &["--isa", "avx9000", "scalar"]),
        (&["--resume", "run", "--lr", "0.1"], &["--resume", "--lr"]),
        (&["--resume", "run", "--out", "other"], &["--resume", "--out"]),
    ];
    for (words, parts) in cases {
        refused(dir.path(), &with(&["train"], words), 2, parts);
    }
    refused(dir.path(), &["trian"], 2, &["trian", "train"]);
    refused(dir.path(), &["gradcheck", "--model", "linear+residual"], 2, &["+residual", "expected", "found linear"]);
    let words = ["gradcheck", "--model", "linear", "--activation", "tanh"];
    refused(dir.path(), &words, 2, &["--activation", "expected --model mlp", "found linear"]);
    refused(dir.path(), &["gradcheck", "--eps", "0"], 2, &["eps", "at most 0.001", "found 0"]);
    refused(dir.path(), &["gradcheck", "--eps", "0.01"], 2, &["eps", "at most 0.001", "found 0.01"]);
    refused(dir.path(), &["data", "show", "--label", "10"], 2, &["--label", "expected", "found 10"]);
    refused(dir.path(), &["data", "show", "--augment", "rotate=x"], 2, &["--augment", "expected", "found \"x\""]);
    refused(dir.path(), &["data", "show", "--augment", "rotate=5", "--test"], 2, &["--augment", "--test"]);
    refused(dir.path(), &["data", "show", "--epoch", "2"], 2, &["--augment"]);
    refused(dir.path(), &["data", "show", "--augment", "rotate=5", "--epoch", "0"], 2, &["--epoch"]);
    refused(dir.path(), &["data", "show", "--from", "60000"], 2, &["--from", "expected", "found 60000"]);
    assert!(contents(dir.path()).is_empty(), "nothing is written");
}

#[test]
fn bad_configuration_files_are_refused() {
    let dir = tempdir().unwrap();
    let cases = [
        ("lr = -1.0", 2, "bad.toml: lr: "),
        ("patience = 3", 2, "bad.toml: patience: "),
        ("learning_rate = 0.1", 2, "learning_rate"),
        ("lr = ", 2, "bad.toml"),
        ("optimizer = \"adamm\"", 2, "adamm"),
        ("isa = \"avx9000\"", 2, "avx9000"),
        ("augment = \"rotat=5\"", 2, "augment: a known key: expected rotate"),
        ("augment = 5", 2, "bad.toml"),
        ("\u{0}", 2, "bad.toml"),
    ];
    for (text, code, part) in cases {
        fs::write(dir.path().join("bad.toml"), text).unwrap();
        refused(dir.path(), &["train", "--config", "bad.toml"], code, &[part]);
    }
    fs::write(dir.path().join("bad.toml"), b"lr = \xff").unwrap();
    refused(dir.path(), &["train", "--config", "bad.toml"], 1, &["bad.toml"]);
    refused(dir.path(), &["train", "--config", "no-such.toml"], 1, &["no-such.toml"]);
    assert_eq!(contents(dir.path()).len(), 1, "nothing is written but the test's own file");
}

#[test]
fn other_networks_and_damaged_checkpoints_are_refused() {
    let dir = tempdir().unwrap();
    let words = ["train", "--limit", "200", "--epochs", "1"];
    json(dir.path(), &with(&words, &["--model", "mlp:16", "--out", "run"]));
    let before = contents(dir.path());
    let model = "run/model.safetensors";
    // Weights of another network.
    refused(dir.path(), &["train", "--model", "mlp:20", "--init", model], 1, &[model, "expected", "found", "1.weight"]);
    refused(dir.path(), &["train", "--model", "linear", "--init", model], 1, &[model, "expected", "found"]);
    refused(dir.path(), &["train", "--init", "no-such-file"], 1, &["no-such-file"]);
    // A bit of our own weights is another.
    let mut bytes = fs::read(dir.path().join(model)).unwrap();
    let at = bytes.len() - 7;
    bytes[at] ^= 1;
    fs::write(dir.path().join("damaged.safetensors"), bytes).unwrap();
    let words = ["train", "--model", "mlp:16", "--init", "damaged.safetensors"];
    refused(dir.path(), &words, 1, &["damaged.safetensors", "SHA-256", "expected", "found"]);
    fs::remove_file(dir.path().join("damaged.safetensors")).unwrap();
    // A run is not replaced where its first weights lie in it.
    let words = ["train", "--model", "mlp:16", "--init", model, "--out", "run", "--force"];
    refused(dir.path(), &words, 1, &["init run/model.safetensors", "expected another directory"]);
    // A network for other images.
    let small = dir.path().join("small");
    fs::create_dir(&small).unwrap();
    for (name, count) in NAMES.into_iter().zip([3u32, 3, 3, 3]) {
        let images = name.contains("images");
        let (magic, sizes) = if images { (0x803, vec![count, 2, 2]) } else { (0x801, vec![count]) };
        fs::write(small.join(name), idx(magic, &sizes, &vec![1; if images { 12 } else { 3 }])).unwrap();
    }
    refused(dir.path(), &["eval", "run", "--data", "small"], 1, &[model, "expected", "1x2x2", "found 1x28x28"]);
    fs::remove_dir_all(&small).unwrap();

    // A model cut short, with a byte changed, and none at all.
    let bytes = fs::read(dir.path().join(model)).unwrap();
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    for damaged in [&bytes[..bytes.len() - 5], &bytes[..7], &changed, b"", b"not a model at all"] {
        fs::write(dir.path().join("damaged"), damaged).unwrap();
        for command in ["eval", "inspect"] {
            refused(dir.path(), &[command, "damaged"], 1, &["damaged"]);
        }
    }
    fs::remove_file(dir.path().join("damaged")).unwrap();
    assert_eq!(contents(dir.path()), before, "the run is as it was");

    // A run whose last save is damaged goes on from the one before, and says so; with both damaged it says what is wrong.
    fs::write(dir.path().join("run/last/model.safetensors"), b"damaged").unwrap();
    let output = inkstone(dir.path(), &["train", "--resume", "run"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.contains("previous"), "{stderr}");
    assert_eq!(sha256(&dir.path().join(model)), before.iter().find(|(path, _)| path.ends_with(model)).unwrap().1);
    for save in ["last", "previous"] {
        fs::write(dir.path().join("run").join(save).join("optimizer.safetensors"), b"damaged").unwrap();
    }
    refused(
        dir.path(),
        &["train", "--resume", "run"],
        1,
        &["last/optimizer.safetensors", "previous/optimizer.safetensors"],
    );
    refused(dir.path(), &["train", "--resume", "no-such-run"], 1, &["no-such-run"]);
}

#[test]
fn an_existing_run_is_not_overwritten() {
    let dir = tempdir().unwrap();
    let words = ["train", "--model", "linear", "--limit", "200", "--epochs", "1", "--out", "run"];
    let first = json(dir.path(), &words);
    let before = contents(dir.path());
    let other = with(&words, &["--seed", "2"]);
    refused(dir.path(), &other, 1, &["run", "expected", "found", "--force", "--resume"]);
    assert_eq!(contents(dir.path()), before);
    // Not a run: not even with --force.
    fs::create_dir(dir.path().join("letters")).unwrap();
    fs::write(dir.path().join("letters/love.txt"), "x").unwrap();
    refused(dir.path(), &["train", "--out", "letters", "--force"], 1, &["letters", "love.txt"]);
    refused(dir.path(), &["train", "--out", "letters/love.txt"], 1, &["letters/love.txt"]);
    assert_eq!(fs::read(dir.path().join("letters/love.txt")).unwrap(), b"x");
    // With --force a run is replaced, and what else lies there is kept.
    fs::write(dir.path().join("run/notes.txt"), "mine").unwrap();
    let second = json(dir.path(), &with(&other, &["--force"]));
    assert_ne!(second["sha256"], first["sha256"]);
    assert_eq!(second["sha256"], sha256(&dir.path().join("run/model.safetensors")));
    assert_eq!(fs::read(dir.path().join("run/notes.txt")).unwrap(), b"mine");
}

#[test]
fn unreadable_pictures_are_refused() {
    let dir = tempdir().unwrap();
    json(dir.path(), &["train", "--model", "linear", "--limit", "200", "--epochs", "1", "--out", "run"]);
    let mut good = b"P5 28 28 255\n".to_vec();
    good.extend((0..784).map(|i| if (300..320).contains(&i) { 255 } else { 0 }));
    fs::write(dir.path().join("good.pgm"), good).unwrap();
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff\xff\xff\xff\xff\xff\xff\x08\0\0\0\0";
    let cases: [(&str, &[u8]); 6] = [
        ("empty.png", b""),
        ("text.png", b"this is not a picture"),
        ("cut.png", &png[..20]),
        ("huge.png", png),
        ("huge.pgm", b"P5 4294967295 4294967295 255\n"),
        ("short.pgm", b"P5 28 28 255\nabc"),
    ];
    for (name, bytes) in cases {
        fs::write(dir.path().join(name), bytes).unwrap();
        refused(dir.path(), &["predict", "run", "good.pgm", name], 1, &[name]);
    }
    let mut blank = b"P5 28 28 255\n".to_vec();
    blank.extend([255; 784]);
    fs::write(dir.path().join("blank.pgm"), blank).unwrap();
    refused(dir.path(), &["predict", "run", "blank.pgm"], 1, &["blank.pgm", "expected", "found"]);
    refused(dir.path(), &["predict", "run", "missing.png"], 1, &["missing.png"]);
    refused(dir.path(), &["predict", "run", "run"], 1, &["run"]);
    json(dir.path(), &["predict", "run", "good.pgm"]);
}

/// Runs the command where files cannot grow beyond `kib`: writing more fails with an error, as on a full disk.
fn on_a_full_disk(dir: &Path, kib: u32, words: &[&str]) -> (Option<i32>, String) {
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
    let mut command = Command::new("bash");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_inkstone")]).args(words);
    let output = command.current_dir(dir).env("INKSTONE_DATA", mnist()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_full_disk_is_an_ordinary_error() {
    let dir = tempdir().unwrap();
    // Weights of 1.6 MB do not fit.
    let words = ["train", "--limit", "200", "--epochs", "1", "--out", "run"];
    let (code, stderr) = on_a_full_disk(dir.path(), 400, &words);
    assert_eq!(code, Some(1), "{stderr}");
    check_message(&stderr, &words, &["run/", "safetensors", "File too large"]);
    let left = contents(&dir.path().join("run"));
    assert!(
        left.iter().all(|(path, _)| path.extension().is_none_or(|end| end != "safetensors" && end != "tmp")),
        "{left:?}"
    );

    // The disk fills up in the middle of a run: the save before stays whole, and the run goes on when there is room again.
    let words = ["train", "--model", "mlp:16", "--limit", "400", "--epochs", "3", "--out"];
    let whole = json(dir.path(), &with(&words, &["whole"]));
    json(dir.path(), &with(&words, &["part"]));
    let before = contents(&dir.path().join("part"));
    let (code, stderr) = on_a_full_disk(dir.path(), 20, &["train", "--resume", "part"]);
    assert_eq!(code, Some(1), "{stderr}");
    check_message(&stderr, &["--resume"], &["part/model.safetensors", "File too large"]);
    assert_eq!(contents(&dir.path().join("part")), before, "the old files are as they were");
    assert_eq!(json(dir.path(), &["train", "--resume", "part"])["sha256"], whole["sha256"]);

    // A file that exists stays as it is.
    fs::write(dir.path().join("logits"), "old").unwrap();
    let (code, stderr) = on_a_full_disk(dir.path(), 20, &["eval", "whole", "--logits", "logits"]);
    assert_eq!(code, Some(1), "{stderr}");
    check_message(&stderr, &["eval"], &["logits", "File too large"]);
    assert_eq!(fs::read(dir.path().join("logits")).unwrap(), b"old");
}

#[test]
fn results_that_cannot_be_printed_are_an_error() {
    let dir = tempdir().unwrap();
    let run = |script: &str| {
        let mut command = Command::new("bash");
        command.args(["-c", script, env!("CARGO_BIN_EXE_inkstone")]).env("INKSTONE_DATA", mnist());
        let output = command.current_dir(dir.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = run("\"$0\" data verify --json > /dev/full");
    assert_eq!(code, Some(1));
    check_message(&stderr, &["data verify"], &["standard output", "No space left"]);
    let (_, stderr) = run("\"$0\" data verify | true"); // a reader that had enough
    assert_eq!(stderr, "");
}

#[test]
fn a_loss_that_is_no_number_stops_with_advice() {
    let dir = tempdir().unwrap();
    let words = ["train", "--model", "mlp:16", "--optimizer", "sgd", "--lr", "1e30", "--limit", "400", "--out", "run"];
    let output = inkstone(dir.path(), &words).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    check_message(&String::from_utf8(output.stderr).unwrap(), &words, &["loss", "epoch 1", "--lr"]);
    assert!(!dir.path().join("run/model.safetensors").exists());
}

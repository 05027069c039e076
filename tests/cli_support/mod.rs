//! What the tests of the command share: running the binary, its JSON, and small folders of IDX files.

use assert_cmd::Command;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// MNIST, as it lies in the repository.
pub(crate) fn mnist() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist")
}

/// The binary, with `words` as its arguments, in the directory `dir`.
pub(crate) fn inkstone(dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::cargo_bin("inkstone").unwrap();
    command.args(words).current_dir(dir).env("INKSTONE_DATA", mnist()).env_remove("NO_COLOR");
    command
}

/// Runs it, expects success, and returns the JSON object in the last line of stdout.
pub(crate) fn json(dir: &Path, words: &[&str]) -> serde_json::Value {
    let output = inkstone(dir, words).arg("--json").output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{words:?}\n{stderr}");
    let line = stdout.lines().last().unwrap_or_else(|| panic!("{words:?} says nothing\n{stderr}"));
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{words:?}: {error}: {line}"))
}

/// SHA-256 of a file, in hex.
pub(crate) fn sha256(file: &Path) -> String {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// Every file under `dir` with its SHA-256, sorted: equal before and after if nothing was touched.
pub(crate) fn contents(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.push((path.clone(), "directory".to_owned()));
            found.extend(contents(&path));
        } else {
            found.push((path.clone(), sha256(&path)));
        }
    }
    found.sort();
    found
}

/// The words of `words` and then those of `more`.
pub(crate) fn with<'a>(words: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [words, more].concat()
}

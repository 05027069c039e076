//! Training of several runs that somebody stops.

use crate::cli_support::mnist;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `words`, sends `signal` when the first run is over, and returns the exit code and what it said.
pub(crate) fn stopped(dir: &Path, words: &[&str], signal: &str) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_inkstone"))
        .args(words)
        .current_dir(dir)
        .env("INKSTONE_DATA", mnist())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("  run ") {
        assert_ne!(stdout.read_line(&mut said).unwrap(), 0, "ended before a run was over:\n{said}");
    }
    let kill = format!("kill {signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    stdout.read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

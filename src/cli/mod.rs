//! The command: one file per subcommand. Each parses its flags, calls the rooms of the library, and says what came out.

mod bench;
mod completions;
mod data;
mod deployed;
mod device;
mod draw;
mod eval;
mod export;
mod gradcheck;
mod inspect;
mod machine;
mod predict;
mod progress;
mod quantize;
mod report;
mod screen;
mod settings;
mod study;
mod summary;
mod sweep;
mod train;
mod validate;

pub(crate) use screen::Screen;

use clap::{Parser, Subcommand};
use std::fmt;
use std::path::{Path, PathBuf};

/// Trains handwriting-recognition networks on CPUs.
#[derive(Parser)]
#[command(
    name = "inkstone",
    version,
    max_term_width = 110,
    after_help = "Start here:\n  inkstone train            train a network on MNIST: 15 epochs, well under a minute\n  inkstone train --help     every flag, with its formula\n\nExit codes: 0 done, 1 failed (files, an existing run, answers that differ), 2 bad usage or value, 130 after Ctrl-C."
)]
pub(crate) struct Cli {
    /// Print one JSON object with the results as the last line of stdout; other words go to stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(Box<train::Train>),
    Sweep(sweep::Sweep),
    Study(study::Study),
    Report(report::Report),
    Eval(eval::Eval),
    Predict(predict::Predict),
    Inspect(inspect::Inspect),
    Quantize(quantize::Quantize),
    Export(export::Export),
    Validate(validate::Validate),
    Gradcheck(gradcheck::Gradcheck),
    Bench(bench::Bench),
    Data(data::Data),
    Completions(completions::Completions),
}

/// How a command ended when nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything asked for was done: exit code 0.
    Done,
    /// The check that was asked for ran and found something wrong: exit code 1.
    Refuted,
    /// Ctrl-C: the work was saved and can go on: exit code 130, as shells have it.
    Interrupted,
}

impl End {
    /// The exit code of the process.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refuted => 1,
            Self::Interrupted => 130,
        }
    }
}

/// A flag or a setting that cannot be: exit code 2 instead of 1.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl Usage {
    /// With the message to print, which says what was found and what would be right.
    pub(crate) fn error(message: impl fmt::Display) -> anyhow::Error {
        Self(message.to_string()).into()
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The exit code of a failure.
pub(crate) fn failure_code(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<Usage>()) { 2 } else { 1 }
}

impl Cli {
    /// Runs the command that was parsed.
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        match &self.command {
            Command::Train(command) => command.run(screen),
            Command::Sweep(command) => command.run(screen),
            Command::Study(command) => command.run(screen),
            Command::Report(command) => command.run(screen),
            Command::Eval(command) => command.run(screen),
            Command::Predict(command) => command.run(screen),
            Command::Inspect(command) => command.run(screen),
            Command::Quantize(command) => command.run(screen),
            Command::Export(command) => command.run(screen),
            Command::Validate(command) => command.run(screen),
            Command::Gradcheck(command) => command.run(screen),
            Command::Bench(command) => command.run(screen),
            Command::Data(command) => command.run(screen),
            Command::Completions(command) => command.run(screen),
        }
    }
}

/// Whether two names are of one file.
fn same_file(one: &Path, other: &Path) -> bool {
    std::fs::canonicalize(one).is_ok_and(|one| std::fs::canonicalize(other).is_ok_and(|other| one == other))
}

/// The weights file that `path` means: a run directory stands for its `model.safetensors`.
fn model_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("model.safetensors") } else { path.to_owned() }
}

/// `path` as a word of a shell command, quoted only if it has to be.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:=@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_flag_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_shell_word_survives_the_shell() {
        assert_eq!(shell_word(Path::new("runs/mlp-512-s1")), "runs/mlp-512-s1");
        assert_eq!(shell_word(Path::new("my run's")), r"'my run'\''s'");
    }

    #[test]
    fn a_usage_error_keeps_its_code_under_context() {
        assert_eq!(failure_code(&Usage::error("lr").context("in a.toml")), 2);
        assert_eq!(failure_code(&anyhow::anyhow!("no such file")), 1);
    }
}

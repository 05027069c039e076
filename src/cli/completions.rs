//! `inkstone completions SHELL`: the script that makes a shell complete commands and flags.

use super::{Cli, End, Screen};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

/// Print the completion script of a shell.
#[derive(Args)]
#[command(
    after_help = "Example, for bash:\n  inkstone completions bash > ~/.local/share/bash-completion/completions/inkstone"
)]
pub(crate) struct Completions {
    /// The shell to write for
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "inkstone", &mut script);
        let script = String::from_utf8(script)?;
        if !screen.json() {
            screen.say(script.trim_end());
        }
        screen.answer("completions", &json!({ "shell": self.shell.to_string(), "script": script }));
        Ok(End::Done)
    }
}

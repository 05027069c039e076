//! The command `inkstone`: parse, call, print, exit code.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = cli::Cli::parse(); // on bad usage prints why, with exit code 2
    let screen = cli::Screen::new(command.json);
    let mut code = match command.run(&screen) {
        Ok(end) => end.code(),
        Err(error) => {
            screen.error(&error);
            cli::failure_code(&error)
        }
    };
    if let Err(error) = screen.finish() {
        eprintln!("error: standard output: {error}");
        code = code.max(1);
    }
    ExitCode::from(code)
}

//! Where words go: results to stdout, progress and remarks to stderr; colours and bars only on a terminal.

use indicatif::HumanCount;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

/// The two streams of the process and what may be drawn on them.
pub(crate) struct Screen {
    json: bool,
    colour_out: bool,
    colour_err: bool,
    bars: bool,
    failed: Mutex<Option<io::Error>>, // the first write to stdout that failed, reported at the end
}

/// Whether colours are wanted at all: <https://no-color.org>, and a terminal that has some.
fn colours_wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

impl Screen {
    /// With `json`, stdout is kept for the one JSON object and all other words go to stderr.
    pub(crate) fn new(json: bool) -> Self {
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let colours = colours_wanted();
        Self {
            json,
            colour_out: colours && if json { err } else { out },
            colour_err: colours && err,
            bars: err && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
            failed: Mutex::new(None),
        }
    }

    /// Whether the results are asked for as JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether moving progress bars can be drawn (on stderr).
    pub(crate) fn bars(&self) -> bool {
        self.bars
    }

    /// Whether colours may be used on stderr.
    pub(crate) fn colour_err(&self) -> bool {
        self.colour_err
    }

    /// One or more lines for a person: on stdout, or on stderr where stdout belongs to the JSON.
    pub(crate) fn say(&self, lines: impl Display) {
        if self.json {
            self.remark(lines);
        } else {
            self.write_out(lines);
        }
    }

    /// Lines beside the results (warnings, what was chosen): always on stderr, where a failure to write has no remedy.
    pub(crate) fn remark(&self, lines: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{lines}");
    }

    /// The results of `command` as the last line of stdout, if JSON is asked for: one object, `"command"` its first key.
    pub(crate) fn answer(&self, command: &str, results: &impl Serialize) {
        #[derive(Serialize)]
        struct Answer<'a, T> {
            command: &'a str,
            #[serde(flatten)]
            results: &'a T,
        }
        if self.json {
            match serde_json::to_string(&Answer { command, results }) {
                Ok(line) => self.write_out(line),
                Err(error) => self.fail(io::Error::other(error)),
            }
        }
    }

    /// An error and its causes.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let (red, reset) = if self.colour_err { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        self.remark(format_args!("{red}error:{reset} {error:#}"));
    }

    /// `text` in bold on the stream that [`Screen::say`] writes to.
    pub(crate) fn bold(&self, text: impl Display) -> String {
        self.styled("\x1b[1m", text)
    }

    /// `text` dimmed, likewise.
    pub(crate) fn dim(&self, text: impl Display) -> String {
        self.styled("\x1b[2m", text)
    }

    /// `text` in green, likewise.
    pub(crate) fn green(&self, text: impl Display) -> String {
        self.styled("\x1b[32m", text)
    }

    /// `text` in red, likewise.
    pub(crate) fn red(&self, text: impl Display) -> String {
        self.styled("\x1b[31m", text)
    }

    fn styled(&self, code: &str, text: impl Display) -> String {
        if self.colour_out { format!("{code}{text}\x1b[0m") } else { text.to_string() }
    }

    fn write_out(&self, lines: impl Display) {
        let mut stdout = io::stdout().lock();
        if let Err(error) = writeln!(stdout, "{lines}").and_then(|()| stdout.flush()) {
            self.fail(error);
        }
    }

    fn fail(&self, error: io::Error) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Whether everything for stdout got there. A reader that closed the pipe (`| head`) had all it wanted.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}

/// A whole number in groups of three: `407050` as `407,050`.
pub(crate) fn grouped(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Seconds as a person reads them: `0.8 s`, `42 s`, `3 min 20 s`, `2 h 05 min`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64; // saturates, which is fine for a display
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Bytes as a person reads them: `512 B`, `1.6 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let (mut size, mut unit) = (count as f64 / 1024.0, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([grouped(0), grouped(999), grouped(1000), grouped(407_050)], ["0", "999", "1,000", "407,050"]);
        assert_eq!([duration(0.84), duration(9.94), duration(59.0)], ["0.8 s", "9.9 s", "59 s"]);
        assert_eq!([duration(9.99), duration(200.0), duration(7500.0)], ["10 s", "3 min 20 s", "2 h 05 min"]);
        assert_eq!([bytes(512), bytes(1536), bytes(1_628_200)], ["512 B", "1.5 KiB", "1.6 MiB"]);
    }
}

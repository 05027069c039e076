//! Why data was refused: the place, the rule, what was expected and what was found.

use std::io;
use std::path::{Path, PathBuf};

/// Why data was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system could not read the file.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or a value breaks a rule.
    #[error("{place}: {rule}: expected {expected}, found {found}")]
    Rule {
        /// The file, or the flag or key that held the value.
        place: String,
        /// The rule that is broken.
        rule: &'static str,
        /// What would have been right.
        expected: String,
        /// What is there.
        found: String,
    },
    /// No folder holds what was looked for.
    #[error("{what} not found; looked at:{}", looked.iter().map(|l| format!("\n  {l}")).collect::<String>())]
    Missing {
        /// What was looked for.
        what: String,
        /// Every place that was looked at, with what was wrong there.
        looked: Vec<String>,
    },
}

impl DataError {
    /// A broken rule in a file.
    pub(super) fn file(path: &Path, rule: &'static str, expected: impl ToString, found: impl ToString) -> Self {
        Self::value(path.display(), rule, expected, found)
    }

    /// A broken rule in a value.
    pub(super) fn value(
        place: impl ToString,
        rule: &'static str,
        expected: impl ToString,
        found: impl ToString,
    ) -> Self {
        Self::Rule { place: place.to_string(), rule, expected: expected.to_string(), found: found.to_string() }
    }

    /// A failure of the operating system.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

//! What a run leaves on disk, in safetensors: models that PyTorch opens, and run directories that resume exactly.
//!
//! In come a graph, its flat parameters and the optimizer's state; out go files that either are complete or are not there.
//! Next rooms: `quant` and `export`, which read the model.
//!
//! Reading trusts nothing: sizes are capped, the header and every offset are checked before a tensor is looked at, the graph
//! is built again from its description, and a SHA-256 over description and weights finds what the format itself cannot.

mod atomic;
mod model;
mod run_dir;
mod sealed;
#[cfg(test)]
mod tests;

pub use atomic::write_atomic;
pub use model::{Meta, Model, RunTag, file_sha256, load_model, load_weights_into, save_model};
pub use run_dir::{Buffers, Loaded, RunDir, RunningSums, State};
#[cfg(feature = "train")]
pub(crate) use sealed::check_size;

use std::io;
use std::path::{Path, PathBuf};

/// Why a file or directory could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The operating system refused: no such file, no permission, disk full.
    #[error("{}: cannot {action}: {error}", file.display())]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// What was attempted: "read".
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The file or directory is not what it should be.
    #[error("{}: {rule}: expected {expected}, found {found}", file.display())]
    Rule {
        /// The file or directory.
        file: PathBuf,
        /// The rule that it breaks.
        rule: String,
        /// What the rule asks for.
        expected: String,
        /// What is there.
        found: String,
    },
}

impl CheckpointError {
    fn io(file: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_path_buf();
        move |error| Self::Io { file, action, error }
    }

    fn rule(file: &Path, rule: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Rule { file: file.to_path_buf(), rule: rule.into(), expected: expected.into(), found: found.into() }
    }
}

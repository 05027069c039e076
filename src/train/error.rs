//! Why training stopped or never began.

use super::config::ConfigError;
use crate::checkpoint::CheckpointError;
use crate::data::DataError;
use crate::error::ShapeError;
use crate::graph::GraphError;
use std::io;
use std::path::PathBuf;

/// Why training stopped or never began.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A value of the configuration breaks a rule.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The layers make no network.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Buffers do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The data was refused.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A checkpoint could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file of the run directory could not be read or written.
    #[error("{}: cannot {action}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What was attempted: "write".
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// Two things that belong together do not fit.
    #[error("{what}: expected {expected}, found {found}")]
    Mismatch {
        /// What should agree.
        what: &'static str,
        /// What the one needs.
        expected: String,
        /// What the other has.
        found: String,
    },
    /// The loss is no longer a number.
    #[error(
        "the loss is {loss} in epoch {epoch} at update {step}, with a learning rate of {lr}{}: training diverged; \
         try a smaller --lr, a --warmup, or --reduction mean instead of sum; the last save holds the weights from before",
        layer.as_ref().map_or_else(String::new, |layer| format!(", first not finite in layer {layer}"))
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: u32,
        /// Updates made before.
        step: u64,
        /// What the loss became.
        loss: f64,
        /// The learning rate of this update.
        lr: f64,
        /// The first layer whose output has a number that is infinite or NaN, where it is known.
        layer: Option<String>,
    },
    /// The observer asked for an end before the run had begun: nothing was written.
    #[error("stopped before the first update: nothing was written")]
    Stopped,
    /// The system gave no threads.
    #[error("cannot start {threads} threads: {error}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        error: rayon::ThreadPoolBuildError,
    },
}

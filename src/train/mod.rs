//! Training on a CPU: forward and backward over one arena, optimizers, schedules, early stopping, metrics.
//!
//! In come a [`Graph`](crate::graph::Graph), a [`Splits`](crate::data::Splits) and a [`Config`]; out go weights, metrics and
//! checkpoints. Next rooms: `quant` and `export`, which read the model.
//!
//! [`Network`] runs forward and backward, [`Trainer`] makes updates and epochs of it, [`run()`] makes a run directory of those.
//! Nothing allocates during a step, and equal seeds give equal bits for any number of threads: work is either split where
//! its shape says, never its thread count, or done by one thread in order.

mod average;
mod bias;
mod clip;
pub mod config;
pub mod early_stop;
mod error;
pub mod evaluate;
mod feed;
mod gather;
mod given;
pub mod gradcheck;
mod half;
pub mod init;
mod layer;
mod lit;
mod lock;
pub mod loss;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod network;
mod objective;
pub mod ops;
pub mod optimizer;
mod pieces;
mod raw;
pub mod regularize;
pub mod run;
pub mod schedule;
mod sources;
mod spread;
pub mod sweep;
mod team;
#[cfg(test)]
mod tests;
pub mod trainer;

pub use average::Average;
pub use bias::BiasKind;
pub use config::{ActivationKind, Config, ConfigError, DatasetHashes};
pub use error::TrainError;
pub use evaluate::Evaluator;
pub use init::Initializer;
pub use loss::{BatchLoss, Reduction};
pub use metrics::{EpochReport, Hard, Metrics};
pub use model::{ModelSpec, Preset, Variant};
pub use network::Network;
pub use objective::Objective;
pub use optimizer::OptimizerKind;
pub use run::{Observer, Progress, Start, Summary, resume, run};
pub use schedule::Schedule;
pub use trainer::{StepReport, Trainer};

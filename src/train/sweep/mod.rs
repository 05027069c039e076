//! Many training runs from one file: a grid, a random search or both, several at once, resumable.
//!
//! In comes the text of a file, expanded to runs by [`Sweep`]; [`Campaign`] trains them, each into a run directory of its own by
//! [`run`](super::run()), and keeps a line of [`results`] for each; out goes a table, as Markdown by [`report`].
//!
//! A run is a function of its configuration, so its weights are equal to the bit whether the sweep is trained whole, in shards, with
//! interruptions, one run at a time or several. Which runs are pruned is a function of the file alone, see `board.rs`.

mod board;
pub mod campaign;
mod fields;
pub mod report;
pub mod results;
pub mod runner;
pub mod spec;

pub use board::median;
pub use campaign::{Campaign, DataSets, Job, Shard, SweepError};
pub use results::{Ending, Measure, Record};
pub use runner::{Outcome, Watch};
pub use spec::{Planned, Prune, Sweep, plain};

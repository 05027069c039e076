//! A network, described once: the trainer, the quantizer and the exporter all read this description.
//!
//! In comes a list of operations, out goes a [`Graph`] in topological order with every shape inferred and every parameter
//! placed, and a [`Plan`] that gives each tensor its place in one arena. Next room: `train`, which runs both.

#[cfg(feature = "alloc")]
mod arena;
mod error;
mod op;
#[cfg(feature = "alloc")]
mod plan;
mod sizes;

#[cfg(feature = "alloc")]
#[expect(clippy::module_inception, reason = "one file per noun, and this file's noun is the graph")]
mod graph;

#[cfg(feature = "std")]
pub(crate) use arena::{Buffer, arrange, largest_live_set};
pub use error::GraphError;
#[cfg(feature = "alloc")]
pub use graph::{Graph, Node, Param, Running};
pub use op::{BATCH_NORM_EPS, Op, ParamKind, ParamSpec, TensorId};
#[cfg(feature = "alloc")]
pub use plan::{Plan, PlanRow, Role};
pub use sizes::{Conv2d, Probability, Window};

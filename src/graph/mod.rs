//! A network, described once: the trainer, the quantizer and the exporter all read this description.
//!
//! In comes a list of operations, out goes a [`Graph`] in topological order with every shape inferred and every parameter
//! placed, and a [`Plan`] that gives each tensor its place in one arena. Next room: `train`, which runs both.

mod op;
#[cfg(feature = "alloc")]
mod plan;

#[cfg(feature = "alloc")]
#[expect(clippy::module_inception, reason = "one file per noun, and this file's noun is the graph")]
mod graph;

#[cfg(feature = "alloc")]
pub use graph::{Graph, Node, Param, ParamKind};
pub use op::{GraphError, Op, TensorId};
#[cfg(feature = "alloc")]
pub use plan::{Plan, PlanRow, Role};

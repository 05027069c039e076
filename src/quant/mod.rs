//! From a checkpoint to a network that is ready for a device: batch norms folded, numbers in bytes or in half precision, and a report of what
//! that costs.
//!
//! In come a graph, its weights and training images, out goes a [`program::Program`]. The next room, `export`, writes it.

pub mod program;

//! From a checkpoint to a network that is ready for a device: batch norms folded, numbers in bytes or in half precision, and a report of what
//! that costs.
//!
//! In come a graph, its weights and training images, out go a [`program::Program`] and what it loses. The next room, `export`, writes it.
//!
//! Four calibrators choose the range of each tensor's bytes from what it holds for some training images; the one whose network has the
//! lowest loss on other training images is taken. No test image is looked at before that.

#[cfg(feature = "train")]
pub mod calibrate;
pub mod convert;
#[cfg(feature = "train")]
pub mod fidelity;
pub mod float;
#[cfg(feature = "train")]
mod histogram;
pub mod lower;
pub mod program;
pub mod qparams;
#[cfg(feature = "train")]
pub mod score;

use std::fmt;

/// Why a network cannot be made ready for a device.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum QuantError {
    /// A layer that a device cannot run as it stands.
    Layer {
        /// Its name.
        layer: String,
        /// What would be right.
        expected: String,
    },
    /// Pixels normalised in such a way that 0 lies outside of what they can become.
    Offset {
        /// Of `pixel · scale + offset`.
        scale: f32,
        /// Of `pixel · scale + offset`.
        offset: f32,
    },
    /// Another number of weights than the network has.
    Weights {
        /// Weights of the network.
        expected: usize,
        /// Weights given.
        found: usize,
    },
    /// What runs the network refused it.
    Run(String),
}

impl QuantError {
    pub(crate) fn layer(layer: &str, expected: impl Into<String>) -> Self {
        Self::Layer { layer: layer.to_owned(), expected: expected.into() }
    }
}

impl fmt::Display for QuantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer { layer, expected } => write!(f, "layer {layer}: a device needs {expected}"),
            Self::Offset { scale, offset } => write!(
                f,
                "pixels become pixel · {scale} + {offset}: expected 0 to be one of their values, as it is what padding counts as"
            ),
            Self::Weights { expected, found } => write!(f, "expected {expected} values, found {found}"),
            Self::Run(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for QuantError {}

#[cfg(all(test, feature = "train"))]
mod tests;

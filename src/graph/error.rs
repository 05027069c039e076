//! Why a description of a network is refused.

use super::op::TensorId;
use crate::error::ShapeError;
use crate::shape::Shape;
use core::fmt;

/// Why a list of operations is no network. Layers count from 0, in the order given.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum GraphError {
    /// A network of no layer.
    Empty,
    /// A linear layer is fed another number of values, or values in several dimensions.
    Features {
        /// The layer's place.
        layer: usize,
        /// The layer's op.
        op: &'static str,
        /// Its `in_features`.
        expected: usize,
        /// Shape of what it is fed.
        found: Shape,
    },
    /// A layer of images is fed something that has not channels, rows and columns.
    Planes {
        /// The layer's place.
        layer: usize,
        /// The layer's op.
        op: &'static str,
        /// Shape of what it is fed.
        found: Shape,
    },
    /// A layer is fed another number of channels.
    Channels {
        /// The layer's place.
        layer: usize,
        /// The layer's op.
        op: &'static str,
        /// Its channels.
        expected: usize,
        /// Shape of what it is fed.
        found: Shape,
    },
    /// Two tensors to be added differ in shape.
    Addends {
        /// The layer's place.
        layer: usize,
        /// The layer's op.
        op: &'static str,
        /// Shape of the first.
        left: Shape,
        /// Shape of the second.
        right: Shape,
    },
    /// A size of a layer is 0, too large, or does not fit the others.
    Shape {
        /// The layer's place.
        layer: usize,
        /// The layer's op.
        op: &'static str,
        /// What is wrong with its sizes.
        error: ShapeError,
    },
    /// The op between linear layers is not an activation function.
    NotAnActivation {
        /// The op given.
        found: &'static str,
    },
    /// A node reads another number of tensors than its op needs.
    Inputs {
        /// The layer's place.
        layer: usize,
        /// The layer's op.
        op: &'static str,
        /// Tensors that the op reads.
        expected: usize,
        /// Tensors that the node names.
        found: usize,
    },
    /// A node reads a tensor that is neither the input nor written by any node.
    MissingTensor {
        /// The layer's place.
        layer: usize,
        /// The layer's op.
        op: &'static str,
        /// The tensor that nobody writes.
        tensor: TensorId,
    },
    /// Two nodes write the same tensor.
    TwoProducers {
        /// The tensor.
        tensor: TensorId,
        /// The node that comes first in the list.
        first: usize,
        /// The node that comes second.
        second: usize,
    },
    /// A node writes tensor 0, the graph's input.
    WritesInput {
        /// The layer's place.
        layer: usize,
        /// The layer's op.
        op: &'static str,
    },
    /// A node needs, through others, its own output.
    Cycle {
        /// The first layer that cannot run.
        layer: usize,
        /// The layer's op.
        op: &'static str,
    },
    /// Two nodes write tensors that nobody reads, so the output is ambiguous.
    TwoOutputs {
        /// The first such layer.
        first: usize,
        /// The second.
        second: usize,
    },
    /// A name is empty, longer than 64 bytes, used twice, or has other characters than letters, digits, `_`, `-` and `.`.
    Name {
        /// The layer's place.
        layer: usize,
        /// The layer's op.
        op: &'static str,
    },
    /// More layers than any network here has; the bound keeps the time to read a file short.
    TooManyLayers {
        /// The most layers allowed.
        most: usize,
        /// Layers given.
        found: usize,
    },
    /// The parameters, or a batch of tensors, are more than memory can address.
    TooLarge,
    /// A plan for batches of no sample.
    EmptyBatch,
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => write!(f, "a network needs at least one layer, found none"),
            Self::Features { layer, op, expected, found } => {
                write!(
                    f,
                    "layer {layer} ({op}): expected an input of {expected} values in one dimension, found {found}"
                )
            }
            Self::Planes { layer, op, found } => {
                write!(f, "layer {layer} ({op}): expected an image as channels x rows x columns, found {found}")
            }
            Self::Channels { layer, op, expected, found } => {
                write!(f, "layer {layer} ({op}): expected an input of {expected} channels, found {found}")
            }
            Self::Addends { layer, op, left, right } => {
                write!(f, "layer {layer} ({op}): expected two tensors of one shape, found {left} and {right}")
            }
            Self::Shape { layer, op, error } => write!(f, "layer {layer} ({op}): {error}"),
            Self::NotAnActivation { found } => {
                write!(f, "expected an activation (relu, tanh or sigmoid) between linear layers, found {found}")
            }
            Self::Inputs { layer, op, expected, found } => {
                let s = if expected == 1 { "" } else { "s" };
                write!(f, "layer {layer} ({op}): expected {expected} input tensor{s}, found {found}")
            }
            Self::MissingTensor { layer, op, tensor } => {
                write!(f, "layer {layer} ({op}): reads tensor {}, which no layer writes", tensor.0)
            }
            Self::TwoProducers { tensor, first, second } => {
                write!(f, "tensor {} must be written once, found layers {first} and {second} writing it", tensor.0)
            }
            Self::WritesInput { layer, op } => {
                write!(f, "layer {layer} ({op}): writes tensor 0, which is the network's input")
            }
            Self::Cycle { layer, op } => {
                write!(f, "layer {layer} ({op}): needs its own output, directly or through other layers")
            }
            Self::TwoOutputs { first, second } => {
                write!(f, "a network has one output, but nobody reads what layer {first} and layer {second} write")
            }
            Self::Name { layer, op } => write!(
                f,
                "layer {layer} ({op}): expected a name of its own, 1 to 64 letters, digits, '_', '-' or '.', \
                 found a repeated or other one"
            ),
            Self::TooManyLayers { most, found } => {
                write!(f, "a network has at most {most} layers, found {found}")
            }
            Self::TooLarge => write!(f, "the network needs more memory than this machine can address"),
            Self::EmptyBatch => write!(f, "a batch has at least one sample, found 0"),
        }
    }
}

impl core::error::Error for GraphError {}

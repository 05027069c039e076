//! The operations of a network: names, shapes, sizes of parameters, and why a network is refused.

use crate::error::ShapeError;
use crate::kernels::Activation;
use crate::shape::Shape;
use core::fmt;

/// The number of a tensor in its graph; 0 is the graph's input.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct TensorId(pub usize);

/// One operation of a network: one tensor in, one tensor out.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(rename_all = "snake_case", deny_unknown_fields))]
pub enum Op {
    /// The same elements in one dimension.
    Flatten,
    /// `y = x·Wᵀ + b`, `W [out_features, in_features]`, `b [out_features]`.
    Linear {
        /// Elements of `x`.
        in_features: usize,
        /// Elements of `y`.
        out_features: usize,
    },
    /// `y = max(x, 0)`
    Relu,
    /// `y = tanh(x)`
    Tanh,
    /// `y = 1 / (1 + exp(-x))`
    Sigmoid,
}

impl Op {
    /// The name as it is printed and stored: "linear".
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Flatten => "flatten",
            Self::Linear { .. } => "linear",
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
        }
    }

    /// The element-wise function that this op is, if it is one.
    pub const fn activation(&self) -> Option<Activation> {
        match self {
            Self::Relu => Some(Activation::Relu),
            Self::Tanh => Some(Activation::Tanh),
            Self::Sigmoid => Some(Activation::Sigmoid),
            Self::Flatten | Self::Linear { .. } => None,
        }
    }

    /// Whether the output may take the place of the input in memory.
    pub const fn runs_in_place(&self) -> bool {
        matches!(self, Self::Flatten) || self.activation().is_some()
    }

    /// Whether the op has parameters: a weight and a bias.
    pub const fn has_params(&self) -> bool {
        matches!(self, Self::Linear { .. })
    }

    /// Shape of the output for an input of shape `input`; `layer` is the op's place in the network, for the error.
    ///
    /// # Errors
    /// [`GraphError::Features`] if a linear layer is fed anything but `in_features` values in one dimension,
    /// [`GraphError::Shape`] if one of its sizes is 0 or its weights cannot be counted.
    pub fn output_shape(&self, input: Shape, layer: usize) -> Result<Shape, GraphError> {
        let op = self.name();
        match *self {
            Self::Flatten => Ok(input.flattened()),
            Self::Linear { in_features, out_features } => {
                let shape = |error| GraphError::Shape { layer, op, error };
                let output = Shape::new(&[out_features]).map_err(shape)?;
                Shape::new(&[out_features, in_features]).map_err(shape)?; // so that the weights can be counted
                if input.dims() != [in_features] {
                    return Err(GraphError::Features { layer, op, expected: in_features, found: input });
                }
                Ok(output)
            }
            Self::Relu | Self::Tanh | Self::Sigmoid => Ok(input),
        }
    }

    /// Shape of the weight `[out, in]` and length of the bias `[out]`, if the op has them.
    pub const fn params(&self) -> Option<([usize; 2], usize)> {
        match *self {
            Self::Linear { in_features, out_features } => Some(([out_features, in_features], out_features)),
            _ => None,
        }
    }

    /// Floating-point operations for one sample of shape `input`, forward.
    ///
    /// A linear output sums `in` products and a bias: `2·in` operations. An activation counts one for each element.
    pub const fn flops(&self, input: Shape) -> u64 {
        match *self {
            Self::Flatten => 0,
            Self::Linear { in_features, out_features } => {
                2u64.saturating_mul(in_features as u64).saturating_mul(out_features as u64)
            }
            Self::Relu | Self::Tanh | Self::Sigmoid => input.elements() as u64,
        }
    }
}

impl fmt::Display for Op {
    /// As "linear 784 -> 512".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear { in_features, out_features } => write!(f, "linear {in_features} -> {out_features}"),
            _ => f.pad(self.name()),
        }
    }
}

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
    /// A size of a layer is 0 or too large.
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
            Self::Shape { layer, op, error } => write!(f, "layer {layer} ({op}): {error}"),
            Self::NotAnActivation { found } => {
                write!(f, "expected an activation (relu, tanh or sigmoid) between linear layers, found {found}")
            }
            Self::Inputs { layer, op, expected, found } => {
                write!(f, "layer {layer} ({op}): expected {expected} input tensor, found {found}")
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

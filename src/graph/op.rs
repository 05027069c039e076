//! The operations of a network: names, shapes, sizes of parameters.

use super::error::GraphError;
use super::sizes::{Conv2d, Probability, Window};
use crate::error::ShapeError;
use crate::kernels::Activation;
use crate::kernels::pool::Pool;
use crate::shape::Shape;
use core::fmt;

/// What a batch norm adds to a variance before it divides by its root: PyTorch's.
pub const BATCH_NORM_EPS: f32 = 1e-5;

/// The number of a tensor in its graph; 0 is the graph's input.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct TensorId(pub usize);

/// One operation of a network: one tensor in (two for [`Add`](Op::Add)), one tensor out.
///
/// Images are `[channels, rows, columns]` for one sample.
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
    /// A convolution of images.
    Conv2d(Conv2d),
    /// The largest value of each window.
    MaxPool2d(Window),
    /// The mean of each window, padding counted as zeros.
    AvgPool2d(Window),
    /// The mean of each whole plane: `[c, h, w]` to `[c, 1, 1]`.
    GlobalAvgPool,
    /// `y = gamma·(x − mean)/√(variance + 1e-5) + beta`, channel by channel: by the statistics of the batch in training, by running averages of
    /// them afterwards. Samples are `[features]` or `[features, rows, columns]`.
    BatchNorm {
        /// Channels.
        features: usize,
    },
    /// In training each element is 0 with probability `p`, otherwise `x/(1 − p)`; afterwards the identity.
    Dropout {
        /// Probability of losing an element.
        p: Probability,
    },
    /// `y = max(x, 0)`
    Relu,
    /// `y = tanh(x)`
    Tanh,
    /// `y = 1 / (1 + exp(-x))`
    Sigmoid,
    /// `y = a + b`, two tensors of one shape: where a residual branch joins its trunk.
    Add,
    /// `y = x − ln Σ exp(x)`, over all elements of a sample.
    LogSoftmax,
}

/// What a parameter is for.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum ParamKind {
    /// Multiplies inputs; penalties apply to it.
    Weight,
    /// Is added; penalties leave it alone.
    Bias,
    /// `gamma` of a batch norm, 1 at first; penalties leave it alone.
    Scale,
    /// `beta` of a batch norm, 0 at first; penalties leave it alone.
    Shift,
}

/// One parameter tensor of an op.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ParamSpec {
    /// What follows the layer's name: "weight".
    pub part: &'static str,
    /// What it is for.
    pub kind: ParamKind,
    /// Its sizes.
    pub shape: Shape,
    /// Inputs that each output of the layer sums.
    pub fan_in: usize,
    /// Outputs that each input of the layer goes to, as PyTorch counts: output channels times pixels of the kernel.
    pub fan_out: usize,
}

impl Op {
    /// The name as it is printed and stored: "linear".
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Flatten => "flatten",
            Self::Linear { .. } => "linear",
            Self::Conv2d(_) => "conv2d",
            Self::MaxPool2d(_) => "max_pool2d",
            Self::AvgPool2d(_) => "avg_pool2d",
            Self::GlobalAvgPool => "global_avg_pool",
            Self::BatchNorm { .. } => "batch_norm",
            Self::Dropout { .. } => "dropout",
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Add => "add",
            Self::LogSoftmax => "log_softmax",
        }
    }

    /// The element-wise function that this op is, if it is one.
    pub const fn activation(&self) -> Option<Activation> {
        match self {
            Self::Relu => Some(Activation::Relu),
            Self::Tanh => Some(Activation::Tanh),
            Self::Sigmoid => Some(Activation::Sigmoid),
            _ => None,
        }
    }

    /// Tensors that it reads.
    pub const fn arity(&self) -> usize {
        if matches!(self, Self::Add) { 2 } else { 1 }
    }

    /// Whether the output may take the place of an input in memory.
    pub const fn runs_in_place(&self, training: bool) -> bool {
        match self {
            Self::Flatten | Self::Dropout { .. } | Self::Add | Self::LogSoftmax => true,
            Self::BatchNorm { .. } => !training, // its gradient needs its input
            _ => self.activation().is_some(),
        }
    }

    /// Whether it leaves every element as it was, so that in place it has nothing to do.
    pub const fn is_identity(&self, training: bool) -> bool {
        matches!(self, Self::Flatten) || (matches!(self, Self::Dropout { .. }) && !training)
    }

    /// Whether the gradient of the input may take the place of that of the output in memory.
    pub const fn gradient_runs_in_place(&self) -> bool {
        self.runs_in_place(true)
    }

    /// Whether the backward pass reads what the op read.
    pub const fn backward_reads_input(&self) -> bool {
        matches!(self, Self::Linear { .. } | Self::Conv2d(_) | Self::BatchNorm { .. })
    }

    /// Whether the backward pass reads what the op wrote.
    pub const fn backward_reads_output(&self) -> bool {
        matches!(self, Self::LogSoftmax) || self.activation().is_some()
    }

    /// Numbers that the forward pass leaves for the backward pass beside its output, for `batch` samples of shape `output`: places of maxima, or
    /// mean, variance and inverse deviation of each channel.
    pub const fn saved_len(&self, output: Shape, batch: usize) -> Option<usize> {
        match self {
            Self::MaxPool2d(_) => output.elements().checked_mul(batch),
            Self::BatchNorm { features } => features.checked_mul(3),
            _ => Some(0),
        }
    }

    /// Whether the op has parameters.
    pub const fn has_params(&self) -> bool {
        matches!(self, Self::Linear { .. } | Self::Conv2d(_) | Self::BatchNorm { .. })
    }

    /// Channels whose running mean and variance the op keeps, 0 for most.
    pub const fn running_channels(&self) -> usize {
        if let Self::BatchNorm { features } = self { *features } else { 0 }
    }

    /// Shape of the output for inputs of these shapes; `layer` is the op's place in the network, for the error.
    ///
    /// # Errors
    /// [`GraphError`] naming the layer: another number of inputs than the op's [`arity`](Self::arity), a shape that it cannot take, a size of 0,
    /// groups that do not divide the channels, a kernel or window larger than the padded image, or weights that cannot be counted.
    pub fn output_shape(&self, inputs: &[Shape], layer: usize) -> Result<Shape, GraphError> {
        let op = self.name();
        let shape = |error| GraphError::Shape { layer, op, error };
        if inputs.len() != self.arity() {
            return Err(GraphError::Inputs { layer, op, expected: self.arity(), found: inputs.len() });
        }
        let input = inputs[0];
        let planes = || match *input.dims() {
            [c, h, w] => Ok([1, c, h, w]),
            _ => Err(GraphError::Planes { layer, op, found: input }),
        };
        match *self {
            Self::Flatten => Ok(input.flattened()),
            Self::Linear { in_features, out_features } => {
                let output = Shape::new(&[out_features]).map_err(shape)?;
                Shape::new(&[out_features, in_features]).map_err(shape)?; // so that the weights can be counted
                if input.dims() != [in_features] {
                    return Err(GraphError::Features { layer, op, expected: in_features, found: input });
                }
                Ok(output)
            }
            Self::Conv2d(conv) => {
                let input_planes = planes()?;
                if input_planes[1] != conv.in_channels {
                    return Err(GraphError::Channels { layer, op, expected: conv.in_channels, found: input });
                }
                let sizes = conv.sizes(1, input_planes[2], input_planes[3]).map_err(shape)?;
                Shape::new(&sizes.output()[1..]).map_err(shape)
            }
            Self::MaxPool2d(window) | Self::AvgPool2d(window) => {
                let Window { kernel, stride, padding } = window;
                let pool = Pool::new(planes()?, kernel, stride, padding).map_err(shape)?;
                Shape::new(&pool.output()[1..]).map_err(shape)
            }
            Self::GlobalAvgPool => Shape::new(&[planes()?[1], 1, 1]).map_err(shape),
            Self::BatchNorm { features } => {
                Shape::new(&[features, 3]).map_err(shape)?;
                match *input.dims() {
                    [c] | [c, _, _] if c == features => Ok(input),
                    _ => Err(GraphError::Channels { layer, op, expected: features, found: input }),
                }
            }
            Self::Add if inputs[0] != inputs[1] => {
                Err(GraphError::Addends { layer, op, left: inputs[0], right: inputs[1] })
            }
            Self::Relu | Self::Tanh | Self::Sigmoid | Self::Dropout { .. } | Self::Add | Self::LogSoftmax => Ok(input),
        }
    }

    /// The parameters: a weight and, if there is one, a bias. Sizes are those that [`output_shape`](Self::output_shape) accepts.
    pub fn params(&self) -> [Option<ParamSpec>; 2] {
        let spec = |part, kind, shape: Result<Shape, ShapeError>, [fan_in, fan_out]: [usize; 2]| {
            shape.ok().map(|shape| ParamSpec { part, kind, shape, fan_in, fan_out })
        };
        match *self {
            Self::Linear { in_features, out_features } => {
                let fans = [in_features, out_features];
                [
                    spec("weight", ParamKind::Weight, Shape::new(&[out_features, in_features]), fans),
                    spec("bias", ParamKind::Bias, Shape::new(&[out_features]), fans),
                ]
            }
            Self::Conv2d(conv) => {
                let Conv2d { out_channels, kernel: [kh, kw], bias, .. } = conv;
                let [_, group, ..] = conv.weight();
                let fans = [group * kh * kw, out_channels * kh * kw];
                let bias = if bias { spec("bias", ParamKind::Bias, Shape::new(&[out_channels]), fans) } else { None };
                [spec("weight", ParamKind::Weight, Shape::new(&conv.weight()), fans), bias]
            }
            Self::BatchNorm { features } => {
                let shape = || Shape::new(&[features]);
                [spec("weight", ParamKind::Scale, shape(), [1, 1]), spec("bias", ParamKind::Shift, shape(), [1, 1])]
            }
            _ => [None, None],
        }
    }

    /// Floating-point operations for one sample, forward, of the first input's shape and that of the output.
    ///
    /// A linear output sums `in` products and a bias: `2·in` operations, and a convolution's alike. A pooled output counts one for each pixel of its
    /// window, a batch norm two for each element, an activation, a dropout and a sum one.
    pub const fn flops(&self, input: Shape, output: Shape) -> u64 {
        let (x, y) = (input.elements() as u64, output.elements() as u64);
        match *self {
            Self::Flatten => 0,
            Self::Linear { in_features, out_features } => {
                2u64.saturating_mul(in_features as u64).saturating_mul(out_features as u64)
            }
            Self::Conv2d(conv) => {
                let [_, group, kh, kw] = conv.weight();
                2u64.saturating_mul((group * kh * kw) as u64).saturating_mul(y)
            }
            Self::MaxPool2d(Window { kernel: [kh, kw], .. }) | Self::AvgPool2d(Window { kernel: [kh, kw], .. }) => {
                y.saturating_mul((kh * kw) as u64)
            }
            Self::BatchNorm { .. } => x.saturating_mul(2),
            Self::GlobalAvgPool
            | Self::Dropout { .. }
            | Self::Relu
            | Self::Tanh
            | Self::Sigmoid
            | Self::Add
            | Self::LogSoftmax => x,
        }
    }
}

impl fmt::Display for Op {
    /// As "linear 784 -> 512".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear { in_features, out_features } => write!(f, "linear {in_features} -> {out_features}"),
            Self::Conv2d(conv) => write!(f, "conv2d {conv}"),
            Self::MaxPool2d(window) | Self::AvgPool2d(window) => write!(f, "{} {window}", self.name()),
            Self::BatchNorm { features } => write!(f, "batch_norm {features}"),
            Self::Dropout { p } => write!(f, "dropout {}", p.get()),
            _ => f.pad(self.name()),
        }
    }
}

//! A network as a device will run it: steps over tensors, with their constants. What an image holds, before it is bytes.

use crate::kernels::Activation;
use crate::runtime::Kind;
use crate::runtime::format::StepKind;

/// A tensor, for one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgramTensor {
    /// Channels, rows, columns; a vector has one row and one column.
    pub dims: [usize; 3],
    /// Of bytes: `real = scale · (byte − zero_point)`; otherwise 0.
    pub scale: f32,
    /// Of bytes: the one that stands for 0; otherwise 0.
    pub zero_point: i8,
}

impl ProgramTensor {
    /// Of floats, or of raw pixels.
    #[must_use]
    pub const fn plain(dims: [usize; 3]) -> Self {
        Self { dims, scale: 0.0, zero_point: 0 }
    }

    /// Numbers of one sample, as far as they can be counted.
    #[must_use]
    pub const fn elements(&self) -> usize {
        self.dims[0].saturating_mul(self.dims[1]).saturating_mul(self.dims[2])
    }
}

/// One step: step `i` writes tensor `i + 1`.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgramStep {
    /// The layers that it does the work of: "0", "2.conv+2.bn".
    pub name: String,
    /// What it computes.
    pub kind: StepKind,
    /// The tensor that it reads.
    pub a: usize,
    /// The second one, of a sum.
    pub b: Option<usize>,
    /// Applied last, to floats.
    pub activation: Activation,
    /// Rows and columns of the kernel or window, 0 for steps without.
    pub kernel: [usize; 2],
    /// Pixels from one place to the next.
    pub stride: usize,
    /// Pixels around the image.
    pub padding: usize,
    /// Parts of the channels that do not see each other; 0 but for convolutions.
    pub groups: usize,
    /// Whether a convolution has the 2x2 max pooling in it.
    pub pool: bool,
    /// The smallest and the largest byte, where a step has them.
    pub clamp: (i8, i8),
    /// Factors of sums and means of bytes.
    pub multipliers: [i32; 2],
    /// Their shift.
    pub shift: u8,
    /// Weights, bias, and of bytes multipliers and shifts; or a table.
    pub constants: Vec<Vec<u8>>,
}

impl ProgramStep {
    /// A step with nothing but inputs.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: StepKind, a: usize) -> Self {
        Self {
            name: name.into(),
            kind,
            a,
            b: None,
            activation: Activation::Identity,
            kernel: [0, 0],
            stride: 0,
            padding: 0,
            groups: 0,
            pool: false,
            clamp: (0, 0),
            multipliers: [0, 0],
            shift: 0,
            constants: Vec::new(),
        }
    }
}

/// A network as a device will run it.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// What its numbers are.
    pub kind: Kind,
    /// `[scale, offset]` of `pixel · scale + offset`; none if each image is normalised by itself.
    pub normalization: Option<[f32; 2]>,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The number that whoever deploys it gives it.
    pub release: u32,
    /// The tensors: the pixels, then what each step writes.
    pub tensors: Vec<ProgramTensor>,
    /// The steps; the first one reads the pixels.
    pub steps: Vec<ProgramStep>,
}

/// The bytes of singles, those of the least weight first, as constants hold them.
pub(crate) fn singles(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

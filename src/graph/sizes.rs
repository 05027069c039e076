//! Sizes of the operations that have several: convolutions, windows, probabilities.

use crate::error::ShapeError;
use crate::kernels::conv::Conv;
use core::fmt;

/// A convolution: `y[o, q] = b[o] + Σ_{c, t} x[c, stride·q + t − padding] · w[o, c, t]`, as `nn.Conv2d`.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Conv2d {
    /// Channels of `x`.
    pub in_channels: usize,
    /// Channels of `y`.
    pub out_channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Pixels from one place of the kernel to the next.
    pub stride: usize,
    /// Zeros around the image, on each side.
    pub padding: usize,
    /// Equal parts of the channels that do not see each other.
    pub groups: usize,
    /// Whether a bias is added.
    pub bias: bool,
}

impl Conv2d {
    /// Sizes of the weights: `[out_channels, in_channels / groups, rows, columns]`.
    pub const fn weight(&self) -> [usize; 4] {
        let group = match self.in_channels.checked_div(self.groups) {
            Some(group) => group,
            None => self.in_channels,
        };
        [self.out_channels, group, self.kernel[0], self.kernel[1]]
    }

    /// The kernels' description, for `n` images of `h` by `w` pixels.
    ///
    /// # Errors
    /// As [`Conv::new`].
    pub const fn sizes(&self, n: usize, h: usize, w: usize) -> Result<Conv, ShapeError> {
        Conv::new([n, self.in_channels, h, w], self.weight(), self.stride, self.padding, self.groups)
    }
}

impl fmt::Display for Conv2d {
    /// As "1 -> 32, 3x3, padding 1".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { in_channels, out_channels, kernel: [kh, kw], stride, padding, groups, bias } = self;
        write!(f, "{in_channels} -> {out_channels}, {kh}x{kw}")?;
        for (name, value, usual) in [("stride", stride, 1), ("padding", padding, 0), ("groups", groups, 1)] {
            if *value != usual {
                write!(f, ", {name} {value}")?;
            }
        }
        f.write_str(if *bias { "" } else { ", no bias" })
    }
}

/// The windows of a pooling.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Window {
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Pixels around the image that windows may reach into, on each side.
    pub padding: usize,
}

impl fmt::Display for Window {
    /// As "2x2", or "3x3, stride 2" where windows overlap or leave gaps.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel: [kh, kw], stride, padding } = self;
        write!(f, "{kh}x{kw}")?;
        if [stride, stride] != [kh, kw] {
            write!(f, ", stride {stride}")?;
        }
        if *padding != 0 {
            write!(f, ", padding {padding}")?;
        }
        Ok(())
    }
}

/// A number of at least 0 and below 1.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize), serde(try_from = "f32", into = "f32"))]
pub struct Probability(u32);

impl Probability {
    /// `p`, if it is at least 0 and below 1.
    ///
    /// # Errors
    /// [`ShapeError::Number`] for any other, NaN too.
    pub const fn new(p: f32) -> Result<Self, ShapeError> {
        if p >= 0.0 && p < 1.0 {
            return Ok(Self((p + 0.0).to_bits())); // no negative zero: equal numbers have equal bits
        }
        let (what, expected) = ("the probability of a dropout", "a number of at least 0 and below 1");
        Err(ShapeError::Number { what, expected, got: p.to_bits() })
    }

    /// The number.
    pub const fn get(self) -> f32 {
        f32::from_bits(self.0)
    }
}

impl TryFrom<f32> for Probability {
    type Error = ShapeError;

    fn try_from(p: f32) -> Result<Self, ShapeError> {
        Self::new(p)
    }
}

impl From<Probability> for f32 {
    fn from(p: Probability) -> Self {
        p.get()
    }
}

//! The kinds of kernels that are timed.

/// Cases that belong together: one table on the screen, one colour in the plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Matrix products in single precision.
    GemmF32,
    /// Matrix products with weights in half precision.
    GemmF16,
    /// Matrix products of bytes.
    GemmI8,
    /// Convolutions in single precision and their gradients.
    ConvF32,
    /// Convolutions with weights in half precision.
    ConvF16,
    /// Convolutions of bytes.
    ConvI8,
    /// Passes over memory: conversions, requantization, poolings, softmax, activations, optimizer updates.
    Memory,
    /// Whole networks by the device runtime.
    Inference,
}

impl Family {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 8] = [
        Self::GemmF32,
        Self::GemmF16,
        Self::GemmI8,
        Self::ConvF32,
        Self::ConvF16,
        Self::ConvI8,
        Self::Memory,
        Self::Inference,
    ];

    /// Its name, with which the names of most of its cases begin.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GemmF32 => "gemm_f32",
            Self::GemmF16 => "gemm_f16",
            Self::GemmI8 => "gemm_i8",
            Self::ConvF32 => "conv_f32",
            Self::ConvF16 => "conv_f16",
            Self::ConvI8 => "conv_i8",
            Self::Memory => "memory",
            Self::Inference => "inference",
        }
    }

    /// The unit of 1e9 of its operations a second.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::GemmF32 | Self::GemmF16 | Self::ConvF32 | Self::ConvF16 => "GFLOP/s",
            Self::GemmI8 | Self::ConvI8 | Self::Memory | Self::Inference => "GOP/s",
        }
    }
}

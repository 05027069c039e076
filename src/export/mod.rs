//! From a network that is ready for a device to files: the image that the runtime reads, and the same in other forms.
//!
//! In comes a [`Program`](crate::quant::program::Program), or the [`Model`] of an image, out go bytes. The next room, `runtime`, runs the
//! image; [`c_source`] and [`rust_source`] need less or nothing of it, and prove themselves by [`golden`] vectors; [`onnx`] is for other
//! runtimes, [`safetensors`] for whoever wants to look at the constants, or to check another form by its golden vectors.

pub mod c_source;
pub mod golden;
pub mod image;
mod numbers;
pub mod onnx;
mod protobuf;
pub mod rust_source;
pub mod safetensors;

use crate::runtime::{ImageError, Model};
use std::fmt;

/// Why something cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportError {
    /// The program does not fit the format.
    Program(String),
    /// The bytes are no image.
    Image(ImageError),
    /// The form asked for cannot hold such a network.
    Unsupported(String),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(text) | Self::Unsupported(text) => f.write_str(text),
            Self::Image(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ExportError {}

/// What is said of a model of floats where integers are wanted.
fn only_int8(model: &Model<'_>) -> ExportError {
    ExportError::Unsupported(format!(
        "sources are written of int8 models, and this one is {}: `inkstone quantize --to int8` makes one of its checkpoint first",
        model.kind().name()
    ))
}

//! Golden vectors: pictures, and what the runtime makes of them to the bit. Generated sources carry them to prove themselves anywhere.

use super::ExportError;
use super::image::Image;
use crate::runtime::{Kind, Model};

/// Pictures and the logits of a model for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Golden {
    pixels: usize,
    inputs: Vec<u8>,
    logits: Vec<i8>,
    classes: Vec<usize>,
}

impl Golden {
    /// Runs `model` on `pixels`, raw bytes of one picture after the other.
    ///
    /// # Errors
    /// [`ExportError::Unsupported`] for a model of floats, whose logits differ from machine to machine; [`ExportError::Program`] unless
    /// `pixels` is a whole number of pictures, one at least; [`ExportError::Image`] if memory cannot hold the arena.
    pub fn of(model: &Model<'_>, pixels: &[u8]) -> Result<Self, ExportError> {
        if model.kind() != Kind::I8 {
            return Err(super::only_int8(model));
        }
        let len = model.tensor(0).map_or(0, |tensor| tensor.bytes());
        if len == 0 || pixels.is_empty() || !pixels.len().is_multiple_of(len) {
            return Err(ExportError::Program(format!(
                "golden vectors are whole pictures of {len} bytes, one at least, found {} bytes",
                pixels.len()
            )));
        }
        let needed = model.arena_len(crate::kernels::Isa::best(), 1).map_err(ExportError::Image)?;
        let mut arena = Image::zeros(needed);
        let mut bound = model.bind(arena.bytes_mut()).map_err(ExportError::Image)?;
        let (mut logits, mut classes) = (Vec::new(), Vec::new());
        for picture in pixels.chunks_exact(len) {
            bound.input_mut().copy_from_slice(picture);
            let output = bound.run();
            logits.extend_from_slice(output.bytes().unwrap_or_default());
            classes.push(output.class(0));
        }
        Ok(Self { pixels: len, inputs: pixels.to_vec(), logits, classes })
    }

    /// How many pictures there are.
    #[must_use]
    pub const fn samples(&self) -> usize {
        self.classes.len()
    }

    /// Bytes of a picture.
    #[must_use]
    pub const fn pixels(&self) -> usize {
        self.pixels
    }

    /// The pictures, `[samples, pixels]`.
    #[must_use]
    pub fn inputs(&self) -> &[u8] {
        &self.inputs
    }

    /// The logits, `[samples, classes]`.
    #[must_use]
    pub fn logits(&self) -> &[i8] {
        &self.logits
    }

    /// The class of each picture: that of the largest logit, the first of equals.
    #[must_use]
    pub fn classes(&self) -> &[usize] {
        &self.classes
    }
}

//! Golden vectors: pictures, and what the runtime makes of them, so that whatever runs the network elsewhere can prove itself. Bytes are the
//! same everywhere: generated sources carry them. Floats, and what stands for bytes in other runtimes, are [`Reals`].

use super::ExportError;
use super::image::Image;
use crate::kernels::Isa;
use crate::runtime::{Kind, Model, Output};

/// Runs `model` on `pixels`, raw bytes of one picture after the other, and shows `take` each output. Returns the bytes of a picture.
fn each(model: &Model<'_>, isa: Isa, pixels: &[u8], mut take: impl FnMut(&Output<'_>)) -> Result<usize, ExportError> {
    let len = model.tensor(0).map_or(0, |tensor| tensor.bytes());
    if len == 0 || pixels.is_empty() || !pixels.len().is_multiple_of(len) {
        return Err(ExportError::Program(format!(
            "golden vectors are whole pictures of {len} bytes, one at least, found {} bytes",
            pixels.len()
        )));
    }
    let needed = model.arena_len(isa, 1).map_err(ExportError::Image)?;
    let mut arena = Image::zeros(needed);
    let mut bound = model.bind_with(isa, 1, arena.bytes_mut()).map_err(ExportError::Image)?;
    for picture in pixels.chunks_exact(len) {
        bound.input_mut().copy_from_slice(picture);
        take(&bound.run());
    }
    Ok(len)
}

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
        let (mut logits, mut classes) = (Vec::new(), Vec::new());
        let len = each(model, Isa::best(), pixels, |output| {
            logits.extend_from_slice(output.bytes().unwrap_or_default());
            classes.push(output.class(0));
        })?;
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

/// Pictures and the logits of a model of any kind for them as numbers, for runtimes that compute in floats.
#[derive(Clone, Debug, PartialEq)]
pub struct Reals {
    inputs: Vec<u8>,
    logits: Vec<f32>,
    samples: usize,
}

impl Reals {
    /// Runs `model` on `pixels`, raw bytes of one picture after the other. Of a model of bytes, each logit is the number that its byte stands for.
    ///
    /// # Accuracy
    /// Of bytes exact. Floats are those of scalar code, which no instruction set of this machine changes; other orders of sums give other last
    /// bits.
    /// # Errors
    /// As [`Golden::of`], but for any kind.
    pub fn of(model: &Model<'_>, pixels: &[u8]) -> Result<Self, ExportError> {
        let mut logits = Vec::new();
        let len = each(model, Isa::SCALAR, pixels, |output| {
            logits.extend((0..model.classes()).map(|class| output.logit(0, class)));
        })?;
        Ok(Self { inputs: pixels.to_vec(), logits, samples: pixels.len() / len })
    }

    /// How many pictures there are.
    #[must_use]
    pub const fn samples(&self) -> usize {
        self.samples
    }

    /// The pictures, `[samples, pixels]`.
    #[must_use]
    pub fn inputs(&self) -> &[u8] {
        &self.inputs
    }

    /// The logits, `[samples, classes]`.
    #[must_use]
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }
}

//! What a network in bytes loses against the same in floats: on the whole, layer by layer, and which images change their class.

use super::calibrate::floats;
use super::convert::written;
use super::float::About;
use super::lower::Lowered;
use super::score::{all, each_part, score};
use super::{QuantError, float};
use crate::data::Dataset;
use crate::export::image;
use crate::kernels::Isa;
use crate::runtime::{Kind, Model, Tensor, first_largest};
use crate::train::Metrics;
use serde::Serialize;
use std::fmt;

/// One step against the layer that it stands for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerFidelity {
    /// The nodes that it does the work of.
    pub name: String,
    /// Signal over noise in decibels: `10·lg(Σx² / Σ(x − x̂)²)`; none where nothing is lost.
    pub sqnr_db: Option<f64>,
    /// Fraction of bytes at an end of their range that is not 0.
    pub saturated: f64,
    /// Fraction of the numbers in floats that lie outside of what bytes can say, by more than half a step.
    pub clipped: f64,
}

/// An image that bytes take for another class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flip {
    /// Its place in the data set.
    pub index: u32,
    /// Its class.
    pub label: u8,
    /// The class by floats.
    pub float: usize,
    /// The class by bytes.
    pub quantized: usize,
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fidelity {
    /// By floats.
    pub float: Metrics,
    /// By what is deployed.
    pub quantized: Metrics,
    /// `agreement[float][quantized]`, in samples.
    pub agreement: Vec<Vec<u64>>,
    /// Images whose class changed.
    pub flips: Vec<Flip>,
    /// By step, without pixels that are all normalised alike; none for a model of floats, whose steps lose next to nothing.
    pub layers: Vec<LayerFidelity>,
}

/// Compares `model` with the network `lowered` that it was made of, over the images of `data`; layers over the first `layer_images` of them.
///
/// # Errors
/// As [`score`].
pub fn compare(
    model: &Model<'_>,
    lowered: &Lowered,
    about: &About,
    data: &Dataset,
    layer_images: usize,
    isa: Isa,
) -> Result<Fidelity, QuantError> {
    let run = |error: &dyn fmt::Display| QuantError::Run(error.to_string());
    let image = image::write(&float::program(lowered, about, false)?).map_err(|error| run(&error))?;
    let original = image.model().map_err(|error| run(&error))?;
    let indices = all(data);
    let ((float, logits), (quantized, other)) =
        (score(&original, data, &indices, isa, 0)?, score(model, data, &indices, isa, 0)?);
    let classes = model.classes();
    let mut agreement = vec![vec![0; classes]; classes];
    let mut flips = Vec::new();
    for ((index, a), b) in indices.iter().zip(logits.chunks_exact(classes)).zip(other.chunks_exact(classes)) {
        let (float, quantized) = (first_largest(a), first_largest(b));
        agreement[float][quantized] += 1;
        if float != quantized {
            flips.push(Flip { index: *index, label: data.label(*index as usize), float, quantized });
        }
    }
    let few = &indices[..layer_images.min(indices.len())];
    let layers = if model.kind() == Kind::I8 { layers(model, &original, lowered, data, few, isa)? } else { Vec::new() };
    Ok(Fidelity { float, quantized, agreement, flips, layers })
}

/// Sums over the images.
#[derive(Clone, Copy, Default)]
struct Sums {
    signal: f64,
    noise: f64,
    saturated: u64,
    clipped: u64,
    count: u64,
}

impl Sums {
    fn with(self, other: &Self) -> Self {
        Self {
            signal: self.signal + other.signal,
            noise: self.noise + other.noise,
            saturated: self.saturated + other.saturated,
            clipped: self.clipped + other.clipped,
            count: self.count + other.count,
        }
    }
}

fn layers(
    model: &Model<'_>,
    original: &Model<'_>,
    lowered: &Lowered,
    data: &Dataset,
    indices: &[u32],
    isa: Isa,
) -> Result<Vec<LayerFidelity>, QuantError> {
    let written = written(lowered);
    // The tensors of floats, image by image, as steps may write over what they read.
    let tensors = each_part(original, data, indices, isa, |bound, _| {
        let mut tensors = Vec::new();
        for step in 0..bound.model().step_count() {
            let ran = bound.step(step).is_ok();
            tensors.push(if ran { floats(bound.tensor(step + 1)).to_vec() } else { Vec::new() });
        }
        tensors
    })?;
    let mut of_images: Vec<Vec<&[f32]>> = vec![Vec::new(); original.step_count()];
    for part in &tensors {
        for (step, values) in part.iter().enumerate() {
            let elements = original.tensor(step + 1).map_or(1, |tensor| tensor.elements());
            of_images[step].extend(values.chunks_exact(elements));
        }
    }
    let place: std::collections::HashMap<u32, usize> =
        indices.iter().enumerate().map(|(place, index)| (*index, place)).collect();
    let parts = each_part(model, data, indices, isa, |bound, part| {
        let mut sums = vec![Sums::default(); model.step_count()];
        for (step, sums) in sums.iter_mut().enumerate() {
            let (true, Some(tensor)) = (bound.step(step).is_ok(), model.tensor(step + 1)) else { continue };
            let bytes: &[i8] = bytemuck::cast_slice(bound.tensor(step + 1));
            for (bytes, index) in bytes.chunks_exact(tensor.elements()).zip(part) {
                *sums = sums.with(&compared(bytes, &tensor, of_images[written[step]][place[index]]));
            }
        }
        sums
    })?;
    let mut total = vec![Sums::default(); model.step_count()];
    for part in &parts {
        total.iter_mut().zip(part).for_each(|(total, part)| *total = total.with(part));
    }
    let names = |step: usize| {
        let Some(before) = step.checked_sub(1) else { return "pixels".to_owned() };
        let layers = &lowered.layers[written[before]..written[step]];
        layers.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>().join("+")
    };
    let row = |(step, sums): (usize, &Sums)| LayerFidelity {
        name: names(step),
        sqnr_db: (sums.noise > 0.0).then(|| 10.0 * (sums.signal / sums.noise).log10()),
        saturated: sums.saturated as f64 / sums.count.max(1) as f64,
        clipped: sums.clipped as f64 / sums.count.max(1) as f64,
    };
    // Pixels that are all normalised alike lose nothing: what rounding their zero point costs, a convolution or linear layer that reads them
    // makes good.
    let exact = usize::from(model.normalization().is_some());
    Ok(total.iter().enumerate().skip(exact).map(row).collect())
}

/// Bytes with their channels last against floats with their channels first.
fn compared(bytes: &[i8], tensor: &Tensor, floats: &[f32]) -> Sums {
    let [channels, rows, cols] = tensor.dims;
    let (scale, zero) = (f64::from(tensor.scale), f64::from(tensor.zero_point));
    let (low, high) = (scale * (-128.5 - zero), scale * (127.5 - zero));
    let mut sums = Sums { count: bytes.len() as u64, ..Sums::default() };
    for (at, byte) in bytes.iter().enumerate() {
        let (pixel, channel) = (at / channels, at % channels);
        let x = f64::from(floats[channel * rows * cols + pixel]);
        let real = scale * (f64::from(*byte) - zero);
        sums.signal += x * x;
        sums.noise += (x - real).powi(2);
        let at_an_end = *byte == i8::MAX || *byte == i8::MIN;
        sums.saturated += u64::from(at_an_end && *byte != tensor.zero_point);
        sums.clipped += u64::from(x < low || x > high);
    }
    sums
}

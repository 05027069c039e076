//! An image over a data set, by the device runtime itself.

use super::QuantError;
use crate::data::Dataset;
use crate::export::image::Image;
use crate::kernels::Isa;
use crate::runtime::{Bound, Model, Output};
use crate::train::Metrics;
use crate::train::metrics::{Hard, Tally};
use rayon::prelude::*;

/// Bytes of an arena up to which samples are taken together: so that it stays in the second cache.
const ARENA: usize = 1 << 20;

/// Most samples that are taken together.
const BATCH: usize = 250;

/// Samples that share a reading of the weights, of a model that goes [through its maps in groups](Model::is_grouped).
const GROUPED: usize = 64;

/// Samples of `model` that are best taken together on `isa`.
#[must_use]
pub fn batch_of(model: &Model<'_>, isa: Isa) -> usize {
    if model.is_grouped() {
        return GROUPED;
    }
    let one = model.arena_len(isa, 1).unwrap_or(ARENA);
    (ARENA / one.max(1)).clamp(1, BATCH)
}

/// Calls `work` with parts of `indices` and a model bound for as many samples, filled with their pixels: parts go to the threads of the
/// current rayon pool, what comes back is in order.
///
/// # Errors
/// [`QuantError::Run`] if images have another size than the model's input, or memory cannot hold a part.
pub fn each_part<T: Send>(
    model: &Model<'_>,
    data: &Dataset,
    indices: &[u32],
    isa: Isa,
    work: impl Fn(&mut Bound<'_, '_>, &[u32]) -> T + Sync,
) -> Result<Vec<T>, QuantError> {
    let run = |error: &dyn std::fmt::Display| QuantError::Run(error.to_string());
    let pixels = model.tensor(0).map_or(0, |tensor| tensor.elements());
    if pixels != data.pixels() {
        let (rows, cols) = (data.rows(), data.cols());
        return Err(QuantError::Run(format!(
            "the network has {pixels} inputs: expected images of as many pixels, found {rows}x{cols}"
        )));
    }
    let batch = batch_of(model, isa);
    let part = |indices: &[u32]| {
        let mut arena = Image::zeros(model.arena_len(isa, indices.len()).map_err(|error| run(&error))?);
        let mut bound = model.bind_with(isa, indices.len(), arena.bytes_mut()).map_err(|error| run(&error))?;
        for (to, index) in bound.input_mut().chunks_exact_mut(pixels).zip(indices) {
            to.copy_from_slice(data.image(*index as usize));
        }
        Ok(work(&mut bound, indices))
    };
    indices.par_chunks(batch).map(part).collect()
}

/// Every sample of `data` as indices.
#[must_use]
pub fn all(data: &Dataset) -> Vec<u32> {
    (0..u32::try_from(data.len()).unwrap_or(u32::MAX)).collect()
}

/// How `model` does over the samples `indices` of `data`, and its logits, sample after sample; keeps the `keep` hardest.
///
/// # Errors
/// As [`each_part`], and if there are more classes than logits.
pub fn score(
    model: &Model<'_>,
    data: &Dataset,
    indices: &[u32],
    isa: Isa,
    keep: usize,
) -> Result<(Metrics, Vec<f32>), QuantError> {
    let classes = model.classes();
    if data.classes() > classes {
        let text = format!("the network has {classes} outputs, the data set {} classes", data.classes());
        return Err(QuantError::Run(text));
    }
    let row = |output: &Output<'_>, sample| (0..classes).map(|class| output.logit(sample, class)).collect::<Vec<f32>>();
    let parts = each_part(model, data, indices, isa, |bound, indices| {
        let output = bound.run();
        (0..indices.len()).map(|sample| (output.class(sample), row(&output, sample))).collect::<Vec<_>>()
    })?;
    let (mut tally, mut logits) = (Tally::new(classes, keep), Vec::with_capacity(indices.len() * classes));
    for ((class, row), index) in parts.into_iter().flatten().zip(indices) {
        let label = data.label(*index as usize);
        let loss = cross_entropy(&row, label.into()) as f32;
        tally.add(Hard { index: *index, label, predicted: class as u32, loss });
        logits.extend(row);
    }
    Ok((tally.finish(), logits))
}

/// `ln Σ exp(logit) − logit of the label`
fn cross_entropy(logits: &[f32], label: usize) -> f64 {
    let most = logits.iter().fold(f64::NEG_INFINITY, |most, x| most.max(f64::from(*x)));
    let sum: f64 = logits.iter().map(|x| (f64::from(*x) - most).exp()).sum();
    sum.ln() + most - f64::from(logits[label])
}

//! A trained network in bytes: what it takes of a device, and what that costs.

use crate::checkpoint::Model;
use crate::data::Splits;
use crate::export::image;
use crate::kernels::Isa;
use crate::quant::float::{self, About};
use crate::quant::lower::lower;
use crate::quant::score::{all, score};
use crate::quant::{QuantError, calibrate};
use crate::runtime::device_arena_len;
use serde::{Deserialize, Serialize};

/// A network in bytes, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Int8 {
    /// Its image.
    Image(Deployed),
    /// A network that bytes cannot hold.
    Not {
        /// Why not.
        why: String,
        /// Its image with weights of half precision instead.
        f16: Option<Deployed>,
    },
}

/// An image, as `inkstone quantize` makes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployed {
    /// Bytes of the image: what it takes of flash.
    pub bytes: u64,
    /// Bytes of memory it runs in.
    pub arena: u64,
    /// How ranges were chosen, where there are any.
    pub calibrator: Option<String>,
    /// Mean loss over the test set.
    pub loss: f64,
    /// Fraction of the test set classified correctly.
    pub accuracy: f64,
}

impl Int8 {
    /// Of `model`: ranges from `calibration` training images and the choice of a calibrator from as many, figures from the test set. Runs
    /// on the current rayon pool.
    #[must_use]
    pub fn of(model: &Model, splits: &Splits, calibration: usize, isa: Isa) -> Self {
        let why = match quantized(model, splits, Some(calibration), isa) {
            Ok(deployed) => return Self::Image(deployed),
            Err(error) => error.to_string(),
        };
        Self::Not { why, f16: quantized(model, splits, None, isa).ok() }
    }

    /// The image, if there is one.
    #[must_use]
    pub const fn image(&self) -> Option<&Deployed> {
        match self {
            Self::Image(deployed) => Some(deployed),
            Self::Not { .. } => None,
        }
    }
}

/// In bytes, or without calibration with weights of half precision.
fn quantized(model: &Model, splits: &Splits, calibration: Option<usize>, isa: Isa) -> Result<Deployed, QuantError> {
    let lowered = lower(&model.graph, &model.params)?;
    let (normalization, classes) = (model.meta.normalize.constant(), model.meta.classes.clone());
    let about = About { normalization, classes, release: 0 };
    let run = |error: &dyn std::fmt::Display| QuantError::Run(error.to_string());
    let (image, calibrator) = if let Some(count) = calibration {
        let best = calibrate::quantize(&lowered, &about, &splits.train, count, isa)?;
        (best.image, Some(best.calibrator.name().to_owned()))
    } else {
        (image::write(&float::program(&lowered, &about, true)?).map_err(|error| run(&error))?, None)
    };
    let runs = image.model().map_err(|error| run(&error))?;
    let (metrics, _) = score(&runs, &splits.test, &all(&splits.test), isa, 0)?;
    Ok(Deployed {
        bytes: runs.len() as u64,
        arena: device_arena_len(image.bytes()) as u64,
        calibrator,
        loss: metrics.loss,
        accuracy: metrics.accuracy,
    })
}

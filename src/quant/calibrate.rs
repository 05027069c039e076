//! Post-training quantization: what each tensor holds for some training images decides the range of its bytes.

use super::histogram::{Histogram, extremes};
use super::lower::Lowered;
use super::score::{each_part, score};
use super::{QuantError, convert, float};
use crate::data::Dataset;
use crate::data::random::{Random, shuffle};

use crate::export::image::{self, Image};
use crate::kernels::Isa;
use crate::runtime::Model;
use float::About;
use std::fmt;

/// Training images that ranges are read from, and as many others choose by, where nothing else is said.
pub const IMAGES: usize = 2000;
/// Which images these are, where nothing else is said.
pub const SEED: u64 = 1;

/// The share of numbers on either side that the percentiles leave out.
const SHARE: f64 = 5e-5;

/// How ranges are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calibrator {
    /// Everything that was seen.
    MinMax,
    /// All but one number in twenty thousand on either side.
    Percentile,
    /// The least sum of squared differences.
    Mse,
    /// The least divergence of the distributions.
    Kl,
}

impl Calibrator {
    /// Every one, in the order in which they are tried.
    pub const ALL: [Self; 4] = [Self::MinMax, Self::Percentile, Self::Mse, Self::Kl];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MinMax => "min-max",
            Self::Percentile => "percentile",
            Self::Mse => "mse",
            Self::Kl => "kl",
        }
    }

    fn range(self, histogram: &Histogram) -> (f64, f64) {
        match self {
            Self::MinMax => histogram.all(),
            Self::Percentile => histogram.percentile(SHARE),
            Self::Mse => histogram.least_squares(),
            Self::Kl => histogram.least_divergence(),
        }
    }
}

impl fmt::Display for Calibrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Parts of the low end of the logits' range that are tried. A softmax does not see what all logits have in common, and
/// next to nothing of those far below the largest: a network whose logits are -500 to 5 and 20 apart has its digits in few of 256 levels.
const LOGITS: [f64; 6] = [0.7, 0.5, 0.35, 0.25, 0.18, 0.125];

/// What of the loss a higher lowest logit may leave at most: it takes the differences of low logits away, so that a little is not enough.
const GAIN: f64 = 0.9;

/// What one calibrator led to.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Which one.
    pub calibrator: Calibrator,
    /// The number that lower logits count as, where that is not the calibrator's.
    pub lowest_logit: Option<f64>,
    /// Mean loss on the training images that it had not seen.
    pub loss: f64,
    /// Fraction of them classified correctly.
    pub accuracy: f64,
    /// Its network.
    pub image: Image,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lowest_logit {
            Some(lowest) => write!(f, "{}, logits from {lowest:.1}", self.calibrator),
            None => self.calibrator.fmt(f),
        }
    }
}

/// Training images for calibration, and as many others to choose by: a pure function of the number of images and of the seed.
#[must_use]
pub fn images(n: usize, count: usize, seed: u64) -> (Vec<u32>, Vec<u32>) {
    let mut all: Vec<u32> = (0..u32::try_from(n).unwrap_or(u32::MAX)).collect();
    shuffle(&mut Random::new(seed, "calibration", 0), &mut all);
    let count = count.min(n / 2).max(1).min(n);
    let others = if 2 * count <= n { all[count..2 * count].to_vec() } else { all[..count].to_vec() };
    (all[..count].to_vec(), others)
}

/// The network in bytes by each of `calibrators`, in their order: ranges from the images `seen` of `data`, judged on the images `others`.
/// Then, where that has a tenth less loss, the best of them once more with a higher lowest logit.
///
/// # Errors
/// [`QuantError`] for a network that bytes cannot hold, or images of another size.
pub fn candidates(
    lowered: &Lowered,
    about: &About,
    data: &Dataset,
    (seen, others): (&[u32], &[u32]),
    calibrators: &[Calibrator],
    isa: Isa,
) -> Result<Vec<Candidate>, QuantError> {
    let run = |error: &dyn fmt::Display| QuantError::Run(error.to_string());
    let floats = image::write(&float::program(lowered, about, false)?).map_err(|error| run(&error))?;
    let histograms = observe(&floats.model().map_err(|error| run(&error))?, lowered, data, seen, isa)?;
    let candidate = |calibrator: Calibrator, part: Option<f64>| {
        let mut ranges: Vec<_> = histograms.iter().map(|histogram| calibrator.range(histogram)).collect();
        let logits = ranges.last_mut();
        let lowest_logit = logits.zip(part).map(|(range, part)| {
            range.0 *= part;
            range.0
        });
        let image = image::write(&convert::program(lowered, about, &ranges)?).map_err(|error| run(&error))?;
        let (metrics, _) = score(&image.model().map_err(|error| run(&error))?, data, others, isa, 0)?;
        Ok(Candidate { calibrator, lowest_logit, loss: metrics.loss, accuracy: metrics.accuracy, image })
    };
    let mut all = calibrators.iter().map(|calibrator| candidate(*calibrator, None)).collect::<Result<Vec<_>, _>>()?;
    let Some(Candidate { calibrator, loss, .. }) = best(&all) else { return Ok(all) };
    let higher = LOGITS.iter().map(|part| candidate(*calibrator, Some(*part))).collect::<Result<Vec<_>, _>>()?;
    all.extend(best(&higher).filter(|higher| higher.loss < GAIN * loss).cloned());
    Ok(all)
}

/// The network in bytes by the calibrator that does best, from `count` training images and as many others.
///
/// # Errors
/// As [`candidates`].
pub fn quantize(
    lowered: &Lowered,
    about: &About,
    train: &Dataset,
    count: usize,
    isa: Isa,
) -> Result<Candidate, QuantError> {
    let (seen, others) = images(train.len(), count, SEED);
    let all = candidates(lowered, about, train, (&seen, &others), &Calibrator::ALL, isa)?;
    best(&all).cloned().ok_or_else(|| QuantError::Run("no calibrator was tried".to_owned()))
}

/// The candidate of the least loss, the first of equals.
#[must_use]
pub fn best(candidates: &[Candidate]) -> Option<&Candidate> {
    candidates.iter().reduce(|best, other| if other.loss < best.loss { other } else { best })
}

/// By tensor of the network, the normalised image first: what it holds for the images `seen`.
fn observe(
    model: &Model<'_>,
    lowered: &Lowered,
    data: &Dataset,
    seen: &[u32],
    isa: Isa,
) -> Result<Vec<Histogram>, QuantError> {
    let tensors = lowered.dims.len();
    // Step `i` writes tensor `i` of the network; read at once, as steps may write over what they read.
    let ranges = each_part(model, data, seen, isa, |bound, _| {
        let mut ranges = vec![(0.0f32, 0.0f32); tensors];
        for (step, range) in ranges.iter_mut().enumerate() {
            let ran = bound.step(step); // of a model that was checked: it does
            debug_assert_eq!(ran, Ok(()));
            *range = extremes(floats(bound.tensor(step + 1)), *range);
        }
        ranges
    })?;
    let widest = |mut all: Vec<(f32, f32)>, part: Vec<(f32, f32)>| {
        all.iter_mut().zip(part).for_each(|(a, b)| *a = (a.0.min(b.0), a.1.max(b.1)));
        all
    };
    let ranges = ranges.into_iter().fold(vec![(0.0, 0.0); tensors], widest);
    if let Some(tensor) = ranges.iter().position(|(low, high)| !low.is_finite() || !high.is_finite()) {
        let layer = tensor.checked_sub(1).map_or("pixels", |layer| &lowered.layers[layer].name);
        return Err(QuantError::layer(layer, "outputs that are numbers"));
    }
    let mut histograms: Vec<Histogram> = ranges.iter().map(|range| Histogram::new(*range)).collect();
    let parts = each_part(model, data, seen, isa, |bound, _| {
        let mut part: Vec<Histogram> = ranges.iter().map(|range| Histogram::new(*range)).collect();
        for (step, histogram) in part.iter_mut().enumerate() {
            let ran = bound.step(step);
            debug_assert_eq!(ran, Ok(()));
            histogram.add(floats(bound.tensor(step + 1)));
        }
        part
    })?;
    for part in parts {
        histograms.iter_mut().zip(&part).for_each(|(all, part)| all.merge(part));
    }
    Ok(histograms)
}

/// The numbers of a tensor of a model of floats.
pub(super) fn floats(bytes: &[u8]) -> &[f32] {
    bytemuck::try_cast_slice(bytes).unwrap_or_default()
}

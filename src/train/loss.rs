//! Softmax cross entropy, alone and with its gradient.

use super::config::ConfigError;
use crate::error::ShapeError;
use crate::kernels::{Isa, softmax};
use std::fmt;
use std::str::FromStr;

/// How the gradients of a batch's samples become one. The reported loss is the mean in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean: the step does not grow with the batch.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Reduction {
    /// What each sample's gradient is multiplied by in a batch of `samples`.
    #[must_use]
    pub fn scale(self, samples: usize) -> f32 {
        match self {
            Self::Mean => 1.0 / samples.max(1) as f32,
            Self::Sum => 1.0,
        }
    }
}

impl fmt::Display for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Mean => "mean",
            Self::Sum => "sum",
        })
    }
}

impl FromStr for Reduction {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "mean" => Ok(Self::Mean),
            "sum" => Ok(Self::Sum),
            _ => Err(ConfigError::unknown("reduction", "mean or sum", text)),
        }
    }
}

/// What a batch adds to the running sums.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchLoss {
    /// Sum of the samples' losses, in nats, without penalties.
    pub loss_sum: f64,
    /// Samples whose largest logit is their label's.
    pub correct: u32,
    /// Samples.
    pub samples: u32,
}

impl std::ops::Add for BatchLoss {
    type Output = Self;

    /// Of the samples of both.
    fn add(self, other: Self) -> Self {
        Self {
            loss_sum: self.loss_sum + other.loss_sum,
            correct: self.correct + other.correct,
            samples: self.samples + other.samples,
        }
    }
}

impl BatchLoss {
    /// Mean loss of a sample.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.loss_sum / f64::from(self.samples.max(1))
    }
}

/// Index of the largest value, the first of equals. NaN is never the largest; 0 if all are NaN.
#[must_use]
pub fn argmax(row: &[f32]) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (i, &x) in row.iter().enumerate() {
        if x > best.1 {
            best = (i, x);
        }
    }
    best.0
}

/// Softmax cross entropy `−ln softmax(logits)[label]` of each sample, and its gradient `scale · (softmax(logits) − onehot)`
/// written over the logits.
///
/// # Shapes
/// `logits [samples, classes]`, `labels [samples]`, `losses [samples]`.
/// # Errors
/// [`ShapeError`] if the lengths do not fit or a label is not below the number of classes.
pub fn cross_entropy(
    isa: Isa,
    logits: &mut [f32],
    labels: &[u8],
    scale: f32,
    losses: &mut [f32],
) -> Result<BatchLoss, ShapeError> {
    let correct = count_correct(logits, labels)?;
    softmax::cross_entropy(isa, logits, labels, scale, losses)?;
    Ok(sum(losses, correct))
}

/// Turns the gradient that [`cross_entropy`] wrote into that of the loss with smoothed labels, whose targets are `1 − smoothing + smoothing/C` for the
/// label and `smoothing/C` for each of the `C` classes beside it (Szegedy et al., 2016; PyTorch's `label_smoothing`); `scale` is the same.
///
/// # Shapes
/// `gradient [samples, classes]`, `labels [samples]`, below the number of classes.
/// # Errors
/// [`ShapeError`] if the lengths do not fit or a label is not below the number of classes.
pub fn smooth(gradient: &mut [f32], labels: &[u8], scale: f32, smoothing: f32) -> Result<(), ShapeError> {
    let classes = classes_of(gradient, labels)?;
    let part = scale * smoothing;
    for (row, &label) in gradient.chunks_exact_mut(classes).zip(labels) {
        row.iter_mut().for_each(|x| *x -= part / classes as f32);
        match row.get_mut(usize::from(label)) {
            Some(x) => *x += part,
            None => {
                let needed = usize::from(label) + 1;
                return Err(ShapeError::TooShort { what: "a row of logits", needed, got: classes });
            }
        }
    }
    Ok(())
}

/// The same losses without a gradient, as the negative log-likelihood over log-softmax, which is written over the logits.
///
/// # Shapes
/// `logits [samples, classes]`, `labels [samples]`, `losses [samples]`.
/// # Errors
/// As [`cross_entropy`].
pub fn nll(isa: Isa, logits: &mut [f32], labels: &[u8], losses: &mut [f32]) -> Result<BatchLoss, ShapeError> {
    let correct = count_correct(logits, labels)?;
    let classes = classes_of(logits, labels)?;
    softmax::log_softmax(isa, logits, classes)?;
    let rows = logits.chunks_exact(classes);
    for ((row, &label), loss) in rows.zip(labels).zip(&mut *losses) {
        *loss = -row[usize::from(label)]; // `count_correct` found every label below the number of classes
    }
    Ok(sum(losses, correct))
}

/// Columns of the logits.
fn classes_of(logits: &[f32], labels: &[u8]) -> Result<usize, ShapeError> {
    let classes = logits.len().checked_div(labels.len()).unwrap_or(0);
    if classes == 0 || classes * labels.len() != logits.len() {
        return Err(ShapeError::Length {
            what: "the logits",
            expected: classes.max(1) * labels.len(),
            got: logits.len(),
        });
    }
    Ok(classes)
}

fn count_correct(logits: &[f32], labels: &[u8]) -> Result<u32, ShapeError> {
    let classes = classes_of(logits, labels)?;
    let mut correct = 0;
    for (row, &label) in logits.chunks_exact(classes).zip(labels) {
        let label = usize::from(label);
        if label >= classes {
            return Err(ShapeError::TooShort { what: "a row of logits", needed: label + 1, got: classes });
        }
        correct += u32::from(argmax(row) == label);
    }
    Ok(correct)
}

/// In f64 and in order: the sum depends on nothing but the losses.
fn sum(losses: &[f32], correct: u32) -> BatchLoss {
    BatchLoss { loss_sum: losses.iter().map(|&loss| f64::from(loss)).sum(), correct, samples: losses.len() as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::random::Random;

    /// Losses and gradients in f64, shifted by the largest logit.
    fn reference(logits: &[f32], labels: &[u8], classes: usize, scale: f64) -> (Vec<f64>, Vec<f64>) {
        let mut losses = Vec::new();
        let mut gradient = Vec::new();
        for (row, &label) in logits.chunks_exact(classes).zip(labels) {
            let top = row.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(f64::from(x)));
            let sum: f64 = row.iter().map(|&x| (f64::from(x) - top).exp()).sum();
            losses.push(sum.ln() + top - f64::from(row[usize::from(label)]));
            let probs = row.iter().map(|&x| (f64::from(x) - top).exp() / sum);
            gradient.extend(probs.enumerate().map(|(j, p)| scale * (p - f64::from(u8::from(j == usize::from(label))))));
        }
        (losses, gradient)
    }

    #[test]
    fn losses_and_gradients_match_f64_on_every_isa() {
        let mut random = Random::new(1, "loss test", 0);
        for isa in Isa::available() {
            for (samples, classes, spread) in [(1, 2, 1.0), (7, 10, 5.0), (64, 10, 60.0), (3, 33, 0.1), (5, 1, 3.0)] {
                let logits: Vec<f32> = (0..samples * classes).map(|_| (random.unit() - 0.5) * spread).collect();
                let labels: Vec<u8> = (0..samples).map(|_| random.below(classes as u32) as u8).collect();
                for reduction in [Reduction::Mean, Reduction::Sum] {
                    let scale = f64::from(reduction.scale(samples));
                    let (want, want_gradient) = reference(&logits, &labels, classes, scale);
                    let (mut got, mut losses) = (logits.clone(), vec![f32::NAN; samples]);
                    let batch = cross_entropy(isa, &mut got, &labels, reduction.scale(samples), &mut losses).unwrap();
                    for (got, want) in losses.iter().zip(&want) {
                        let bound = 4e-7 * (want.abs() + f64::from(spread) + 1.0);
                        assert!((f64::from(*got) - want).abs() <= bound, "{isa}: {got} for {want}");
                    }
                    for (got, want) in got.iter().zip(&want_gradient) {
                        let bound = scale * (2e-6 + 4e-7 * f64::from(spread));
                        assert!((f64::from(*got) - want).abs() <= bound, "{isa}: {got} for {want}");
                    }
                    assert!((batch.loss_sum - want.iter().sum::<f64>()).abs() < 1e-4 * samples as f64);
                    let hits = logits
                        .chunks_exact(classes)
                        .zip(&labels)
                        .filter(|(row, label)| argmax(row) == usize::from(**label));
                    assert_eq!(batch.correct as usize, hits.count());

                    let mut nll_losses = vec![f32::NAN; samples];
                    let nll = nll(isa, &mut logits.clone(), &labels, &mut nll_losses).unwrap();
                    assert_eq!((nll.correct, nll.samples), (batch.correct, samples as u32));
                    assert!((nll.mean() - batch.mean()).abs() < 1e-5 * (1.0 + f64::from(spread)));
                }
            }
        }
    }

    /// The gradient of `Σₖ −targetₖ·ln pₖ` is `p − target`.
    #[test]
    fn smoothed_labels_are_the_targets() {
        let (logits, labels) = ([0.5f32, -1.0, 2.0, 0.0, 0.25, -3.0], [2u8, 0]);
        let smoothing = 0.3;
        let mut got = logits;
        cross_entropy(Isa::best(), &mut got, &labels, 1.0, &mut [0.0; 2]).unwrap();
        smooth(&mut got, &labels, 1.0, smoothing).unwrap();
        let (_, plain) = reference(&logits, &labels, 3, 1.0);
        for (i, (got, plain)) in got.iter().zip(plain).enumerate() {
            let hot = f64::from(u8::from(usize::from(labels[i / 3]) == i % 3));
            let target = (1.0 - f64::from(smoothing)) * hot + f64::from(smoothing) / 3.0;
            assert!((f64::from(*got) - (plain + hot - target)).abs() < 1e-6, "{i}: {got}");
        }
        assert!(smooth(&mut got, &[3, 0], 1.0, smoothing).is_err());
        assert!(smooth(&mut got[1..], &labels, 1.0, smoothing).is_err());
    }

    #[test]
    fn a_label_beyond_the_classes_and_odd_lengths_are_refused() {
        let isa = Isa::best();
        for (logits, labels) in [(4, vec![0u8, 2]), (5, vec![0, 1]), (0, vec![0]), (4, vec![])] {
            let (mut x, mut losses) = (vec![0.0; logits], vec![0.0; labels.len()]);
            assert!(cross_entropy(isa, &mut x, &labels, 1.0, &mut losses).is_err());
            assert!(nll(isa, &mut x, &labels, &mut losses).is_err());
        }
    }

    #[test]
    fn the_first_of_equal_logits_wins() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(argmax(&[f32::NAN, -1.0]), 1);
        assert_eq!(argmax(&[f32::NAN]), 0);
        // A device says the same.
        let nan = f32::NAN;
        for row in [[1.0, 3.0, 3.0], [nan, -1.0, 2.0], [nan, -1.0, -2.0], [-1.0, nan, -2.0], [2.0, nan, 3.0], [nan; 3]]
        {
            assert_eq!(crate::runtime::first_largest(&row), argmax(&row), "{row:?}");
        }
    }
}

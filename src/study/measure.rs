//! Figures that are read off a run.

use super::exam::Exam;
use crate::train::early_stop::EarlyStop;
use crate::train::metrics::EpochReport;
use crate::train::sweep::Record;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A run that is over: its line of results, its epochs, and what its network says of the test set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// What tables and rules call it; its seeds share a name.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// What the sweep keeps of it.
    pub record: Record,
    /// Its `metrics.jsonl`.
    pub history: Vec<EpochReport>,
    /// Samples kept for validation.
    pub val_samples: u64,
    /// None of a run that left no model.
    pub exam: Option<Exam>,
}

/// What is measured of the epochs or of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    TrainLoss,
    TrainAccuracy,
    ValLoss,
    ValAccuracy,
    TestLoss,
    TestAccuracy,
    Epochs,
    Seconds,
    /// Of the last update.
    Lr,
    /// Percent of a digit of the test set that are read right.
    Digit(u8),
    /// Fraction of the first digit that is read as the second.
    Confused(u8, u8),
    /// Percent of the test set that are read right in bytes, and bytes of that image.
    Int8Accuracy,
    Int8Bytes,
    /// Percent of the weights closer to 0 than [`NEAR_ZERO`](super::exam::NEAR_ZERO).
    NearZero,
    /// Standard deviation of the weights of a linear model.
    Contrast,
    /// Mean difference of neighbouring weights of a linear model, in its contrast.
    Roughness,
}

/// Which of them counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pick {
    /// That of the result: of the best epoch with patience, else of the last.
    Result,
    /// That after this epoch.
    Epoch(u32),
    /// The lowest, and the highest, of all epochs.
    Lowest,
    Highest,
    /// The epochs of those; the first of several.
    LowestEpoch,
    HighestEpoch,
    /// How far an epoch is from the middle of its neighbours, in the mean: a trend has none.
    Spikes,
    /// Epochs that are above the one before.
    Rises,
    /// Epochs that are above the one before and the one behind.
    Peaks,
    /// That of the epoch of the lowest validation loss until this many epochs in a row were not below the lowest before.
    Patience(u32),
    /// The same until this many epochs in a row were each above the one before.
    Rising(u32),
}

/// A figure of a run, as `test_accuracy`, `test_loss@3`, `min_test_loss`, `max_val_accuracy_epoch`, `spikes_test_loss`, `rises_val_loss`,
/// `peaks_test_loss`, `test_accuracy@patience3`, `epochs@rising3`, `digit_9`, `confused_9_3`. Accuracies are percentages, losses nats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    quantity: Quantity,
    pick: Pick,
}

/// How a figure is held against a published one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Percent: reproduced if no more than 0.3 points below.
    Percent,
    /// Nats: reproduced if no more than a tenth above.
    Nats,
    /// Epochs, which depend on the seed, and seconds, which depend on the machine: shown, not judged.
    Shown,
}

impl Unit {
    /// Whether a measured figure reproduces a published one; none where that is not judged. A hair of slack, as 97.7 - 98.0 is a little less
    /// than -0.3 in binary.
    #[must_use]
    pub fn accepts(self, published: f64, measured: f64) -> Option<bool> {
        match self {
            Self::Percent => Some(measured - published >= -POINTS - 1e-9),
            Self::Nats => Some(measured - published <= PART * published + 1e-9),
            Self::Shown => None,
        }
    }
}

/// Points below a published accuracy that still reproduce it.
pub const POINTS: f64 = 0.3;
/// Part of a published loss that ours may be above it.
pub const PART: f64 = 0.1;

const QUANTITIES: [(&str, Quantity); 14] = [
    ("train_loss", Quantity::TrainLoss),
    ("train_accuracy", Quantity::TrainAccuracy),
    ("val_loss", Quantity::ValLoss),
    ("val_accuracy", Quantity::ValAccuracy),
    ("test_loss", Quantity::TestLoss),
    ("test_accuracy", Quantity::TestAccuracy),
    ("epochs", Quantity::Epochs),
    ("seconds", Quantity::Seconds),
    ("lr", Quantity::Lr),
    ("int8_accuracy", Quantity::Int8Accuracy),
    ("int8_bytes", Quantity::Int8Bytes),
    ("near_zero", Quantity::NearZero),
    ("contrast", Quantity::Contrast),
    ("roughness", Quantity::Roughness),
];

impl Quantity {
    const fn unit(self) -> Unit {
        match self {
            Self::TrainLoss | Self::ValLoss | Self::TestLoss => Unit::Nats,
            Self::TrainAccuracy | Self::ValAccuracy | Self::TestAccuracy | Self::Int8Accuracy | Self::Digit(_) => {
                Unit::Percent
            }
            _ => Unit::Shown,
        }
    }

    fn known(name: &str) -> Option<Self> {
        if let Some(digit) = name.strip_prefix("digit_") {
            return digit.parse().ok().map(Self::Digit);
        }
        if let Some((label, read)) = name.strip_prefix("confused_").and_then(|digits| digits.split_once('_')) {
            return Some(Self::Confused(label.parse().ok()?, read.parse().ok()?));
        }
        QUANTITIES.iter().find(|(known, _)| *known == name).map(|(_, quantity)| *quantity)
    }

    fn of_epoch(self, report: &EpochReport) -> Option<f64> {
        let percent = |accuracy: f64| 100.0 * accuracy;
        match self {
            Self::TrainLoss => Some(report.train_loss),
            Self::TrainAccuracy => Some(percent(report.train_accuracy)),
            Self::ValLoss => report.val_loss,
            Self::ValAccuracy => report.val_accuracy.map(percent),
            Self::TestLoss => report.test_loss,
            Self::TestAccuracy => report.test_accuracy.map(percent),
            Self::Epochs => Some(f64::from(report.epoch)),
            Self::Seconds => Some(report.seconds),
            Self::Lr => Some(report.lr),
            Self::Digit(digit) => report.test_per_class_accuracy.get(usize::from(digit)).copied()?.map(percent),
            Self::Confused(..)
            | Self::Int8Accuracy
            | Self::Int8Bytes
            | Self::NearZero
            | Self::Contrast
            | Self::Roughness => None,
        }
    }

    fn of_result(self, run: &Trained) -> Option<f64> {
        let percent = |accuracy: f64| 100.0 * accuracy;
        let Trained { record, exam, .. } = run;
        let int8 = || exam.as_ref()?.int8.as_ref()?.image();
        match self {
            Self::TrainLoss => record.train_loss,
            Self::TrainAccuracy => record.train_accuracy.map(percent),
            Self::ValLoss => record.val_loss,
            Self::ValAccuracy => record.val_accuracy.map(percent),
            Self::TestLoss => record.test_loss,
            Self::TestAccuracy => record.test_accuracy.map(percent),
            Self::Epochs => Some(f64::from(record.epochs)),
            Self::Seconds => Some(record.seconds),
            Self::Lr => run.history.last().map(|last| last.lr),
            Self::Digit(digit) => exam.as_ref()?.share(digit, digit).map(percent),
            Self::Confused(label, read) => exam.as_ref()?.share(label, read),
            Self::Int8Accuracy => int8().map(|image| percent(image.accuracy)),
            Self::Int8Bytes => int8().map(|image| image.bytes as f64),
            Self::NearZero => exam.as_ref().map(|exam| percent(exam.near_zero)),
            Self::Contrast => exam.as_ref()?.linear.map(|linear| linear.contrast),
            Self::Roughness => exam.as_ref()?.linear.map(|linear| linear.roughness),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digit(digit) => write!(f, "accuracy of digit {digit}"),
            Self::Confused(label, read) => write!(f, "{label} read as {read}"),
            Self::NearZero => f.write_str("weights near 0"),
            Self::Lr => f.write_str("learning rate"),
            known => {
                let name = QUANTITIES.iter().find(|(_, quantity)| quantity == known).map_or("", |(name, _)| name);
                f.write_str(&name.replace('_', " "))
            }
        }
    }
}

impl Measure {
    /// The figure of a run; `None` if the run has none, as without a validation set or after it diverged.
    #[must_use]
    pub fn of(self, run: &Trained) -> Option<f64> {
        let Self { quantity, pick } = self;
        let of_epochs = || run.history.iter().filter_map(|report| Some((report.epoch, quantity.of_epoch(report)?)));
        let finite = || of_epochs().filter(|(_, value)| value.is_finite());
        // Of equal ones the first.
        let lowest = || finite().min_by(|(_, a), (_, b)| a.total_cmp(b));
        let highest = || finite().min_by(|(_, a), (_, b)| b.total_cmp(a));
        match pick {
            Pick::Result => quantity.of_result(run),
            Pick::Epoch(epoch) => of_epochs().find(|(at, _)| *at == epoch).map(|(_, value)| value),
            Pick::Lowest => lowest().map(|(_, value)| value),
            Pick::Highest => highest().map(|(_, value)| value),
            Pick::LowestEpoch => lowest().map(|(epoch, _)| f64::from(epoch)),
            Pick::HighestEpoch => highest().map(|(epoch, _)| f64::from(epoch)),
            Pick::Spikes => {
                let values: Vec<f64> = of_epochs().map(|(_, value)| value).collect();
                let spikes = values.windows(3).map(|near| (near[1] - f64::midpoint(near[0], near[2])).abs());
                (values.len() > 2).then(|| spikes.sum::<f64>() / (values.len() - 2) as f64)
            }
            Pick::Rises => {
                let values: Vec<f64> = of_epochs().map(|(_, value)| value).collect();
                Some(values.windows(2).filter(|pair| pair[1] > pair[0]).count() as f64)
            }
            Pick::Peaks => {
                let values: Vec<f64> = of_epochs().map(|(_, value)| value).collect();
                Some(values.windows(3).filter(|near| near[1] > near[0] && near[1] > near[2]).count() as f64)
            }
            Pick::Patience(patience) => quantity.until(&run.history, stop_by_patience(&run.history, patience)),
            Pick::Rising(epochs) => quantity.until(&run.history, stop_by_rises(&run.history, epochs)),
        }
    }

    /// What it is counted in: `%`, `nats`, `of 1`, `s`, `bytes`, or nothing where the words say it.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match (self.pick, self.quantity) {
            (Pick::LowestEpoch | Pick::HighestEpoch | Pick::Rises | Pick::Peaks, _) => "",
            (_, Quantity::NearZero) => "%",
            (_, Quantity::Confused(..)) => "of 1",
            (_, Quantity::Seconds) => "s",
            (_, Quantity::Int8Bytes) => "bytes",
            (_, quantity) => match quantity.unit() {
                Unit::Percent => "%",
                Unit::Nats => "nats",
                Unit::Shown => "",
            },
        }
    }

    /// Of each epoch that has one, the epoch and its figure, for plots of a quantity that has epochs.
    #[must_use]
    pub fn curve(self, run: &Trained) -> Vec<(u32, f64)> {
        run.history.iter().filter_map(|report| Some((report.epoch, self.quantity.of_epoch(report)?))).collect()
    }

    /// Whether it is of the training samples.
    #[must_use]
    pub const fn is_train(self) -> bool {
        matches!(self.quantity, Quantity::TrainLoss | Quantity::TrainAccuracy)
    }

    /// Whether it is a learning rate.
    #[must_use]
    pub const fn is_rate(self) -> bool {
        matches!(self.quantity, Quantity::Lr)
    }

    /// Whose accuracy it is: the samples of the validation or of the test set that it is a share of.
    #[must_use]
    pub fn samples(self, run: &Trained) -> Option<u64> {
        match self.quantity {
            Quantity::ValAccuracy => Some(run.val_samples),
            Quantity::TestAccuracy | Quantity::Int8Accuracy => run.exam.as_ref().map(Exam::samples),
            _ => None,
        }
    }

    /// How it is held against a published figure.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self.pick {
            Pick::LowestEpoch | Pick::HighestEpoch | Pick::Spikes | Pick::Rises | Pick::Peaks => Unit::Shown,
            _ => self.quantity.unit(),
        }
    }
}

impl fmt::Display for Measure {
    /// For people: `test loss after epoch 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantity = self.quantity;
        match self.pick {
            Pick::Result => write!(f, "{quantity}"),
            Pick::Epoch(epoch) => write!(f, "{quantity} after epoch {epoch}"),
            Pick::Lowest => write!(f, "lowest {quantity}"),
            Pick::Highest => write!(f, "highest {quantity}"),
            Pick::LowestEpoch => write!(f, "epoch of the lowest {quantity}"),
            Pick::HighestEpoch => write!(f, "epoch of the highest {quantity}"),
            Pick::Spikes => write!(f, "spikes of {quantity}"),
            Pick::Rises => write!(f, "epochs in which {quantity} rose"),
            Pick::Peaks => write!(f, "epochs in which {quantity} rose to fall again"),
            Pick::Patience(epochs) => {
                write!(f, "{quantity}, stopped after {epochs} epochs without a lower validation loss")
            }
            Pick::Rising(epochs) => {
                write!(f, "{quantity}, stopped after {epochs} rises of the validation loss in a row")
            }
        }
    }
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Quantity::known;
        let picked = |rest: &str, value: Pick, epoch: Pick| match rest.strip_suffix("_epoch") {
            Some(name) => Some((known(name)?, epoch)),
            None => Some((known(rest)?, value)),
        };
        let found = if let Some((name, epoch)) = text.split_once('@') {
            let count = |text: &str| text.parse().ok().filter(|count| *count > 0);
            let pick = if let Some(patience) = epoch.strip_prefix("patience") {
                count(patience).map(Pick::Patience)
            } else if let Some(rises) = epoch.strip_prefix("rising") {
                count(rises).map(Pick::Rising)
            } else {
                count(epoch).map(Pick::Epoch)
            };
            known(name).zip(pick)
        } else if let Some(rest) = text.strip_prefix("spikes_") {
            known(rest).map(|quantity| (quantity, Pick::Spikes))
        } else if let Some(rest) = text.strip_prefix("rises_") {
            known(rest).map(|quantity| (quantity, Pick::Rises))
        } else if let Some(rest) = text.strip_prefix("peaks_") {
            known(rest).map(|quantity| (quantity, Pick::Peaks))
        } else if let Some(rest) = text.strip_prefix("min_") {
            picked(rest, Pick::Lowest, Pick::LowestEpoch)
        } else if let Some(rest) = text.strip_prefix("max_") {
            picked(rest, Pick::Highest, Pick::HighestEpoch)
        } else {
            known(text).map(|quantity| (quantity, Pick::Result))
        };
        let (quantity, pick) = found.ok_or_else(|| {
            let names: Vec<&str> = QUANTITIES.iter().map(|(name, _)| *name).collect();
            format!(
                "expected one of {}, digit_D or confused_D_D, as such, with @EPOCH, @patienceN or @risingN, with spikes_, rises_ or peaks_ before, \
                 or with min_ or max_ before and _epoch behind, found {text:?}",
                names.join(", ")
            )
        })?;
        Ok(Self { quantity, pick })
    }
}

impl Quantity {
    /// That of the epoch of the lowest validation loss up to the epoch `stop`; of `epochs` the stop itself.
    fn until(self, history: &[EpochReport], stop: u32) -> Option<f64> {
        if self == Self::Epochs {
            return Some(f64::from(stop));
        }
        let mut lowest = EarlyStop::default();
        for report in history.iter().take_while(|report| report.epoch <= stop) {
            lowest.observe(report.epoch, report.val_loss?);
        }
        self.of_epoch(history.iter().find(|report| Some(report.epoch) == lowest.best_epoch)?)
    }
}

/// The epoch after which `patience` epochs in a row were not below the lowest validation loss before, or the last.
fn stop_by_patience(history: &[EpochReport], patience: u32) -> u32 {
    let mut stop = EarlyStop::default();
    for report in history {
        stop.observe(report.epoch, report.val_loss.unwrap_or(f64::NAN));
        if stop.exhausted(Some(patience)) {
            return report.epoch;
        }
    }
    history.last().map_or(0, |last| last.epoch)
}

/// The epoch after which the validation loss had risen `epochs` times in a row, or the last.
fn stop_by_rises(history: &[EpochReport], epochs: u32) -> u32 {
    let mut rises = 0;
    for pair in history.windows(2) {
        rises = if pair[1].val_loss > pair[0].val_loss { rises + 1 } else { 0 };
        if rises == epochs {
            return pair[1].epoch;
        }
    }
    history.last().map_or(0, |last| last.epoch)
}

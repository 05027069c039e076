//! Figures that are read off a run.

use crate::train::metrics::EpochReport;
use crate::train::sweep::Record;
use std::fmt;
use std::str::FromStr;

/// A run that is over: its line of results, and its epochs.
#[derive(Clone, Debug)]
pub struct Trained {
    /// What the sweep keeps of it.
    pub record: Record,
    /// Its `metrics.jsonl`.
    pub history: Vec<EpochReport>,
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
}

/// A figure of a run, as `test_accuracy`, `test_loss@3`, `min_test_loss` or `max_val_accuracy_epoch`. Accuracies are percentages, losses
/// nats.
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

/// Points below a published accuracy that still reproduce it.
pub const POINTS: f64 = 0.3;
/// Part of a published loss that ours may be above it.
pub const PART: f64 = 0.1;

const QUANTITIES: [(&str, Quantity); 8] = [
    ("train_loss", Quantity::TrainLoss),
    ("train_accuracy", Quantity::TrainAccuracy),
    ("val_loss", Quantity::ValLoss),
    ("val_accuracy", Quantity::ValAccuracy),
    ("test_loss", Quantity::TestLoss),
    ("test_accuracy", Quantity::TestAccuracy),
    ("epochs", Quantity::Epochs),
    ("seconds", Quantity::Seconds),
];

impl Quantity {
    const fn unit(self) -> Unit {
        match self {
            Self::TrainLoss | Self::ValLoss | Self::TestLoss => Unit::Nats,
            Self::TrainAccuracy | Self::ValAccuracy | Self::TestAccuracy => Unit::Percent,
            Self::Epochs | Self::Seconds => Unit::Shown,
        }
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
        }
    }

    fn of_result(self, record: &Record) -> Option<f64> {
        let percent = |accuracy: f64| 100.0 * accuracy;
        match self {
            Self::TrainLoss => record.train_loss,
            Self::TrainAccuracy => record.train_accuracy.map(percent),
            Self::ValLoss => record.val_loss,
            Self::ValAccuracy => record.val_accuracy.map(percent),
            Self::TestLoss => record.test_loss,
            Self::TestAccuracy => record.test_accuracy.map(percent),
            Self::Epochs => Some(f64::from(record.epochs)),
            Self::Seconds => Some(record.seconds),
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
            Pick::Result => quantity.of_result(&run.record),
            Pick::Epoch(epoch) => of_epochs().find(|(at, _)| *at == epoch).map(|(_, value)| value),
            Pick::Lowest => lowest().map(|(_, value)| value),
            Pick::Highest => highest().map(|(_, value)| value),
            Pick::LowestEpoch => lowest().map(|(epoch, _)| f64::from(epoch)),
            Pick::HighestEpoch => highest().map(|(epoch, _)| f64::from(epoch)),
        }
    }

    /// How it is held against a published figure.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self.pick {
            Pick::LowestEpoch | Pick::HighestEpoch => Unit::Shown,
            _ => self.quantity.unit(),
        }
    }
}

impl fmt::Display for Measure {
    /// For people: `test loss after epoch 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantity = QUANTITIES.iter().find(|(_, quantity)| *quantity == self.quantity).map_or("", |(name, _)| name);
        let quantity = quantity.replace('_', " ");
        match self.pick {
            Pick::Result => write!(f, "{quantity}"),
            Pick::Epoch(epoch) => write!(f, "{quantity} after epoch {epoch}"),
            Pick::Lowest => write!(f, "lowest {quantity}"),
            Pick::Highest => write!(f, "highest {quantity}"),
            Pick::LowestEpoch => write!(f, "epoch of the lowest {quantity}"),
            Pick::HighestEpoch => write!(f, "epoch of the highest {quantity}"),
        }
    }
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = |name: &str| QUANTITIES.iter().find(|(known, _)| *known == name).map(|(_, quantity)| *quantity);
        let picked = |rest: &str, value: Pick, epoch: Pick| match rest.strip_suffix("_epoch") {
            Some(name) => Some((known(name)?, epoch)),
            None => Some((known(rest)?, value)),
        };
        let found = if let Some((name, epoch)) = text.split_once('@') {
            known(name).zip(epoch.parse().ok().filter(|epoch| *epoch > 0).map(Pick::Epoch))
        } else if let Some(rest) = text.strip_prefix("min_") {
            picked(rest, Pick::Lowest, Pick::LowestEpoch)
        } else if let Some(rest) = text.strip_prefix("max_") {
            picked(rest, Pick::Highest, Pick::HighestEpoch)
        } else {
            known(text).map(|quantity| (quantity, Pick::Result))
        };
        let (quantity, pick) = found.ok_or_else(|| {
            let names: Vec<&str> = QUANTITIES.iter().map(|(name, _)| *name).collect();
            format!("expected one of {}, as such, with @EPOCH, or with min_ or max_ before and _epoch behind, found {text:?}", names.join(", "))
        })?;
        Ok(Self { quantity, pick })
    }
}

/// The middle of some values, or the mean of the two in the middle.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[half]),
        _ => Some(f64::midpoint(sorted[half - 1], sorted[half])),
    }
}

//! What is measured: by epoch, and over a whole data set.

use serde::{Deserialize, Serialize};

/// A line of `metrics.jsonl`. Losses are means in nats without penalties, accuracies fractions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Over the epoch's batches as they were trained on, or exactly, after it, if the configuration asks for that.
    pub train_loss: f64,
    /// Alike.
    pub train_accuracy: f64,
    /// Over the validation samples, if there are any.
    pub val_loss: Option<f64>,
    /// Alike.
    pub val_accuracy: Option<f64>,
    /// Over the test set.
    pub test_loss: Option<f64>,
    /// Alike.
    pub test_accuracy: Option<f64>,
    /// Over the samples of each class in the test set; none for a class without samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test_per_class_accuracy: Vec<Option<f64>>,
    /// Learning rate of the epoch's last update.
    pub lr: f64,
    /// Seconds of training in this epoch; evaluation and checkpoints left out.
    pub seconds: f64,
}

/// A sample that the network finds hard.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Hard {
    /// Its place in the data set, from 0.
    pub index: u32,
    /// Its class.
    pub label: u8,
    /// The class that the network took it for.
    pub predicted: u32,
    /// Its loss.
    pub loss: f32,
}

/// How a network does over a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Samples.
    pub samples: u64,
    /// Samples classified correctly.
    pub correct: u64,
    /// Mean loss.
    pub loss: f64,
    /// Fraction classified correctly.
    pub accuracy: f64,
    /// `confusion[label][predicted]`, in samples.
    pub confusion: Vec<Vec<u64>>,
    /// Places of the samples classified wrongly, in the order of evaluation.
    pub wrong: Vec<u32>,
    /// The samples of highest loss, hardest first; of equal losses the earlier sample comes first.
    pub hardest: Vec<Hard>,
}

impl Metrics {
    /// Fraction of each class classified correctly; `None` for a class without samples.
    #[must_use]
    pub fn per_class_accuracy(&self) -> Vec<Option<f64>> {
        let fraction = |(class, row): (usize, &Vec<u64>)| {
            let total: u64 = row.iter().sum();
            (total > 0).then(|| row[class] as f64 / total as f64)
        };
        self.confusion.iter().enumerate().map(fraction).collect()
    }
}

/// Sums that become [`Metrics`].
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    loss_sum: f64,
    confusion: Vec<Vec<u64>>,
    wrong: Vec<u32>,
    hardest: Vec<Hard>,
    keep: usize,
}

impl Tally {
    /// Nothing yet; the `keep` hardest samples will be kept.
    pub(crate) fn new(classes: usize, keep: usize) -> Self {
        let hardest = Vec::with_capacity(keep.min(1024) + 1);
        Self { loss_sum: 0.0, confusion: vec![vec![0; classes]; classes], wrong: Vec::new(), hardest, keep }
    }

    /// Adds a sample. NaN counts as the hardest loss.
    pub(crate) fn add(&mut self, sample: Hard) {
        self.loss_sum += f64::from(sample.loss);
        self.confusion[usize::from(sample.label)][sample.predicted as usize] += 1;
        if sample.predicted != u32::from(sample.label) {
            self.wrong.push(sample.index);
        }
        let hardness = |sample: &Hard| if sample.loss.is_nan() { f32::INFINITY } else { sample.loss };
        if self.hardest.len() == self.keep && self.hardest.last().is_none_or(|last| hardness(last) >= hardness(&sample))
        {
            return;
        }
        let at = self.hardest.partition_point(|other| hardness(other) >= hardness(&sample));
        self.hardest.insert(at, sample);
        self.hardest.truncate(self.keep);
    }

    pub(crate) fn finish(self) -> Metrics {
        let samples: u64 = self.confusion.iter().flatten().sum();
        let correct: u64 = self.confusion.iter().enumerate().map(|(class, row)| row[class]).sum();
        let of = samples.max(1) as f64;
        Metrics {
            samples,
            correct,
            loss: self.loss_sum / of,
            accuracy: correct as f64 / of,
            confusion: self.confusion,
            wrong: self.wrong,
            hardest: self.hardest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_by_hand() {
        let mut tally = Tally::new(3, 2);
        let samples = [(0u8, 0u32, 0.5f32), (0, 1, 2.0), (1, 1, 0.25), (0, 0, 2.0), (1, 0, 3.0)];
        for (index, (label, predicted, loss)) in samples.into_iter().enumerate() {
            tally.add(Hard { index: index as u32, label, predicted, loss });
        }
        let metrics = tally.finish();
        assert_eq!((metrics.samples, metrics.correct), (5, 3));
        assert_eq!((metrics.loss, metrics.accuracy), (7.75 / 5.0, 0.6));
        assert_eq!(metrics.confusion, [[2, 1, 0], [1, 1, 0], [0, 0, 0]]);
        assert_eq!(metrics.per_class_accuracy(), [Some(2.0 / 3.0), Some(0.5), None]);
        assert_eq!(metrics.wrong, [1, 4]);
        assert_eq!(metrics.hardest.iter().map(|hard| hard.index).collect::<Vec<_>>(), [4, 1], "the earlier of equals");
    }

    #[test]
    fn none_are_kept_if_none_are_wanted() {
        let mut tally = Tally::new(2, 0);
        tally.add(Hard { index: 0, label: 1, predicted: 0, loss: f32::NAN });
        assert!(tally.finish().hardest.is_empty());
    }

    #[test]
    fn a_line_of_json_has_the_documented_keys() {
        let report = EpochReport { epoch: 3, lr: 0.001, ..EpochReport::default() };
        let json = serde_json::to_string(&report).unwrap();
        let want = r#"{"epoch":3,"train_loss":0.0,"train_accuracy":0.0,"val_loss":null,"val_accuracy":null,"#;
        assert!(json.starts_with(want), "{json}");
        assert!(json.ends_with(r#""test_loss":null,"test_accuracy":null,"lr":0.001,"seconds":0.0}"#), "{json}");
        assert_eq!(serde_json::from_str::<EpochReport>(&json).unwrap(), report);
    }
}

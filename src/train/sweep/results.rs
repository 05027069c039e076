//! What came out of the runs: a line of JSON for each, and which of them is best.

use super::spec::Planned;
use crate::checkpoint::write_atomic;
use crate::train::TrainError;
use crate::train::config::ConfigError;
use crate::train::metrics::EpochReport;
use crate::train::run::{Summary, text_or_none};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::fmt;
use std::path::Path;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// It made all its epochs, or patience ended it.
    Finished,
    /// It fell behind the median: there is a save, which `train --resume` goes on from, and no model.
    Pruned,
    /// Its loss was no longer a number.
    Diverged,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Finished => "finished",
            Self::Pruned => "pruned",
            Self::Diverged => "diverged",
        })
    }
}

/// A line of `results.jsonl`. Losses are means in nats, accuracies fractions.
///
/// Measured is the model file: the best epoch's with patience, else the last's. A run that was pruned or diverged has none; its
/// numbers are those of its last whole epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The run's number, from 1.
    pub number: usize,
    /// What distinguishes it.
    pub settings: Map<String, Value>,
    /// How it ended.
    pub ending: Ending,
    /// SHA-256 of the model file, in hex.
    pub sha256: Option<String>,
    /// Epochs finished.
    pub epochs: u32,
    /// The epoch of the lowest validation loss, if there is a validation set.
    pub best_epoch: Option<u32>,
    /// Over the training samples, as the epoch reported it.
    pub train_loss: Option<f64>,
    /// Alike.
    pub train_accuracy: Option<f64>,
    /// Over the validation samples, if there are any.
    pub val_loss: Option<f64>,
    /// Alike.
    pub val_accuracy: Option<f64>,
    /// Over the test set.
    pub test_loss: Option<f64>,
    /// Alike.
    pub test_accuracy: Option<f64>,
    /// As `val_accuracy`, over moves of each image, if the run asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shifted_val_accuracy: Option<f64>,
    /// As `test_accuracy`, alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shifted_test_accuracy: Option<f64>,
    /// Seconds of training over the whole run, interruptions, evaluation and checkpoints left out.
    pub seconds: f64,
    /// Training samples in a second of those.
    pub samples_per_second: f64,
}

impl Record {
    /// Of a run that has ended with this summary.
    pub(super) fn of(run: &Planned, ending: Ending, summary: &Summary) -> Self {
        let last = summary.history.last();
        let report = summary.report.as_ref().filter(|_| ending == Ending::Finished).or(last);
        let mut record = Self::from_history(run, ending, &summary.history, 0);
        record.sha256.clone_from(&summary.sha256);
        record.best_epoch = summary.best_epoch;
        record.train_loss = report.map(|report| report.train_loss);
        record.train_accuracy = report.map(|report| report.train_accuracy);
        if let Some(val) = &summary.val {
            (record.val_loss, record.val_accuracy) = (Some(val.loss), Some(val.accuracy));
        }
        if let Some(test) = &summary.test {
            (record.test_loss, record.test_accuracy) = (Some(test.loss), Some(test.accuracy));
        }
        record.shifted_val_accuracy = summary.shifted_val.as_ref().map(|val| val.accuracy);
        record.shifted_test_accuracy = summary.shifted_test.as_ref().map(|test| test.accuracy);
        (record.seconds, record.samples_per_second) = (summary.train_seconds, summary.samples_per_second);
        record
    }

    /// Of a run of which only its epochs' reports are known, each of `samples`.
    pub(super) fn from_history(run: &Planned, ending: Ending, history: &[EpochReport], samples: usize) -> Self {
        let seconds: f64 = history.iter().map(|report| report.seconds).sum();
        let seen = samples as f64 * history.len() as f64;
        let last = history.last();
        let lowest = history.iter().filter(|report| report.val_loss.is_some_and(f64::is_finite));
        let lowest = lowest.min_by(|a, b| a.val_loss.unwrap_or(0.0).total_cmp(&b.val_loss.unwrap_or(0.0)));
        Self {
            number: run.number,
            settings: settings(run),
            ending,
            sha256: None,
            epochs: last.map_or(0, |last| last.epoch),
            best_epoch: lowest.map(|report| report.epoch),
            train_loss: last.map(|last| last.train_loss),
            train_accuracy: last.map(|last| last.train_accuracy),
            val_loss: last.and_then(|last| last.val_loss),
            val_accuracy: last.and_then(|last| last.val_accuracy),
            test_loss: last.and_then(|last| last.test_loss),
            test_accuracy: last.and_then(|last| last.test_accuracy),
            shifted_val_accuracy: None,
            shifted_test_accuracy: None,
            seconds,
            samples_per_second: if seconds > 0.0 { seen / seconds } else { 0.0 },
        }
    }

    /// What distinguishes the run, under `key`, for a person.
    #[must_use]
    pub fn setting(&self, key: &str) -> String {
        match self.settings.get(key) {
            None => "-".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }
}

/// The settings of a run as JSON.
pub(super) fn settings(run: &Planned) -> Map<String, Value> {
    let json = |value: &toml::Value| serde_json::to_value(value).unwrap_or_else(|_| Value::String(value.to_string()));
    run.settings.iter().map(|(key, value)| (key.clone(), json(value))).collect()
}

/// The accuracy by which runs are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Over the validation samples.
    Validation,
    /// Over the test set, where not every run has a validation set. The best of many runs by the test set looks better than it is.
    Test,
}

impl Measure {
    /// What all of these have.
    #[must_use]
    pub fn of(records: &[Record]) -> Self {
        let mut measured = records.iter().filter(|record| record.ending != Ending::Diverged).peekable();
        let all = measured.peek().is_some() && measured.all(|record| record.val_accuracy.is_some());
        if all { Self::Validation } else { Self::Test }
    }

    /// Its name: "validation".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// That of a run.
    #[must_use]
    pub fn accuracy(self, record: &Record) -> Option<f64> {
        match self {
            Self::Validation => record.val_accuracy,
            Self::Test => record.test_accuracy,
        }
    }

    fn loss(self, record: &Record) -> Option<f64> {
        match self {
            Self::Validation => record.val_loss,
            Self::Test => record.test_loss,
        }
    }

    /// Best first: finished before pruned before diverged, then the higher accuracy, the lower loss, the lower number.
    #[must_use]
    pub fn rank(self, records: &[Record]) -> Vec<&Record> {
        let ending = |record: &Record| record.ending as u8;
        let order = |a: &&Record, b: &&Record| -> Ordering {
            let number = |value: Option<f64>, worst: f64| value.filter(|value| !value.is_nan()).unwrap_or(worst);
            let accuracy = |record| number(self.accuracy(record), -1.0);
            let loss = |record| number(self.loss(record), f64::INFINITY);
            ending(a)
                .cmp(&ending(b))
                .then(accuracy(b).total_cmp(&accuracy(a)))
                .then(loss(a).total_cmp(&loss(b)))
                .then(a.number.cmp(&b.number))
        };
        let mut ranked: Vec<&Record> = records.iter().collect();
        ranked.sort_by(order);
        ranked
    }

    /// The best run that finished.
    #[must_use]
    pub fn best(self, records: &[Record]) -> Option<&Record> {
        self.rank(records).first().copied().filter(|record| record.ending == Ending::Finished)
    }
}

/// The lines of `file`, in order of number; none if there is no such file.
///
/// # Errors
/// [`TrainError::Io`] if it cannot be read, [`TrainError::Config`] naming the line that is not one of ours.
pub fn read(file: &Path) -> Result<Vec<Record>, TrainError> {
    let text = text_or_none(file)?;
    let parse = |(i, line): (usize, &str)| {
        serde_json::from_str::<Record>(line).map_err(|error| {
            let place = format!("{}: line {}", file.display(), i + 1);
            let expected = "results as a sweep writes them; without the file they are gathered again from the runs";
            ConfigError::new(place, "a line for each finished run", expected, error).into()
        })
    };
    let mut records = text.lines().enumerate().map(parse).collect::<Result<Vec<_>, TrainError>>()?;
    records.sort_by_key(|record| record.number);
    Ok(records)
}

/// Writes all `records` to `file`, which is never seen half written.
///
/// # Errors
/// [`TrainError::Checkpoint`] if the disk refuses.
pub fn write(file: &Path, records: &[Record]) -> Result<(), TrainError> {
    let mut text = String::new();
    for record in records {
        let line = serde_json::to_string(record);
        text.push_str(&line.map_err(|error| TrainError::Io {
            file: file.to_owned(),
            action: "write",
            error: error.into(),
        })?);
        text.push('\n');
    }
    Ok(write_atomic(file, text.as_bytes())?)
}

/// Puts `record` in the place of its number.
pub fn insert(records: &mut Vec<Record>, record: Record) {
    match records.binary_search_by_key(&record.number, |record| record.number) {
        Ok(at) => records[at] = record,
        Err(at) => records.insert(at, record),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A run that ended with these accuracies.
    pub(in crate::train::sweep) fn record(number: usize, ending: Ending, val: Option<f64>, test: f64) -> Record {
        Record {
            number,
            settings: Map::from_iter([("lr".to_owned(), Value::from(0.5 / number as f64))]),
            ending,
            sha256: (ending == Ending::Finished).then(|| "ab".repeat(32)),
            epochs: 3,
            best_epoch: val.map(|_| 2),
            train_loss: Some(0.25),
            train_accuracy: Some(0.9),
            val_loss: val.map(|val| 1.0 - val),
            val_accuracy: val,
            test_loss: Some(1.0 - test),
            test_accuracy: Some(test),
            shifted_val_accuracy: None,
            shifted_test_accuracy: None,
            seconds: 1.5,
            samples_per_second: 1000.0,
        }
    }

    #[test]
    fn finished_runs_come_first_and_the_best_of_them_before_all() {
        use Ending::{Diverged, Finished, Pruned};
        let records = [
            record(1, Finished, Some(0.5), 0.9),
            record(2, Pruned, Some(0.99), 0.9),
            record(3, Finished, Some(0.75), 0.1),
            Record { val_accuracy: None, ..record(4, Diverged, None, 0.0) },
            record(5, Finished, Some(0.75), 0.2),
        ];
        let measure = Measure::of(&records);
        assert_eq!(measure, Measure::Validation, "one that diverged has nothing to compare");
        let order: Vec<usize> = measure.rank(&records).iter().map(|record| record.number).collect();
        assert_eq!(order, [3, 5, 1, 2, 4], "the earlier of equals");
        assert_eq!(measure.best(&records).unwrap().number, 3);
        assert_eq!(Measure::Validation.best(&records[1..2]), None, "a pruned run has no model to show");
        let mixed = [record(1, Finished, Some(0.5), 0.6), record(2, Finished, None, 0.7)];
        assert_eq!(Measure::of(&mixed), Measure::Test);
        assert_eq!(Measure::Test.best(&mixed).unwrap().number, 2);
        assert_eq!(Measure::of(&[]), Measure::Test);
    }

    #[test]
    fn lines_read_back_as_written_in_order_of_number() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("results.jsonl");
        assert_eq!(read(&file).unwrap(), []);
        let mut records = Vec::new();
        for number in [3, 1, 2, 3] {
            insert(&mut records, record(number, Ending::Finished, Some(0.1 * number as f64), 0.5));
        }
        write(&file, &records).unwrap();
        assert_eq!(read(&file).unwrap(), records);
        assert_eq!(records.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 2, 3]);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(r#"{"number":1,"settings":{"lr":0.5},"ending":"finished","sha256":"abab"#), "{text}");
        std::fs::write(&file, format!("{text}{{\"number\":4}}\n")).unwrap();
        let message = read(&file).unwrap_err().to_string();
        assert!(message.contains("results.jsonl: line 4"), "{message}");
    }
}

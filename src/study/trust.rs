//! What a file of results must be before anything is drawn from it: it may come from anywhere.

use super::deployed::Int8;
use super::exam::{Exam, Specimen};
use super::measure::Trained;
use super::results::PartResult;

/// Most seeds, classes, rows or columns of an image, epochs of a run, and images of a test set.
const SEEDS: u32 = 1000;
const CLASSES: usize = 256;
const SIDE: usize = 4096;
const EPOCHS: u32 = 1 << 20;
const IMAGES: u64 = 1 << 30;
/// Largest magnitude of any number.
const LARGEST: f64 = 1e9;

fn number(value: f64) -> bool {
    value.is_finite() && value.abs() <= LARGEST
}

fn image([rows, cols]: [usize; 2], len: usize) -> bool {
    (1..=SIDE).contains(&rows) && (1..=SIDE).contains(&cols) && rows * cols == len
}

fn specimens(all: &[Specimen]) -> bool {
    all.iter().all(|one| image(one.size, one.pixels.len()))
}

impl PartResult {
    /// What is wrong with it, if anything is: sizes that are none, numbers that are none, runs that stand twice.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let unique = |(i, run): (usize, &Trained)| {
            self.runs[..i].iter().all(|other| (&other.name, other.seed) != (&run.name, run.seed))
        };
        let rows =
            || self.rows.iter().flat_map(|row| row.values.iter().copied().chain([row.published]).chain(row.measured));
        let rules = || self.findings.iter().flat_map(|finding| &finding.rules).flat_map(|rule| [rule.left, rule.right]);
        if !(1..=SEEDS).contains(&self.seeds) {
            Some("a number of seeds that is none")
        } else if !specimens(&self.gallery) {
            Some("an image whose size is none")
        } else if !self.runs.iter().enumerate().all(unique) {
            Some("a run that stands twice")
        } else if !rows().chain(rules()).chain([self.seconds]).all(number) {
            Some("a number that is none")
        } else {
            self.runs.iter().find_map(Trained::fault)
        }
    }
}

impl Trained {
    fn fault(&self) -> Option<&'static str> {
        let record = &self.record;
        let result = [
            record.train_loss,
            record.train_accuracy,
            record.val_loss,
            record.val_accuracy,
            record.test_loss,
            record.test_accuracy,
            Some(record.seconds),
        ];
        let epochs = self.history.iter().flat_map(|report| {
            let classes = report.test_per_class_accuracy.iter().copied().flatten();
            let all = [Some(report.train_loss), Some(report.train_accuracy), report.val_loss, report.val_accuracy];
            let test = [report.test_loss, report.test_accuracy, Some(report.lr), Some(report.seconds)];
            all.into_iter().chain(test).flatten().chain(classes)
        });
        if !result.into_iter().flatten().chain(epochs).all(number) {
            Some("a number of a run that is none")
        } else if self.history.iter().any(|report| !(1..=EPOCHS).contains(&report.epoch)) || record.epochs > EPOCHS {
            Some("an epoch that is none")
        } else {
            self.exam.as_ref().and_then(Exam::fault)
        }
    }
}

impl Exam {
    fn fault(&self) -> Option<&'static str> {
        let classes = self.confusion.len();
        let square = (1..=CLASSES).contains(&classes) && self.confusion.iter().all(|row| row.len() == classes);
        let counts = self.confusion.iter().flatten().all(|count| *count <= IMAGES);
        let pictures = self.weights.iter().all(|weights| {
            let whole = |picture: &Vec<f32>| {
                image(weights.size, picture.len()) && picture.iter().all(|x| number(f64::from(*x)))
            };
            (1..=CLASSES).contains(&weights.pictures.len()) && weights.pictures.iter().all(whole)
        });
        let look = self.linear.iter().all(|look| number(look.contrast) && number(look.roughness));
        let image = |int8: &Int8| match int8 {
            Int8::Image(image) | Int8::Not { f16: Some(image), .. } => number(image.loss) && number(image.accuracy),
            Int8::Not { f16: None, .. } => true,
        };
        let int8 = self.int8.iter().all(image);
        let good = int8 && square && counts && pictures && look && number(self.near_zero) && specimens(&self.hardest);
        (!good || !self.wrong.is_sorted()).then_some("an exam that is none")
    }
}

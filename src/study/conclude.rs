//! From trained runs to the results of their part: every network before the test set, and the images that the page shows.

use super::exam::{Exam, Specimen, Wanted};
use super::figure::Figure;
use super::measure::Trained;
use super::results::PartResult;
use super::spec::{Extent, Part, Study};
use crate::data::augment::Augmenter;
use crate::data::{Splits, ValSize};
use crate::kernels::Isa;
use crate::quant::calibrate;
use crate::train::TrainError;
use crate::train::sweep::{Campaign, Record};

/// Images of a gallery of the hardest.
const HARDEST: usize = 12;
/// Training images of a gallery of augmentation, and epochs that each is shown of.
const DIGITS: u32 = 4;
const EPOCHS: u32 = 5;

/// A part that was trained: which, how much of it, and where its runs are.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// The study.
    pub study: &'a Study,
    /// The part of it.
    pub part: &'a Part,
    /// How much of it.
    pub extent: Extent,
    /// Its runs.
    pub campaign: &'a Campaign<'a>,
    /// The data.
    pub splits: &'a Splits,
    /// What networks are evaluated by.
    pub isa: Isa,
}

impl Finished<'_> {
    /// What came out of the runs of `records`. Exams that `earlier` results hold of the same models are taken from there. Runs on the
    /// current rayon pool.
    ///
    /// # Errors
    /// [`TrainError`] if a run's directory cannot be read.
    pub fn conclude(&self, records: Vec<Record>, earlier: &[PartResult]) -> Result<PartResult, TrainError> {
        let trained = records.into_iter().map(|record| self.trained(record, earlier)).collect::<Result<_, _>>()?;
        let mut result = PartResult::of(self.study, self.part, self.extent, trained);
        for figure in &self.part.figures {
            if let Figure::Augmented { run, .. } = figure {
                result.gallery = self.augmented(run)?;
            }
        }
        Ok(result)
    }

    fn trained(&self, record: Record, earlier: &[PartResult]) -> Result<Trained, TrainError> {
        let runs = self.part.runs.len().max(1);
        let (seed, run) = ((record.number - 1) / runs + 1, (record.number - 1) % runs); // both count from 1
        let name = self.part.runs[run].name.clone();
        let history = self.campaign.history(&record)?;
        let mut trained =
            Trained { name, seed: seed as u64, record, history, val_samples: self.val_samples()?, exam: None };
        let Some(sha256) = &trained.record.sha256 else { return Ok(trained) };
        let shows = |figure: &Figure| match figure {
            Figure::Hardest { run, .. } => {
                Wanted { hardest: if *run == trained.name { HARDEST } else { 0 }, weights: false }
            }
            Figure::Weights { .. } => Wanted { hardest: 0, weights: true },
            _ => Wanted::default(),
        };
        // The page shows the first seed.
        let wanted = self.part.figures.iter().filter(|_| seed == 1).map(shows).fold(Wanted::default(), |all, one| {
            Wanted { hardest: all.hardest.max(one.hardest), weights: all.weights || one.weights }
        });
        let mut known = earlier.iter().flat_map(|part| &part.runs).filter_map(|run| run.exam.as_ref());
        trained.exam = match known.find(|exam| exam.serves(sha256, &self.splits.test, wanted)) {
            Some(exam) => Some(exam.clone()),
            None => {
                let file = self.campaign.model(&trained.record);
                // Where everything is cut short, this is too.
                let limit = self.extent.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
                Some(Exam::hold(&file, self.splits, calibrate::IMAGES.min(limit), self.isa, wanted)?)
            }
        };
        Ok(trained)
    }

    /// Samples that the runs keep for validation: all alike, or the part would not compare them.
    fn val_samples(&self) -> Result<u64, TrainError> {
        let split = self.campaign.jobs().next().and_then(|job| job.config.split).unwrap_or(ValSize::Count(0));
        Ok(split.of(self.splits.train.len())? as u64)
    }

    /// The first training images, as they are and as the first epochs of `run` show them.
    fn augmented(&self, run: &str) -> Result<Vec<Specimen>, TrainError> {
        // The first seed of every run comes first, in order.
        let at = self.part.runs.iter().position(|known| known.name == run);
        let Some(job) = at.and_then(|at| self.campaign.jobs().nth(at)) else { return Ok(Vec::new()) };
        let train = &self.splits.train;
        let size = [train.rows(), train.cols()];
        let augmenter = Augmenter::new(&job.config.augment, job.config.seed, size[0], size[1])?;
        let mut scratch = augmenter.scratch();
        let mut gallery = Vec::new();
        for index in 0..DIGITS.min(train.len() as u32) {
            let image = train.image(index as usize);
            let specimen = |caption: String, pixels: &[u8]| Specimen { caption, size, pixels: pixels.to_vec() };
            gallery.push(specimen(format!("#{index}: {}", train.label(index as usize)), image));
            for epoch in 0..EPOCHS {
                let changed = augmenter.epoch(epoch).image(self.isa, index, image, &mut scratch)?;
                gallery.push(specimen(format!("epoch {}", epoch + 1), changed));
            }
        }
        Ok(gallery)
    }
}

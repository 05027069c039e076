//! A trained network before the test set: where it errs, and what its weights look like.

use super::deployed::Int8;
use crate::checkpoint::load_model;
use crate::data::{Dataset, Splits};
use crate::graph::{Op, Param, ParamKind};
use crate::kernels::Isa;
use crate::train::{Evaluator, TrainError};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Weights below this magnitude count as near 0.
pub const NEAR_ZERO: f32 = 1e-3;

/// What a network says of the test set, and its weights where they are a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exam {
    /// SHA-256 of the model file, in hex.
    pub sha256: String,
    /// Those of the test images and their labels.
    pub test: [String; 2],
    /// `confusion[label][read]`, in images.
    pub confusion: Vec<Vec<u64>>,
    /// Which images it reads wrong, in ascending order.
    pub wrong: Vec<u32>,
    /// The images of highest loss, hardest first.
    pub hardest: Vec<Specimen>,
    /// Share of the weights that are near 0; biases left out.
    pub near_zero: f64,
    /// What the weights of a model of one linear layer look like.
    pub linear: Option<Look>,
    /// Those weights, if they are to be shown.
    pub weights: Option<Weights>,
    /// The same network in bytes; none in results of earlier versions.
    #[serde(default)]
    pub int8: Option<Int8>,
}

/// What the pictures of a linear model's weights look like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Standard deviation of all weights.
    pub contrast: f64,
    /// Mean difference of neighbours, in contrasts.
    pub roughness: f64,
}

/// What of an exam is to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How many of the hardest images.
    pub hardest: usize,
    /// Whether the weights of a linear model.
    pub weights: bool,
}

/// An image to be shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Specimen {
    /// What is to be read under it.
    pub caption: String,
    /// Rows and columns.
    pub size: [usize; 2],
    /// Grey values, row by row.
    pub pixels: Vec<u8>,
}

/// The weights of a linear model: one picture for each class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// Rows and columns of a picture.
    pub size: [usize; 2],
    /// By class, row by row.
    pub pictures: Vec<Vec<f32>>,
}

impl Exam {
    /// Of the model in `file` over the test set, with what is to be shown of it, in bytes by `calibration` training images. Runs on the
    /// current rayon pool.
    ///
    /// # Errors
    /// [`TrainError`] if the file is no model, or one of images of another size.
    pub fn hold(
        file: &Path,
        splits: &Splits,
        calibration: usize,
        isa: Isa,
        wanted: Wanted,
    ) -> Result<Self, TrainError> {
        let (model, test) = (load_model(file)?, &splits.test);
        let int8 = Some(Int8::of(&model, splits, calibration, isa));
        let mut evaluator = Evaluator::new(&model.graph, isa)?;
        let metrics = evaluator.evaluate(&model.params, test, &model.meta.normalize, None, wanted.hardest)?;
        let specimen = |hard: &crate::train::Hard| Specimen {
            caption: format!("#{}: {}, read as {}, loss {:.1}", hard.index, hard.label, hard.predicted, hard.loss),
            size: [test.rows(), test.cols()],
            pixels: test.image(hard.index as usize).to_vec(),
        };
        let hardest = metrics.hardest.iter().map(specimen).collect();
        let size = [test.rows(), test.cols()];
        let is_weight = |param: &&Param| param.kind == ParamKind::Weight;
        let of_param = |param: &Param| &model.params[param.offset..param.offset + param.len];
        let all = || model.graph.params().iter().filter(is_weight).flat_map(of_param);
        let (count, near) = (all().count(), all().filter(|value| value.abs() < NEAR_ZERO).count());
        let mut others = model.graph.nodes().iter().filter(|node| node.op != Op::Flatten);
        let linear = matches!(others.next().map(|node| node.op), Some(Op::Linear { .. })) && others.next().is_none();
        let pictures = linear.then(|| {
            let values: Vec<f32> = all().copied().collect();
            Weights { size, pictures: values.chunks_exact(size[0] * size[1]).map(<[f32]>::to_vec).collect() }
        });
        let near_zero = near as f64 / f64::max(count as f64, 1.0);
        let look = |weights: &Weights| Look { contrast: weights.contrast(), roughness: weights.roughness() };
        let (linear, weights) = (pictures.as_ref().map(look), pictures.filter(|_| wanted.weights));
        let (sha256, confusion, wrong) = (model.sha256, metrics.confusion, metrics.wrong);
        let test = test.sha256().clone();
        Ok(Self { sha256, test, confusion, wrong, hardest, near_zero, linear, weights, int8 })
    }

    /// Whether it is that of the model with this checksum before `test` and shows what is wanted.
    #[must_use]
    pub fn serves(&self, sha256: &str, test: &Dataset, wanted: Wanted) -> bool {
        let shows = self.weights.is_some() == (wanted.weights && self.linear.is_some());
        self.sha256 == sha256
            && self.test == *test.sha256()
            && self.hardest.len() as u64 == (wanted.hardest as u64).min(self.samples())
            && self.int8.is_some()
            && shows
    }

    /// How many images there were.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.confusion.iter().flatten().sum()
    }

    /// The part of the images that are read right.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right: u64 = self.confusion.iter().enumerate().filter_map(|(label, row)| row.get(label)).sum();
        right as f64 / f64::max(self.samples() as f64, 1.0)
    }

    /// Points of accuracy that the network loses in bytes; none if it has none.
    #[must_use]
    pub fn int8_loss(&self) -> Option<f64> {
        Some(100.0 * (self.accuracy() - self.int8.as_ref()?.image()?.accuracy))
    }

    /// The part of the images of `label` that is read as `read`; none if there are none.
    #[must_use]
    pub fn share(&self, label: u8, read: u8) -> Option<f64> {
        let row = self.confusion.get(usize::from(label))?;
        let total: u64 = row.iter().sum();
        let read = *row.get(usize::from(read))?;
        (total > 0).then(|| read as f64 / total as f64)
    }
}

impl Weights {
    /// Standard deviation of all weights.
    #[must_use]
    pub fn contrast(&self) -> f64 {
        let values = || self.pictures.iter().flatten().map(|value| f64::from(*value));
        let count = f64::max(values().count() as f64, 1.0);
        let mean = values().sum::<f64>() / count;
        (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
    }

    /// Mean difference of weights next to each other in a row or a column, divided by the contrast: that of noise is 1.1, of a smooth
    /// picture less.
    #[must_use]
    pub fn roughness(&self) -> f64 {
        let (mut sum, mut pairs) = (0.0, 0u32);
        let cols = self.size[1];
        for picture in &self.pictures {
            for (at, value) in picture.iter().enumerate() {
                let right = (at % cols + 1 < cols).then(|| picture.get(at + 1)).flatten();
                for next in right.into_iter().chain(picture.get(at + cols)) {
                    sum += f64::from((value - next).abs());
                    pairs += 1;
                }
            }
        }
        let contrast = self.contrast();
        if contrast > 0.0 { sum / f64::from(pairs.max(1)) / contrast } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_and_roughness_by_hand() {
        let weights = Weights { size: [2, 2], pictures: vec![vec![1.0, -1.0, 1.0, -1.0]] };
        // Two differences of 2 in the rows, two of 0 in the columns.
        assert_eq!((weights.contrast(), weights.roughness()), (1.0, 1.0));
        let flat = Weights { size: [1, 2], pictures: vec![vec![0.5; 2]] };
        assert_eq!((flat.contrast(), flat.roughness()), (0.0, 0.0));
    }

    #[test]
    fn shares_are_of_the_images_of_a_digit() {
        let exam = Exam {
            sha256: String::new(),
            test: Default::default(),
            confusion: vec![vec![3, 1], vec![0, 0]],
            wrong: vec![2],
            hardest: Vec::new(),
            near_zero: 0.0,
            linear: None,
            weights: None,
            int8: None,
        };
        assert_eq!((exam.accuracy(), exam.int8_loss()), (0.75, None));
        assert_eq!((exam.samples(), exam.share(0, 1), exam.share(1, 0), exam.share(2, 0)), (4, Some(0.25), None, None));
    }
}

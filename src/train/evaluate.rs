//! A network over a whole data set: loss, accuracy, confusion, hardest samples.

use super::TrainError;
use super::gather::{View, gather};
use super::loss::argmax;
use super::metrics::{Hard, Metrics, Tally};
use super::network::Network;
use super::spread::Workers;
use crate::data::{Dataset, Normalize, batch};
use crate::error::ShapeError;
use crate::graph::{Graph, GraphError, Plan};
use crate::kernels::Isa;

/// Most samples in a batch: large enough for the products to reach their speed, small enough for the caches.
pub const BATCH: usize = 500;

/// Floats of an arena beyond which a batch is made smaller: the values of images are many, and more than the caches hold gain nothing.
const ARENA: usize = 2 << 20;

/// Samples of a batch to evaluate `graph` by: [`BATCH`], or fewer where the values of so many would not stay in any cache.
///
/// # Errors
/// [`GraphError`] if the arena cannot be planned.
pub fn batch_of(graph: &Graph) -> Result<usize, GraphError> {
    let one = Plan::inference(graph, 1)?.arena_len();
    Ok((ARENA / one.max(1)).clamp(1, BATCH))
}

/// Runs a network over data sets, forward only, in an arena of its own.
#[derive(Clone, Debug)]
pub struct Evaluator {
    isa: Isa,
    network: Network,
    indices: Vec<u32>,
    labels: Vec<u8>,
    /// Logarithms of the sums of probabilities over moves of a batch.
    log_sums: Vec<f32>,
}

impl Evaluator {
    /// For `graph`, in batches of [`batch_of`] it.
    ///
    /// # Errors
    /// [`TrainError::Graph`] if the arena cannot be planned.
    pub fn new(graph: &Graph, isa: Isa) -> Result<Self, TrainError> {
        let batch = batch_of(graph)?;
        Ok(Self {
            isa,
            network: Network::inference(graph, batch, isa)?,
            indices: Vec::with_capacity(batch),
            labels: vec![0; batch],
            log_sums: Vec::new(),
        })
    }

    /// Evaluates the samples `indices` of `data`, or all of them, and keeps the `keep` hardest. Runs on the current rayon pool;
    /// results do not depend on its threads.
    ///
    /// # Errors
    /// [`TrainError`] if `params` are not the graph's, the images have another size than its input, or there are more classes
    /// than logits.
    pub fn evaluate(
        &mut self,
        params: &[f32],
        data: &Dataset,
        normalize: &Normalize,
        indices: Option<&[u32]>,
        keep: usize,
    ) -> Result<Metrics, TrainError> {
        self.evaluate_shifted(params, data, normalize, indices, keep, 0)
    }

    /// As [`evaluate`](Self::evaluate), with the mean of the probabilities over all moves of each image by up to `shift` pixels down or up and right
    /// or left: `(2·shift + 1)²` of them, and as many times the work.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    pub fn evaluate_shifted(
        &mut self,
        params: &[f32],
        data: &Dataset,
        normalize: &Normalize,
        indices: Option<&[u32]>,
        keep: usize,
        shift: u8,
    ) -> Result<Metrics, TrainError> {
        let classes = self.network.classes();
        if data.classes() > classes {
            let (expected, found) = (format!("{} or more", data.classes()), classes.to_string());
            return Err(TrainError::Mismatch { what: "outputs of the network, one for each class", expected, found });
        }
        let samples = indices.map_or(data.len(), <[u32]>::len);
        let mut tally = Tally::new(classes, keep);
        let workers = Workers::default();
        let most = self.network.capacity();
        for start in (0..samples).step_by(most) {
            let rows = most.min(samples - start);
            let batch: &[u32] = match indices {
                Some(indices) => &indices[start..start + rows],
                None => {
                    self.indices.clear();
                    for index in start..start + rows {
                        self.indices.push(u32::try_from(index).map_err(|_| ShapeError::Overflow)?);
                    }
                    &self.indices
                }
            };
            let labels = &mut self.labels[..rows];
            batch::fill_labels(data, batch, labels)?;
            if shift == 0 {
                gather(self.isa, data, normalize, View::Plain, batch, self.network.input_mut(rows)?, &workers)?;
                self.network.evaluate_filled(params, labels)?;
                let rows_of = self.network.log_probs(rows).chunks_exact(classes);
                let scores = rows_of.map(argmax).zip(self.network.losses(rows));
                for ((&index, &label), (predicted, &loss)) in batch.iter().zip(&*labels).zip(scores) {
                    tally.add(Hard { index, label, predicted: predicted as u32, loss });
                }
                continue;
            }
            self.log_sums.clear();
            self.log_sums.resize(rows * classes, f32::NEG_INFINITY);
            let by = isize::from(shift);
            for (down, right) in (-by..=by).flat_map(|down| (-by..=by).map(move |right| (down, right))) {
                let view = View::Moved([down, right]);
                gather(self.isa, data, normalize, view, batch, self.network.input_mut(rows)?, &workers)?;
                self.network.evaluate_filled(params, labels)?;
                for (sum, log_prob) in self.log_sums.iter_mut().zip(self.network.log_probs(rows)) {
                    *sum = log_add(*sum, *log_prob);
                }
            }
            let moves = (2.0 * f32::from(shift) + 1.0).powi(2);
            for ((&index, &label), sums) in batch.iter().zip(&*labels).zip(self.log_sums.chunks_exact(classes)) {
                let loss = moves.ln() - sums[usize::from(label)];
                tally.add(Hard { index, label, predicted: argmax(sums) as u32, loss });
            }
        }
        Ok(tally.finish())
    }
}

/// `ln(eᵃ + eᵇ)`, also where neither power is large enough for an f32; NaN stays.
fn log_add(a: f32, b: f32) -> f32 {
    let (high, low) = if a < b { (b, a) } else { (a, b) };
    if high == f32::NEG_INFINITY { low } else { high + (low - high).exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_probabilities_too_small_for_a_float_keep_their_logarithm() {
        assert_eq!(log_add(f32::NEG_INFINITY, -300.0), -300.0);
        assert_eq!(log_add(f32::NEG_INFINITY, f32::NEG_INFINITY), f32::NEG_INFINITY);
        assert!((log_add(-300.0, -300.0) - (-300.0 + 2f32.ln())).abs() < 1e-4);
        assert!((log_add(0.25f32.ln(), 0.5f32.ln()) - 0.75f32.ln()).abs() < 1e-6);
        assert_eq!(log_add(0.0, -1000.0), 0.0);
        for other in [0.0, f32::NEG_INFINITY] {
            assert!(log_add(f32::NAN, other).is_nan() && log_add(other, f32::NAN).is_nan());
        }
    }
}

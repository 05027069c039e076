//! How many bytes training takes, before it begins.

use super::TrainError;
use super::evaluate::batch_of;
use super::half;
use super::layer::Layer;
use super::lit::Lit;
use super::network::Network;
use super::optimizer::OptimizerKind;
use crate::graph::{Graph, Plan};
use crate::kernels::Isa;
use crate::kernels::pixels::Pixels;

/// Bytes of everything that a trainer keeps, beside the data set and the program itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// The weights; once more with a validation set, for those of the best epoch, and once more for their average.
    pub weights: u64,
    /// Their gradients.
    pub gradients: u64,
    /// What the optimizer remembers of earlier gradients.
    pub moments: u64,
    /// The arena: what the layers compute of a batch, and gradients by it.
    pub values: u64,
    /// The kernels' working memory: packed operands, transformed images, sums of each thread.
    pub scratch: u64,
    /// Arena and scratch of the evaluation after each epoch.
    pub evaluation: u64,
    /// The order of the samples, their labels, and either the raw pixels of a batch and where they hold ink, if the network reads those, or which
    /// pixels of each sample are not 0, if it can leave the others out.
    pub samples: u64,
}

/// What decides the memory of a trainer beside its network.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Samples in an update.
    pub batch: usize,
    /// Threads that work on it.
    pub threads: usize,
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// How gradients become updates.
    pub optimizer: OptimizerKind,
    /// Whether the weights are averaged.
    pub average: bool,
    /// Samples that are trained on.
    pub train: usize,
    /// Samples kept for validation.
    pub val: usize,
}

impl Memory {
    /// Of training `graph`.
    ///
    /// # Errors
    /// [`TrainError::Graph`] if an arena cannot be planned.
    pub fn of(graph: &Graph, run: Run) -> Result<Self, TrainError> {
        let floats = |count: usize| (count as u64).saturating_mul(4);
        let batch = run.batch.min(run.train).max(1);
        let training = Plan::training(graph, batch)?;
        let evaluated = batch_of(graph)?;
        let inference = Plan::inference(graph, evaluated)?;
        let last = run.train.max(1) - (run.train.max(1) - 1) / batch * batch;
        let scratch = |plan: &Plan, rows: &[usize]| Network::scratch_len(graph, plan, rows, run.threads);
        let (layers, width) = (Layer::all(graph, &training), graph.input_shape().elements());
        let takes_pixels = layers.iter().any(|layer| layer.takes_pixels(run.isa));
        let ink = |rows| (Pixels::ink_len(rows, width) as u64).saturating_mul(8);
        let shown = if takes_pixels {
            (batch as u64).saturating_mul(width as u64) + ink(batch) + half::samples(graph, batch).map_or(0, ink)
        } else if layers.iter().any(|layer| layer.takes_columns().is_some()) {
            Lit::bytes(run.train + run.val, width)
        } else {
            0
        };
        let half = match half::samples(graph, batch).filter(|_| takes_pixels) {
            Some(samples) => Some((Plan::training(graph, samples)?, samples)),
            None => None,
        };
        let half_scratch =
            half.as_ref().map_or(Ok(0), |(plan, samples)| scratch(plan, &[*samples, last - half::first(last)]))?;
        let weights = floats(graph.weights_len()) * (1 + u64::from(run.val > 0) + u64::from(run.average));
        Ok(Self {
            weights,
            gradients: floats(graph.param_count()) * (1 + u64::from(half.is_some())),
            moments: floats(graph.param_count()) * run.optimizer.moments() as u64,
            values: floats(training.arena_len() + half.as_ref().map_or(0, |(plan, _)| plan.arena_len())),
            scratch: floats(scratch(&training, &[batch, last])? + half_scratch),
            evaluation: floats(inference.arena_len() + scratch(&inference, &[evaluated])?),
            samples: floats(2 * run.train + run.val).saturating_add(shown),
        })
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self { weights, gradients, moments, values, scratch, evaluation, samples } = *self;
        [weights, gradients, moments, values, scratch, evaluation, samples].into_iter().fold(0, u64::saturating_add)
    }
}

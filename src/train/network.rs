//! A graph that runs, forward and backward, over one arena: what trains, what evaluates and what the gradient check checks.

use super::TrainError;
use super::given::{Given, Shown};
use super::half::{self, Half};
use super::layer::{Layer, Pass, Place};
use super::loss::{self, BatchLoss};
use super::objective::Objective;
use super::ops::batch_norm::MOMENTUM;
use super::raw::Raw;
use crate::error::ShapeError;
use crate::graph::{Graph, Plan, TensorId};
use crate::kernels::columns::Columns;
use crate::kernels::dropout::Key;
use crate::kernels::pixels::Pixels;
use crate::kernels::{Activation, Isa, elementwise};
use std::ops::Range;

/// A graph compiled for batches of up to a fixed size on one instruction set. Nothing allocates after the first batch of each size.
///
/// Weights are the caller's: one flat vector laid out by [`Graph::params`] with the running statistics behind, and gradients alike but
/// without these. The layers run on the current rayon pool; results do not depend on its threads.
#[derive(Clone, Debug)]
pub struct Network {
    isa: Isa,
    capacity: usize,
    param_count: usize,
    weights_len: usize,
    layers: Vec<Layer>,
    input: Place,
    logits: Place,
    d_logits: Option<Place>,
    arena: Vec<f32>,
    losses: Vec<f32>,
    scratch: Vec<f32>,
    /// What the next batch was filled with.
    given: Given,
    /// Which of its pixels hold ink, if the first layer reads those.
    ink: Vec<u64>,
    /// What learns from the second half of a batch of pixels beside the first.
    half: Option<Box<Half>>,
    /// Batch sizes, and threads, that the scratch was measured for.
    prepared: Vec<(usize, usize)>,
}

impl Network {
    /// For training: batches of up to `batch` samples, forward and backward.
    ///
    /// # Errors
    /// [`TrainError::Graph`] if the arena cannot be planned.
    pub fn new(graph: &Graph, batch: usize, isa: Isa) -> Result<Self, TrainError> {
        let mut network = Self::alone(graph, batch, isa)?;
        let (width, takes_pixels) = (network.input.width, !network.ink.is_empty());
        network.given = Given::new(width, if takes_pixels { network.capacity * width } else { 0 });
        network.half = if takes_pixels { Half::of(graph, batch, isa)? } else { None };
        Ok(network)
    }

    /// For training, by itself and without room for a batch in another form than floats.
    pub(super) fn alone(graph: &Graph, batch: usize, isa: Isa) -> Result<Self, TrainError> {
        let mut network = Self::compile(graph, &Plan::training(graph, batch)?, isa)?;
        let takes_pixels = network.layers.iter().any(|layer| layer.takes_pixels(isa));
        let words = Pixels::ink_len(network.capacity, network.input.width);
        network.ink = vec![0; if takes_pixels { words } else { 0 }];
        Ok(network)
    }

    /// For evaluation: forward only, in a smaller arena.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn inference(graph: &Graph, batch: usize, isa: Isa) -> Result<Self, TrainError> {
        Self::compile(graph, &Plan::inference(graph, batch)?, isa)
    }

    fn compile(graph: &Graph, plan: &Plan, isa: Isa) -> Result<Self, TrainError> {
        let width = |tensor| graph.shape(tensor).elements();
        let value = |tensor| Place { start: plan.value(tensor).start, width: width(tensor) };
        let gradient = |tensor| plan.gradient(tensor).map(|range| Place { start: range.start, width: width(tensor) });
        let mut network = Self {
            isa,
            capacity: plan.batch(),
            param_count: graph.param_count(),
            weights_len: graph.weights_len(),
            layers: Layer::all(graph, plan),
            input: value(TensorId(0)),
            logits: value(graph.output()),
            d_logits: gradient(graph.output()),
            arena: vec![0.0; plan.arena_len()],
            losses: vec![0.0; plan.batch()],
            scratch: Vec::new(),
            given: Given::default(),
            ink: Vec::new(),
            half: None,
            prepared: Vec::new(),
        };
        network.prepare(plan.batch())?;
        Ok(network)
    }

    /// Floats of scratch that a network of this plan needs for batches of these numbers of samples, on `threads` threads.
    ///
    /// # Errors
    /// [`ShapeError::Overflow`] if a batch would not fit in memory.
    pub fn scratch_len(graph: &Graph, plan: &Plan, rows: &[usize], threads: usize) -> Result<usize, ShapeError> {
        let layers = Layer::all(graph, plan);
        rows.iter().try_fold(0, |most, rows| Ok(scratch_len(&layers, *rows, threads)?.max(most)))
    }

    /// Most samples in a batch.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Logits of a sample.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.logits.width
    }

    /// Makes room for batches of `rows` samples, so that running one does not allocate.
    ///
    /// # Errors
    /// [`ShapeError::TooShort`] if the arena holds fewer.
    pub fn prepare(&mut self, rows: usize) -> Result<(), ShapeError> {
        if rows > self.capacity {
            return Err(ShapeError::TooShort { what: "the arena, in samples,", needed: rows, got: self.capacity });
        }
        let threads = rayon::current_num_threads();
        if self.prepared.contains(&(rows, threads)) {
            return Ok(());
        }
        let needed = scratch_len(&self.layers, rows, threads)?;
        if needed > self.scratch.len() {
            self.scratch.resize(needed, 0.0);
        }
        self.prepared.push((rows, threads));
        match &mut self.half {
            Some(half) if rows > half::first(rows) => half.network.prepare(rows - half::first(rows)),
            _ => Ok(()),
        }
    }

    /// Where the pixels of the next batch go: `[rows, input]`. Whoever fills it saves a copy.
    ///
    /// # Errors
    /// [`ShapeError::TooShort`] if the arena holds fewer samples.
    pub fn input_mut(&mut self, rows: usize) -> Result<&mut [f32], ShapeError> {
        self.prepare(rows)?;
        self.given.whole();
        Ok(&mut self.arena[self.input.rows(rows)])
    }

    /// The outputs of the linear layer that comes first, if one does: then some columns of the input are enough where the others are 0.
    #[must_use]
    pub fn takes_columns(&self) -> Option<usize> {
        self.layers.iter().find_map(Layer::takes_columns)
    }

    /// Where the next batch goes if all of it is 0 but in some columns: these alone, `[rows, columns]`. Its products are as much smaller, its sums
    /// the same but for the order in which they are rounded.
    ///
    /// # Errors
    /// As [`input_mut`](Self::input_mut), and [`ShapeError::Length`] if the columns are none, or not of the input of a network that
    /// [`takes_columns`](Self::takes_columns).
    pub fn input_columns_mut(&mut self, rows: usize, runs: &[Range<usize>]) -> Result<&mut [f32], ShapeError> {
        let columns = Columns::new(runs, self.input.width)?;
        if columns.count() == 0 || self.takes_columns().is_none() {
            let (expected, got) = (self.input.width, columns.count());
            return Err(ShapeError::Length { what: "the columns of an input that needs all,", expected, got });
        }
        self.prepare(rows)?;
        self.given.columns(runs);
        let start = self.input.start;
        Ok(&mut self.arena[start..start + rows * columns.count()])
    }

    /// Whether the first layer reads raw bytes where that is faster than converting them: [`input_pixels_mut`](Self::input_pixels_mut).
    #[must_use]
    pub fn takes_pixels(&self) -> bool {
        self.given.capacity() > 0
    }

    /// Where the raw pixels of the next batch go, `[rows, input]`, that stand for `pixel · scale + offset`.
    ///
    /// # Errors
    /// As [`input_mut`](Self::input_mut), and [`ShapeError::TooShort`] for a network that does not [take](Self::takes_pixels) pixels.
    pub fn input_pixels_mut(&mut self, rows: usize, [scale, offset]: [f32; 2]) -> Result<&mut [u8], ShapeError> {
        self.prepare(rows)?;
        self.given.pixels_mut(rows * self.input.width, [scale, offset])
    }

    /// Copies `x [rows, input]` in and returns its rows.
    fn take_input(&mut self, x: &[f32]) -> Result<usize, ShapeError> {
        let rows = x.len() / self.input.width;
        if rows == 0 || rows * self.input.width != x.len() {
            let expected = rows.max(1) * self.input.width;
            return Err(ShapeError::Length { what: "the input", expected, got: x.len() });
        }
        self.input_mut(rows)?.copy_from_slice(x);
        Ok(rows)
    }

    /// The logits `[rows, classes]` of the inputs `x [rows, input]`.
    ///
    /// # Errors
    /// [`TrainError::Shape`] if `x` is not a whole number of rows that fit in the arena, or `params` has another length.
    pub fn forward(&mut self, params: &[f32], x: &[f32]) -> Result<&[f32], TrainError> {
        let rows = self.take_input(x)?;
        self.forward_filled(params, rows)
    }

    /// As [`forward`](Self::forward), of the inputs that [`input_mut`](Self::input_mut) was filled with.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_filled(&mut self, params: &[f32], rows: usize) -> Result<&[f32], TrainError> {
        self.run(params, rows, None)?;
        Ok(&self.arena[self.logits.rows(rows)])
    }

    /// The layers of a forward pass; with a `key` as in training.
    fn run(&mut self, weights: &[f32], rows: usize, key: Option<Key>) -> Result<(), ShapeError> {
        self.prepare(rows)?;
        check_len("the weights", self.weights_len, weights.len())?;
        let Self { isa, layers, arena, scratch, given, input, .. } = self;
        let shown = given.shown(rows, input.width)?;
        let mut pass = Pass { isa: *isa, rows, weights, arena, scratch, key, shown };
        layers.iter().try_for_each(|layer| layer.forward(&mut pass))
    }

    /// Mean loss of the samples `x` with their `labels`, and its gradient by every parameter, written to `grads`.
    ///
    /// This is the very pass that trains: batch norms take the statistics of the batch, dropouts draw by the key of `objective`. Before a pass
    /// the arena holds what the last one left: nothing is assumed of it.
    ///
    /// # Errors
    /// [`TrainError::Shape`] if the lengths do not fit, or a label is not below the number of classes.
    pub fn loss_and_gradient(
        &mut self,
        weights: &[f32],
        x: &[f32],
        labels: &[u8],
        objective: Objective,
        grads: &mut [f32],
    ) -> Result<BatchLoss, TrainError> {
        let rows = self.take_input(x)?;
        check_len("the labels", rows, labels.len())?;
        self.loss_and_gradient_filled(weights, labels, objective, grads)
    }

    /// As [`loss_and_gradient`](Self::loss_and_gradient), of the inputs that [`input_mut`](Self::input_mut) was filled with.
    ///
    /// # Errors
    /// As [`loss_and_gradient`](Self::loss_and_gradient).
    pub fn loss_and_gradient_filled(
        &mut self,
        weights: &[f32],
        labels: &[u8],
        objective: Objective,
        grads: &mut [f32],
    ) -> Result<BatchLoss, TrainError> {
        self.learn_from(None, weights, labels, objective, grads)
    }

    /// As [`loss_and_gradient`](Self::loss_and_gradient), of raw pixels that each part of the step fetches for itself.
    pub(super) fn loss_and_gradient_fetched(
        &mut self,
        weights: &[f32],
        labels: &[u8],
        objective: Objective,
        grads: &mut [f32],
        raw: &Raw<'_>,
    ) -> Result<BatchLoss, TrainError> {
        let len = labels.len() * self.input.width;
        self.given.pixels_mut(len, raw.affine)?;
        self.learn_from(Some(raw), weights, labels, objective, grads)
    }

    /// Of what was given, or is yet to be fetched to where bytes are given.
    fn learn_from(
        &mut self,
        raw: Option<&Raw<'_>>,
        weights: &[f32],
        labels: &[u8],
        objective: Objective,
        grads: &mut [f32],
    ) -> Result<BatchLoss, TrainError> {
        let rows = labels.len();
        check_len("the gradient", self.param_count, grads.len())?;
        if self.d_logits.is_none() && self.param_count > 0 {
            let (expected, found) = ("Network::new".to_owned(), "Network::inference".to_owned());
            return Err(TrainError::Mismatch { what: "a network with a backward pass", expected, found });
        }
        self.prepare(rows)?;
        check_len("the weights", self.weights_len, weights.len())?;
        // Taken out, as they are used beside the rest.
        let (mut given, mut half) = (std::mem::take(&mut self.given), self.half.take());
        let batch = self.learn_given(&mut given, half.as_deref_mut(), raw, weights, labels, objective, grads);
        (self.given, self.half) = (given, half);
        Ok(batch?)
    }

    #[expect(clippy::too_many_arguments, reason = "a step's, and what was taken out of the network")]
    fn learn_given(
        &mut self,
        given: &mut Given,
        half: Option<&mut Half>,
        raw: Option<&Raw<'_>>,
        weights: &[f32],
        labels: &[u8],
        objective: Objective,
        grads: &mut [f32],
    ) -> Result<BatchLoss, ShapeError> {
        let (rows, width) = (labels.len(), self.input.width);
        if let Some((bytes, affine)) = given.given_pixels(rows * width) {
            if let Some(half) = half.filter(|_| rows > half::first(rows)) {
                return self.learn_halves(half, (bytes, affine, raw), weights, labels, objective, grads);
            }
            if let Some(raw) = raw {
                raw.fetch_all(bytes)?;
            }
        }
        self.learn(given.shown(rows, width)?, weights, labels, objective, objective.reduction.scale(rows), grads)
    }

    /// The two halves of a batch side by side, and the sum of their gradients.
    fn learn_halves(
        &mut self,
        half: &mut Half,
        (bytes, affine, raw): (&mut [u8], [f32; 2], Option<&Raw<'_>>),
        weights: &[f32],
        labels: &[u8],
        objective: Objective,
        grads: &mut [f32],
    ) -> Result<BatchLoss, ShapeError> {
        let (rows, width) = (labels.len(), self.input.width);
        let (scale, at) = (objective.reduction.scale(rows), half::first(rows));
        let (left, right) = bytes.split_at_mut(at * width);
        let (left_labels, right_labels) = labels.split_at(at);
        let Half { network, grads: others } = half;
        let (first, second) = rayon::join(
            || {
                let x = shown_pixels(raw, (0, at), left, width, affine)?;
                self.learn(x, weights, left_labels, objective, scale, grads)
            },
            || {
                let x = shown_pixels(raw, (at, rows), right, width, affine)?;
                network.learn(x, weights, right_labels, objective, scale, others)
            },
        );
        let batch = first? + second?;
        elementwise::add_assign(self.isa, Activation::Identity, grads, others)?;
        Ok(batch)
    }

    /// Forward, loss and backward of these rows, each sample's gradient times `scale`.
    fn learn(
        &mut self,
        shown: Shown<'_>,
        weights: &[f32],
        labels: &[u8],
        objective: Objective,
        scale: f32,
        grads: &mut [f32],
    ) -> Result<BatchLoss, ShapeError> {
        let rows = labels.len();
        let Self { isa, layers, arena, scratch, losses, ink, .. } = self;
        let (logits, losses) = (self.logits.rows(rows), &mut losses[..rows]);
        let shown = match shown {
            Shown::Pixels(x) => Shown::Pixels(x.with_ink(*isa, ink)?),
            floats => floats,
        };
        let mut pass = Pass { isa: *isa, rows, weights, arena, scratch, key: Some(objective.key), shown };
        layers.iter().try_for_each(|layer| layer.forward(&mut pass))?;
        let Some(d_logits) = self.d_logits.map(|place| place.rows(rows)) else {
            return loss::nll(*isa, &mut pass.arena[logits], labels, losses);
        };
        if logits.start != d_logits.start {
            pass.arena.copy_within(logits, d_logits.start);
        }
        let d_logits = &mut pass.arena[d_logits];
        let batch = loss::cross_entropy(*isa, d_logits, labels, scale, losses)?;
        if objective.smoothing > 0.0 {
            loss::smooth(d_logits, labels, scale, objective.smoothing)?;
        }
        layers.iter().rev().try_for_each(|layer| layer.backward(&mut pass, grads))?;
        Ok(batch)
    }

    /// Lets the running statistics in `weights` take over their part of those of the batch that was just trained on, of `rows` samples.
    ///
    /// # Errors
    /// [`TrainError::Shape`] if `weights` has another length.
    pub fn update_running(&self, weights: &mut [f32], rows: usize) -> Result<(), TrainError> {
        Ok(self.take_statistics(weights, rows, f64::from(MOMENTUM))?)
    }

    fn take_statistics(&self, weights: &mut [f32], rows: usize, momentum: f64) -> Result<(), ShapeError> {
        check_len("the weights", self.weights_len, weights.len())?;
        self.layers.iter().try_for_each(|layer| layer.update_running(rows, momentum, &self.arena, weights))
    }

    /// Whether the weights end with running statistics.
    #[must_use]
    pub fn has_running(&self) -> bool {
        self.weights_len > self.param_count
    }

    /// Makes the running statistics in `weights` the mean over several batches: each of them goes forward as in training and takes its part.
    /// This is batch number `number`, from 0, of `rows` samples, that [`input_mut`](Self::input_mut) was filled with.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn measure_running(
        &mut self,
        weights: &mut [f32],
        rows: usize,
        key: Key,
        number: usize,
    ) -> Result<(), TrainError> {
        self.run(weights, rows, Some(key))?;
        Ok(self.take_statistics(weights, rows, 1.0 / (number as f64 + 1.0))?)
    }

    /// The first layer that makes something infinite or NaN of finite numbers, of the training pass over the `rows` samples that
    /// [`input_mut`](Self::input_mut) was filled with; none if all numbers are finite, or the inputs are not.
    ///
    /// # Errors
    /// As [`loss_and_gradient`](Self::loss_and_gradient).
    pub fn first_not_finite(
        &mut self,
        weights: &[f32],
        objective: Objective,
        rows: usize,
    ) -> Result<Option<&str>, TrainError> {
        self.prepare(rows)?;
        check_len("the weights", self.weights_len, weights.len())?;
        self.given.whole();
        let Self { isa, layers, arena, scratch, .. } = self;
        if arena[self.input.rows(rows)].iter().any(|x| !x.is_finite()) {
            return Ok(None);
        }
        let mut pass = Pass { isa: *isa, rows, weights, arena, scratch, key: Some(objective.key), shown: Shown::Whole };
        for layer in layers.iter() {
            layer.forward(&mut pass)?;
            if pass.arena[layer.output().rows(rows)].iter().any(|x| !x.is_finite()) {
                return Ok(Some(&layer.name));
            }
        }
        Ok(None)
    }

    /// Loss of the samples `x` with their `labels`; [`losses`](Self::losses) then holds each sample's.
    ///
    /// # Errors
    /// As [`loss_and_gradient`](Self::loss_and_gradient).
    pub fn evaluate(&mut self, params: &[f32], x: &[f32], labels: &[u8]) -> Result<BatchLoss, TrainError> {
        let rows = self.take_input(x)?;
        check_len("the labels", rows, labels.len())?;
        self.evaluate_filled(params, labels)
    }

    /// As [`evaluate`](Self::evaluate), of the inputs that [`input_mut`](Self::input_mut) was filled with.
    ///
    /// # Errors
    /// As [`loss_and_gradient`](Self::loss_and_gradient).
    pub fn evaluate_filled(&mut self, params: &[f32], labels: &[u8]) -> Result<BatchLoss, TrainError> {
        let rows = labels.len();
        self.forward_filled(params, rows)?;
        let (logits, losses) = (&mut self.arena[self.logits.rows(rows)], &mut self.losses[..rows]);
        Ok(loss::nll(self.isa, logits, labels, losses)?)
    }

    /// The loss of each sample of the last batch of `rows` that was [evaluated](Self::evaluate).
    #[must_use]
    pub fn losses(&self, rows: usize) -> &[f32] {
        &self.losses[..rows.min(self.capacity)]
    }

    /// The log-probabilities `[rows, classes]` of the last batch, of `rows` samples, that was evaluated.
    #[must_use]
    pub fn log_probs(&self, rows: usize) -> &[f32] {
        &self.arena[self.logits.rows(rows.min(self.capacity))]
    }
}

/// Floats of scratch for the hungriest layer.
fn scratch_len(layers: &[Layer], rows: usize, threads: usize) -> Result<usize, ShapeError> {
    layers.iter().try_fold(0, |most, layer| Ok(layer.scratch_len(rows, threads)?.max(most)))
}

/// Rows `from..to` of a batch, in `bytes`, to where they are fetched if they do not lie there yet.
fn shown_pixels<'b>(
    raw: Option<&Raw<'_>>,
    (from, to): (usize, usize),
    bytes: &'b mut [u8],
    width: usize,
    [scale, offset]: [f32; 2],
) -> Result<Shown<'b>, ShapeError> {
    if let Some(raw) = raw {
        raw.fetch((from, to), bytes)?;
    }
    Ok(Shown::Pixels(Pixels::new(bytes, to - from, width, scale, offset)?))
}

fn check_len(what: &'static str, expected: usize, got: usize) -> Result<(), ShapeError> {
    if got == expected { Ok(()) } else { Err(ShapeError::Length { what, expected, got }) }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list of runs may hold one")]
mod tests;

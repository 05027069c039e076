//! A graph that runs, forward and backward, over one arena: what trains, what evaluates and what the gradient check checks.

use super::TrainError;
use super::given::{Given, Shown};
use super::layer::{Layer, Pass, Place};
use super::loss::{self, BatchLoss};
use super::objective::Objective;
use super::ops::batch_norm::MOMENTUM;
use crate::error::ShapeError;
use crate::graph::{Graph, Plan, TensorId};
use crate::kernels::Isa;
use crate::kernels::columns::Columns;
use crate::kernels::dropout::Key;
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
    /// Batch sizes, and threads, that the scratch was measured for.
    prepared: Vec<(usize, usize)>,
}

impl Network {
    /// For training: batches of up to `batch` samples, forward and backward.
    ///
    /// # Errors
    /// [`TrainError::Graph`] if the arena cannot be planned.
    pub fn new(graph: &Graph, batch: usize, isa: Isa) -> Result<Self, TrainError> {
        let mut network = Self::compile(graph, &Plan::training(graph, batch)?, isa)?;
        let width = network.input.width;
        let bytes =
            if network.layers.iter().any(|layer| layer.takes_pixels(isa)) { network.capacity * width } else { 0 };
        network.given = Given::new(width, bytes);
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
        Ok(())
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
        let rows = labels.len();
        check_len("the gradient", self.param_count, grads.len())?;
        if self.d_logits.is_none() && self.param_count > 0 {
            let (expected, found) = ("Network::new".to_owned(), "Network::inference".to_owned());
            return Err(TrainError::Mismatch { what: "a network with a backward pass", expected, found });
        }
        self.run(weights, rows, Some(objective.key))?;
        let (logits, losses) = (self.logits.rows(rows), &mut self.losses[..rows]);
        let Some(place) = self.d_logits else {
            return Ok(loss::nll(self.isa, &mut self.arena[logits], labels, losses)?);
        };
        let d_logits = place.rows(rows);
        if logits.start != d_logits.start {
            self.arena.copy_within(logits, d_logits.start);
        }
        let batch = loss::cross_entropy(self.isa, &mut self.arena[d_logits], labels, objective.reduction, losses)?;
        if objective.smoothing > 0.0 {
            let d_logits = &mut self.arena[place.rows(rows)];
            loss::smooth(d_logits, labels, objective.reduction, objective.smoothing)?;
        }
        let Self { isa, layers, arena, scratch, given, input, .. } = self;
        let shown = given.shown(rows, input.width)?;
        let mut pass = Pass { isa: *isa, rows, weights, arena, scratch, key: Some(objective.key), shown };
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

    /// The loss of each sample of the last batch of `rows`.
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

fn check_len(what: &'static str, expected: usize, got: usize) -> Result<(), ShapeError> {
    if got == expected { Ok(()) } else { Err(ShapeError::Length { what, expected, got }) }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list of runs may hold one")]
mod tests {
    use super::*;
    use crate::data::random::Random;
    use crate::graph::Op;
    use crate::shape::Shape;
    use crate::train::{Initializer, Reduction};

    const OPS: [Op; 3] = [Op::Relu, Op::Tanh, Op::Sigmoid];

    fn digits(rows: usize, width: usize) -> (Vec<f32>, Vec<u8>) {
        let mut random = Random::new(5, "network test", 0);
        let x = (0..rows * width).map(|_| random.unit()).collect();
        (x, (0..rows).map(|_| random.below(4) as u8).collect())
    }

    fn small(activation: Op) -> (Graph, Vec<f32>) {
        let graph = Graph::mlp(&[7, 5], activation, Shape::new(&[1, 3, 4]).unwrap(), 4).unwrap();
        let mut params = vec![0.0; graph.param_count()];
        Initializer::Pytorch.fill(&graph, 2, &mut params);
        (graph, params)
    }

    /// Logits by plain loops in f64.
    fn reference(graph: &Graph, params: &[f32], x: &[f32]) -> Vec<f64> {
        let mut rows: Vec<Vec<f64>> = x.chunks(12).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
        for (i, node) in graph.nodes().iter().enumerate() {
            for row in &mut rows {
                match node.op {
                    Op::Flatten => {}
                    Op::Linear { in_features, .. } => {
                        let [weight, bias] = graph.node_params(i) else { panic!("two parameters") };
                        let outputs = params[weight.range()].chunks(in_features).zip(&params[bias.range()]);
                        let dot = |w: &[f32]| w.iter().zip(&*row).map(|(&w, x)| f64::from(w) * x).sum::<f64>();
                        *row = outputs.map(|(w, &b)| dot(w) + f64::from(b)).collect();
                    }
                    Op::Relu => row.iter_mut().for_each(|x| *x = x.max(0.0)),
                    Op::Tanh => row.iter_mut().for_each(|x| *x = x.tanh()),
                    Op::Sigmoid => row.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
                    op => panic!("no {op} in these networks"),
                }
            }
        }
        rows.concat()
    }

    #[test]
    fn logits_match_plain_loops_for_whole_and_partial_batches() {
        for (isa, op) in Isa::available().flat_map(|isa| OPS.map(|op| (isa, op))) {
            let (graph, params) = small(op);
            let (x, labels) = digits(9, 12);
            let want = reference(&graph, &params, &x);
            let training = Network::new(&graph, 9, isa).unwrap();
            let inference = Network::inference(&graph, 9, isa).unwrap();
            assert!(inference.arena.len() < training.arena.len());
            for mut network in [training, inference] {
                for rows in [9, 1, 4, 9] {
                    let got = network.forward(&params, &x[..rows * 12]).unwrap().to_vec();
                    for (got, want) in got.iter().zip(&want) {
                        assert!((f64::from(*got) - want).abs() < 2e-6, "{isa} {op}: {got} for {want}");
                    }
                    assert_eq!(got.len(), rows * 4);
                    let batch = network.evaluate(&params, &x[..rows * 12], &labels[..rows]).unwrap();
                    let sum: f64 = network.losses(rows).iter().map(|&loss| f64::from(loss)).sum();
                    assert_eq!((batch.loss_sum, batch.samples), (sum, rows as u32));
                }
            }
        }
    }

    /// The gradient check proper is in `gradcheck`; this one only finds a wrong sign, scale or place.
    #[test]
    fn gradients_point_where_differences_do() {
        for (isa, op) in Isa::available().flat_map(|isa| OPS.map(|op| (isa, op))) {
            let (graph, mut params) = small(op);
            let (x, labels) = digits(9, 12);
            let mut network = Network::new(&graph, 16, isa).unwrap();
            let mut grads = vec![f32::NAN; params.len()];
            let mean = network.loss_and_gradient(&params, &x, &labels, Reduction::Mean.into(), &mut grads).unwrap();
            let by_mean = grads.clone();
            let sum = network.loss_and_gradient(&params, &x, &labels, Reduction::Sum.into(), &mut grads).unwrap();
            assert_eq!(mean, sum, "the reported loss does not depend on the reduction");
            let largest = by_mean.iter().fold(0.0f32, |m, g| m.max(g.abs()));
            for i in 0..params.len() {
                assert!((grads[i] - 9.0 * by_mean[i]).abs() < 1e-5 * 9.0 * largest);
                let (center, eps) = (params[i], 1e-3); // small enough that no unit crosses its kink
                params[i] = center + eps;
                let above = network.evaluate(&params, &x, &labels).unwrap().mean();
                params[i] = center - eps;
                let below = network.evaluate(&params, &x, &labels).unwrap().mean();
                params[i] = center;
                let slope = (above - below) / (2.0 * f64::from(eps));
                let error = (slope - f64::from(by_mean[i])).abs();
                assert!(error < 0.02 * f64::from(largest), "{isa} {op} {i}: {slope} and {}", by_mean[i]);
            }
        }
    }

    #[test]
    fn activations_that_nothing_fuses_and_graphs_without_parameters() {
        let shape = Shape::new(&[2, 2]).unwrap();
        let linear = |in_features, out_features| Op::Linear { in_features, out_features };
        // An activation of the input, two in a row, a reshaped value that a linear layer must still have, one at the end.
        let ops = [Op::Sigmoid, Op::Flatten, linear(4, 3), Op::Relu, Op::Tanh, linear(3, 2), Op::Tanh];
        let graph = Graph::sequential(shape, &ops).unwrap();
        let mut params = vec![0.0; graph.param_count()];
        Initializer::Pytorch.fill(&graph, 1, &mut params);
        params[12..15].fill(0.5); // all hidden units on, so that differences cross no kink
        let (x, labels) = ([0.1, -0.2, 0.3, 0.4, 0.9, 0.8, -0.7, 0.6], [0, 1]);
        let mut network = Network::new(&graph, 2, Isa::best()).unwrap();
        let mut grads = vec![f32::NAN; params.len()];
        network.loss_and_gradient(&params, &x, &labels, Reduction::Mean.into(), &mut grads).unwrap();
        for i in 0..params.len() {
            let mut slope = 0.0;
            for sign in [1.0, -1.0] {
                let mut moved = params.clone();
                moved[i] += sign * 1e-2;
                slope += f64::from(sign) * network.evaluate(&moved, &x, &labels).unwrap().mean() / 2e-2;
            }
            assert!((slope - f64::from(grads[i])).abs() < 1e-3, "{i}: {slope} and {}", grads[i]);
        }

        let flat = Graph::sequential(shape, &[Op::Flatten]).unwrap();
        let mut network = Network::new(&flat, 1, Isa::best()).unwrap();
        let batch = network.loss_and_gradient(&[], &x[..4], &[3], Reduction::Mean.into(), &mut []).unwrap();
        assert!((batch.mean() - (4.0f64).ln()).abs() < 0.3);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (graph, params) = small(Op::Relu);
        let mut network = Network::new(&graph, 4, Isa::best()).unwrap();
        let mut grads = vec![0.0; params.len()];
        let x = vec![0.0; 60];
        assert!(network.forward(&params, &x).is_err(), "five samples in an arena for four");
        assert!(network.forward(&params, &x[..13]).is_err() && network.forward(&params, &[]).is_err());
        assert!(network.forward(&params[1..], &x[..12]).is_err());
        let mut learn = |labels: &[u8], grads: &mut [f32]| {
            network.loss_and_gradient(&params, &x[..24], labels, Reduction::Mean.into(), grads).map(drop)
        };
        assert!(learn(&[0], &mut grads).is_err() && learn(&[0, 4], &mut grads).is_err());
        assert!(learn(&[0, 1], &mut grads[1..]).is_err());
        assert!(learn(&[0, 1], &mut grads).is_ok());
        let mut inference = Network::inference(&graph, 4, Isa::best()).unwrap();
        assert!(inference.loss_and_gradient(&params, &x[..12], &[0], Reduction::Mean.into(), &mut grads).is_err());
        assert!(Network::new(&graph, 0, Isa::best()).is_err());
    }

    /// A batch that is 0 but in some columns, given whole and given by these alone.
    #[test]
    fn columns_of_the_input_do_what_all_of_it_does() {
        let (graph, params) = small(Op::Tanh);
        let runs = [1..2, 4..7, 11..12];
        let columns = Columns::new(&runs, 12).unwrap();
        let (mut x, labels) = digits(6, 12);
        for (i, x) in x.iter_mut().enumerate() {
            if !runs.iter().any(|run| run.contains(&(i % 12))) {
                *x = 0.0;
            }
        }
        for isa in Isa::available() {
            let mut network = Network::new(&graph, 6, isa).unwrap();
            assert_eq!(network.takes_columns(), Some(7));
            let (mut want, mut got) = (vec![f32::NAN; params.len()], vec![f32::NAN; params.len()]);
            let objective = Objective::from(Reduction::Mean);
            let whole = network.loss_and_gradient(&params, &x, &labels, objective, &mut want).unwrap();
            let some = network.input_columns_mut(6, &runs).unwrap();
            crate::kernels::columns::take(isa, columns, &x, some).unwrap();
            let part = network.loss_and_gradient_filled(&params, &labels, objective, &mut got).unwrap();
            assert!((whole.loss_sum - part.loss_sum).abs() < 1e-5, "{isa}");
            assert!(want.iter().zip(&got).all(|(want, got)| (want - got).abs() < 1e-6), "{isa}");
            // The next batch is whole again.
            let again = network.loss_and_gradient(&params, &x, &labels, objective, &mut got).unwrap();
            assert!(again == whole && got == want, "{isa}");
            assert!(network.input_columns_mut(6, &[]).is_err());
            assert!(network.input_columns_mut(6, &[0..13]).is_err());
            assert!(network.input_columns_mut(7, &[0..1]).is_err());
        }
        let conv = Graph::sequential(
            Shape::new(&[1, 3, 4]).unwrap(),
            &[Op::Relu, Op::Flatten, Op::Linear { in_features: 12, out_features: 4 }],
        );
        let mut network = Network::new(&conv.unwrap(), 6, Isa::best()).unwrap();
        assert!(network.takes_columns().is_none() && network.input_columns_mut(6, &runs).is_err());
    }

    /// The same batch as bytes and as the numbers that these stand for.
    #[test]
    fn pixels_of_the_input_do_what_floats_do() {
        let shape = Shape::new(&[1, 3, 4]).unwrap();
        let last = Op::Linear { in_features: 12, out_features: 4 };
        let graph = Graph::sequential(shape, &[Op::Flatten, last, Op::Tanh]).unwrap();
        let mut params = vec![0.0; graph.param_count()];
        Initializer::Pytorch.fill(&graph, 2, &mut params);
        let bytes: Vec<u8> = (0..72).map(|i| (i * 89 % 256) as u8).collect();
        let (labels, affine) = ([0, 1, 2, 3, 0, 1], [1.0 / 100.0, -0.5]);
        let x: Vec<f32> = bytes.iter().map(|pixel| f32::from(*pixel).mul_add(affine[0], affine[1])).collect();
        for isa in Isa::available() {
            let mut network = Network::new(&graph, 6, isa).unwrap();
            if !network.takes_pixels() {
                assert!(isa.lanes() < 8 && network.input_pixels_mut(6, affine).is_err());
                continue;
            }
            let (mut want, mut got) = (vec![f32::NAN; params.len()], vec![f32::NAN; params.len()]);
            let objective = Objective::from(Reduction::Mean);
            for rows in [6, 1, 5] {
                let (x, labels) = (&x[..12 * rows], &labels[..rows]);
                let floats = network.loss_and_gradient(&params, x, labels, objective, &mut want).unwrap();
                network.input_pixels_mut(rows, affine).unwrap().copy_from_slice(&bytes[..12 * rows]);
                let pixels = network.loss_and_gradient_filled(&params, labels, objective, &mut got).unwrap();
                assert!((floats.loss_sum - pixels.loss_sum).abs() < 1e-5, "{isa}");
                assert!(want.iter().zip(&got).all(|(want, got)| (want - got).abs() < 1e-6), "{isa}");
            }
            assert!(network.input_pixels_mut(7, affine).is_err());
        }
        let wide = Graph::mlp(&[11], Op::Relu, shape, 4).unwrap();
        assert!(!Network::new(&wide, 6, Isa::best()).unwrap().takes_pixels());
    }
}

//! Updates and epochs: the state of a training run, moved on one step at a time.

use super::TrainError;
use super::clip;
use super::config::Config;
use super::early_stop::EarlyStop;
use super::evaluate::Evaluator;
use super::feed::Feed;
use super::metrics::{EpochReport, Metrics};
use super::network::Network;
use super::objective::Objective;
use super::optimizer::Optimizer;
use super::run::Progress;
use super::schedule::warmup_factor;
use super::spread::Workers;
use super::team::{Team, awake};
use crate::checkpoint::{Buffers, Meta, RunningSums, State};
use crate::data::{Dataset, Normalize, Splits, ValSize, batch, permutation, split};
use crate::error::ShapeError;
use crate::graph::Graph;
use crate::kernels::Isa;
use crate::kernels::dropout::Key;
use std::sync::Arc;
use std::time::Instant;

/// What one update did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Mean loss of the batch, without penalties, before the update.
    pub loss: f64,
    /// Samples of the batch that were classified correctly.
    pub correct: u32,
    /// Samples of the batch.
    pub samples: u32,
    /// Learning rate of this update.
    pub lr: f64,
}

/// A training run in memory: network, optimizer and place in the data. Every buffer is allocated when it is built.
#[derive(Debug)]
pub struct Trainer<'a> {
    config: Config,
    data: &'a Splits,
    isa: Isa,
    team: Team,
    workers: Workers,
    graph: Graph,
    feed: Feed<'a>,
    network: Network,
    evaluator: Evaluator,
    optimizer: Optimizer,
    params: Vec<f32>,
    grads: Vec<f32>,
    average: Vec<f32>,     // of the weights; empty if none is asked for
    best_params: Vec<f32>, // empty without a validation set
    restored: bool,        // whether the weights are those of the best epoch
    train: Vec<u32>,
    val: Vec<u32>,
    order: Vec<u32>,
    ordered_epoch: Option<u32>, // the epoch that `order` is of
    labels: Vec<u8>,
    batch: usize,
    step: u64,
    epoch: u32,
    step_in_epoch: u64,
    sums: RunningSums,
    early_stop: EarlyStop,
    train_seconds: f64,
    epoch_started: f64, // of `train_seconds`
    lr: f64,
}

/// Training samples that the statistics of an averaged network are taken over, at most.
const MEASURED: usize = 10_000;

/// What a network is evaluated over.
#[derive(Clone, Copy)]
enum Part {
    Train,
    Val,
    Test,
}

impl<'a> Trainer<'a> {
    /// Everything that `config` says about `data`, with first weights drawn by its seed, on `threads` threads of its own.
    ///
    /// # Errors
    /// [`TrainError::Config`] for a value that breaks a rule, [`TrainError::Data`] for a split that leaves nothing to train on,
    /// [`TrainError::Graph`] for a network that is none.
    pub fn new(config: &Config, data: &'a Splits, isa: Isa, threads: usize) -> Result<Self, TrainError> {
        config.validate()?;
        let (rows, cols, classes) = (data.train.rows(), data.train.cols(), data.train.classes());
        let of = |data: &Dataset| format!("{}x{} pixels, {} classes", data.rows(), data.cols(), data.classes());
        if of(&data.train) != of(&data.test) {
            let (expected, found) = (of(&data.train), of(&data.test));
            return Err(TrainError::Mismatch { what: "the test set is like the train set", expected, found });
        }
        let graph = config.graph(rows, cols, classes)?;
        let (mut train, val) = split(data.train.len(), config.split.unwrap_or(ValSize::Count(0)), config.seed)?;
        config.validate_val(val.len())?;
        train.truncate(config.limit.unwrap_or(usize::MAX));
        let normalize = config.normalize.resolve(&data.train, &train)?;
        let threads = threads.max(1);
        let batch = config.batch.min(train.len());
        let team = Team::new(threads, graph.flops().saturating_mul(3 * batch as u64))?; // forward once, backward twice
        let mut network = Network::new(&graph, batch, isa)?;
        let last = train.len() - (train.len() - 1) / batch * batch; // samples in the last batch of an epoch
        team.all().install(|| network.prepare(batch).and_then(|()| network.prepare(last)))?;
        let feed = Feed::new(config, &data.train, normalize, &network, isa, threads)?;
        let mut params = vec![0.0; graph.weights_len()];
        config.initializer.fill_with(config.bias, &graph, config.seed, &mut params);
        Ok(Self {
            isa,
            team,
            workers: Workers::default(),
            evaluator: Evaluator::new(&graph, isa)?,
            optimizer: Optimizer::new(config, &graph),
            grads: vec![0.0; graph.param_count()],
            average: if config.average.is_some() { params.clone() } else { Vec::new() },
            best_params: if val.is_empty() { Vec::new() } else { params.clone() },
            restored: false,
            order: train.clone(),
            ordered_epoch: None,
            labels: vec![0; batch],
            batch,
            step: 0,
            epoch: 0,
            step_in_epoch: 0,
            sums: RunningSums::default(),
            early_stop: EarlyStop::default(),
            train_seconds: 0.0,
            epoch_started: 0.0,
            lr: 0.0,
            config: config.clone(),
            data,
            graph,
            feed,
            network,
            params,
            train,
            val,
        })
    }

    /// Starts from these weights instead of drawn ones.
    ///
    /// # Errors
    /// [`TrainError::Shape`] if there are not as many as the network has.
    pub fn with_weights(mut self, weights: &[f32]) -> Result<Self, TrainError> {
        let (expected, got) = (self.params.len(), weights.len());
        if expected != got {
            return Err(ShapeError::Length { what: "the first weights", expected, got }.into());
        }
        self.params.copy_from_slice(weights);
        if !self.average.is_empty() {
            self.average.copy_from_slice(weights);
        }
        Ok(self)
    }

    /// Does `work` inside the trainer's pool. Many steps in one call are faster than many calls, and allocate nothing.
    pub fn in_pool<R: Send>(&mut self, work: impl FnOnce(&mut Self) -> R + Send) -> R {
        if self.team.is_inside() {
            return work(self);
        }
        let pool = Arc::clone(self.team.all());
        pool.install(|| work(self))
    }

    /// Does some steps on those threads that were measured to do such steps fastest: `work` is told how many. It may do fewer.
    pub fn in_turn<R: Send>(&mut self, work: impl FnOnce(&mut Self, u64) -> R + Send) -> R {
        let (pool, steps) = self.team.turn();
        let (step, seconds) = (self.step, self.train_seconds);
        let result = pool.install(|| awake(|| work(self, steps)));
        self.team.took(self.step - step, self.train_seconds - seconds);
        result
    }

    /// One update, by the next batch of the epoch. The first of an epoch also puts the samples in order.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] if the loss is not a number, before anything is changed; [`TrainError::Mismatch`] if the epoch
    /// has no batch left.
    pub fn step(&mut self) -> Result<StepReport, TrainError> {
        self.in_pool(Self::step_here)
    }

    fn step_here(&mut self) -> Result<StepReport, TrainError> {
        let started = Instant::now();
        if self.epoch_done() {
            let (expected, found) = ("finish_epoch".to_owned(), "another step".to_owned());
            return Err(TrainError::Mismatch { what: "what follows the last batch of an epoch", expected, found });
        }
        self.put_in_order()?;
        let from = self.step_in_epoch as usize * self.batch; // below `order.len()`, as the epoch is not done
        let indices = &self.order[from..self.order.len().min(from + self.batch)];
        let labels = &mut self.labels[..indices.len()];
        batch::fill_labels(&self.data.train, indices, labels)?;
        let raw = self.feed.fill(&mut self.network, indices, self.epoch, &self.workers)?;
        let Config { reduction, seed, label_smoothing, .. } = self.config;
        let objective = Objective { smoothing: label_smoothing as f32, ..Objective::new(reduction, seed, self.step) };
        let batch = match raw {
            Some(raw) => self.network.loss_and_gradient_fetched(&self.params, labels, objective, &mut self.grads, &raw),
            None => self.network.loss_and_gradient_filled(&self.params, labels, objective, &mut self.grads),
        }?;
        let lr = self.next_lr();
        if !batch.loss_sum.is_finite() {
            let rows = indices.len();
            self.feed.fill_whole(&mut self.network, indices, self.epoch, &self.workers)?;
            let layer = self.network.first_not_finite(&self.params, objective, rows)?.map(str::to_owned);
            return Err(TrainError::Diverged { epoch: self.epoch + 1, step: self.step, loss: batch.mean(), lr, layer });
        }
        if let Some(most) = self.config.clip_norm {
            clip::by_norm(self.isa, most, &mut self.grads)?;
        }
        let trained = &mut self.params[..self.grads.len()];
        self.optimizer.step_noting(self.isa, self.step, lr, trained, &self.grads, &self.workers)?;
        self.network.update_running(&mut self.params, batch.samples as usize)?;
        self.step += 1;
        self.step_in_epoch += 1;
        self.config.average.after_update(self.isa, self.step, &self.params, &mut self.average)?;
        self.lr = lr;
        self.sums.loss_sum += batch.loss_sum;
        self.sums.correct += u64::from(batch.correct);
        self.sums.samples += u64::from(batch.samples);
        self.train_seconds += started.elapsed().as_secs_f64();
        Ok(StepReport { loss: batch.mean(), correct: batch.correct, samples: batch.samples, lr })
    }

    /// Puts the samples in the order of the epoch under way, once.
    fn put_in_order(&mut self) -> Result<(), ShapeError> {
        if self.ordered_epoch != Some(self.epoch) {
            if self.config.shuffle {
                permutation(self.config.seed, u64::from(self.epoch), &mut self.order, &self.train)?;
            }
            self.ordered_epoch = Some(self.epoch);
        }
        Ok(())
    }

    /// Learning rate of the next update.
    #[must_use]
    pub fn next_lr(&self) -> f64 {
        let steps = self.steps_per_epoch().saturating_mul(u64::from(self.config.epochs));
        let factor = self.config.schedule.factor(self.step, steps, self.epoch);
        self.config.lr * factor * warmup_factor(self.step, self.config.warmup)
    }

    /// Whether the epoch under way has no batch left: [`finish_epoch`](Self::finish_epoch) is next.
    #[must_use]
    pub fn epoch_done(&self) -> bool {
        self.step_in_epoch >= self.steps_per_epoch()
    }

    /// Evaluates, takes note for early stopping, and goes on to the next epoch.
    ///
    /// # Errors
    /// [`TrainError::Mismatch`] if the epoch has batches left, [`TrainError::Diverged`] if the test loss is no longer a number.
    pub fn finish_epoch(&mut self) -> Result<EpochReport, TrainError> {
        self.in_pool(Self::finish_epoch_here)
    }

    fn finish_epoch_here(&mut self) -> Result<EpochReport, TrainError> {
        if !self.epoch_done() {
            let (expected, found) = (self.steps_per_epoch().to_string(), self.step_in_epoch.to_string());
            return Err(TrainError::Mismatch { what: "updates of an epoch", expected, found });
        }
        let samples = self.sums.samples.max(1) as f64;
        let mut report = EpochReport {
            epoch: self.epoch + 1,
            train_loss: self.sums.loss_sum / samples,
            train_accuracy: self.sums.correct as f64 / samples,
            lr: self.lr,
            seconds: self.train_seconds - self.epoch_started,
            ..EpochReport::default()
        };
        self.config.average.after_epoch(self.isa, report.epoch, &self.params, &mut self.average)?;
        if self.config.average.takes_epoch(report.epoch) && self.network.has_running() {
            self.measure_average()?;
        }
        if self.config.exact_train_metrics {
            let exact = self.evaluate_train()?;
            (report.train_loss, report.train_accuracy) = (exact.loss, exact.accuracy);
        }
        let test = self.evaluate_test(0, 0)?;
        if !test.loss.is_finite() {
            // The epoch's last update did it: no batch came after to show it.
            return Err(TrainError::Diverged {
                epoch: report.epoch,
                step: self.step,
                loss: test.loss,
                lr: self.lr,
                layer: None,
            });
        }
        (report.test_loss, report.test_accuracy) = (Some(test.loss), Some(test.accuracy));
        report.test_per_class_accuracy = test.per_class_accuracy();
        if let Some(val) = self.evaluate_val(0)? {
            (report.val_loss, report.val_accuracy) = (Some(val.loss), Some(val.accuracy));
            if self.early_stop.observe(report.epoch, val.loss) {
                let evaluated = if self.average.is_empty() { &self.params } else { &self.average };
                self.best_params.copy_from_slice(evaluated);
            }
        }
        if self.config.reset_velocity {
            self.optimizer.reset();
        }
        self.epoch += 1;
        self.step_in_epoch = 0;
        self.sums = RunningSums::default();
        self.epoch_started = self.train_seconds;
        Ok(report)
    }

    /// Gives the batch norms of the averaged network statistics of their own, over some of the training samples as the epoch showed them.
    fn measure_average(&mut self) -> Result<(), TrainError> {
        self.put_in_order()?; // in the file's order a batch may hold one class alone
        let measured = &self.order[..self.order.len().min(MEASURED)];
        for (number, indices) in measured.chunks(self.batch).enumerate() {
            self.feed.fill_whole(&mut self.network, indices, self.epoch, &self.workers)?;
            let key = Key::new(self.config.seed, u64::MAX - number as u64); // no update's
            self.network.measure_running(&mut self.average, indices.len(), key, number)?;
        }
        Ok(())
    }

    /// The weights that are evaluated, compared and saved as the result: the average, if there is one.
    #[must_use]
    pub fn evaluated(&self) -> &[f32] {
        if self.average.is_empty() || self.restored { &self.params } else { &self.average }
    }

    /// The network as it is now over the samples that it trains on.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate`].
    pub fn evaluate_train(&mut self) -> Result<Metrics, TrainError> {
        self.in_pool(|this| this.evaluate(Part::Train, 0, 0))
    }

    /// The network as it is now over the validation samples, if there are any: by the mean of their probabilities over all
    /// moves of up to `shift` pixels.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate_shifted`].
    pub fn evaluate_val(&mut self, shift: u8) -> Result<Option<Metrics>, TrainError> {
        if self.val.is_empty() {
            return Ok(None);
        }
        self.in_pool(|this| this.evaluate(Part::Val, 0, shift).map(Some))
    }

    /// The network as it is now over the test set, by the mean of the probabilities over all moves of up to `shift` pixels, with the `keep`
    /// hardest samples.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate_shifted`].
    pub fn evaluate_test(&mut self, keep: usize, shift: u8) -> Result<Metrics, TrainError> {
        self.in_pool(|this| this.evaluate(Part::Test, keep, shift))
    }

    fn evaluate(&mut self, part: Part, keep: usize, shift: u8) -> Result<Metrics, TrainError> {
        let Self { evaluator, params, average, restored, data, feed, train, val, .. } = self;
        let weights: &[f32] = if average.is_empty() || *restored { params } else { average };
        let (set, indices) = match part {
            Part::Train => (&data.train, Some(train.as_slice())),
            Part::Val => (&data.train, Some(val.as_slice())),
            Part::Test => (&data.test, None),
        };
        evaluator.evaluate_shifted(weights, set, &feed.normalize(), indices, keep, shift)
    }

    /// Whether the run is over: every epoch done, or patience exhausted.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.epoch >= self.config.epochs || self.stopped_early()
    }

    /// Whether patience is exhausted.
    #[must_use]
    pub fn stopped_early(&self) -> bool {
        self.early_stop.exhausted(self.config.patience)
    }

    /// Puts the weights of the lowest validation loss in place, if there was a validation.
    pub fn restore_best(&mut self) {
        if self.early_stop.best_epoch.is_some() {
            self.params.copy_from_slice(&self.best_params);
            self.restored = true;
        }
    }

    /// Where the run stands, but for its identity.
    #[must_use]
    pub fn state(&self) -> State {
        let EarlyStop { best_loss, best_epoch, bad_epochs } = self.early_stop;
        State {
            run_id: String::new(),
            step: self.step,
            epoch: self.epoch,
            step_in_epoch: self.step_in_epoch,
            sums: self.sums,
            best_loss,
            best_epoch,
            bad_epochs,
            train_seconds: self.train_seconds,
        }
    }

    /// Goes on where `state` stood, with these weights and what was carried on beside them; `best` are the weights of its best epoch, if it had
    /// one.
    ///
    /// # Errors
    /// [`TrainError::Shape`] or [`TrainError::Mismatch`] if something is not of this configuration; the trainer is then as it was.
    pub fn restore(
        &mut self,
        state: &State,
        params: &[f32],
        buffers: Buffers<'_>,
        best: Option<&[f32]>,
    ) -> Result<(), TrainError> {
        let per_epoch = self.steps_per_epoch();
        let step = u64::from(state.epoch).saturating_mul(per_epoch).saturating_add(state.step_in_epoch);
        if state.step != step || state.step_in_epoch > per_epoch || state.epoch > self.config.epochs {
            let expected = format!("{per_epoch} updates in each of {} epochs", self.config.epochs);
            let found = format!("update {} in epoch {} as number {}", state.step_in_epoch, state.epoch, state.step);
            return Err(TrainError::Mismatch { what: "a saved run fits its configuration and data", expected, found });
        }
        let weights = [("the saved weights", Some(params)), ("the best weights", best)];
        for (what, weights) in weights {
            let (expected, got) = (self.params.len(), weights.map_or(self.params.len(), <[f32]>::len));
            if expected != got {
                return Err(ShapeError::Length { what, expected, got }.into());
            }
        }
        let has_val = !self.val.is_empty();
        if state.best_epoch.is_some() && !(has_val && best.is_some()) {
            let (expected, found) =
                ("the weights of the best epoch".to_owned(), "none, or no validation set".to_owned());
            return Err(TrainError::Mismatch { what: "a run that has validated", expected, found });
        }
        let (expected, got) = (self.average.len(), buffers.average.len());
        if expected != got {
            return Err(ShapeError::Length { what: "the saved average of the weights", expected, got }.into());
        }
        self.optimizer.restore(buffers.m, buffers.v)?;
        self.average.copy_from_slice(buffers.average);
        self.params.copy_from_slice(params);
        if let (true, Some(best)) = (has_val, best) {
            self.best_params.copy_from_slice(best);
        }
        let State { best_loss, best_epoch, bad_epochs, .. } = *state;
        self.early_stop = EarlyStop { best_loss, best_epoch, bad_epochs };
        (self.step, self.epoch, self.step_in_epoch) = (state.step, state.epoch, state.step_in_epoch);
        self.sums = state.sums;
        self.restored = false;
        self.train_seconds = state.train_seconds;
        self.epoch_started = state.train_seconds;
        self.ordered_epoch = None;
        Ok(())
    }

    /// Seconds of training in the epoch under way that a save before this run had, for its report.
    pub(super) fn add_epoch_seconds(&mut self, seconds: f64) {
        self.epoch_started -= seconds.clamp(0.0, self.train_seconds);
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The network.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The parameters as they are now, laid out by [`Graph::params`].
    #[must_use]
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// The gradient of the last batch.
    #[must_use]
    pub fn grads(&self) -> &[f32] {
        &self.grads
    }

    /// What the run carries on beside its parameters: the optimizer's moments and the average of the weights; empty where there are none.
    #[must_use]
    pub fn buffers(&self) -> Buffers<'_> {
        Buffers { m: self.optimizer.m(), v: self.optimizer.v(), average: &self.average }
    }

    /// How pixels become inputs, measured where it had to be.
    #[must_use]
    pub fn normalize(&self) -> Normalize {
        self.feed.normalize()
    }

    /// What a model file says beside graph and weights: the normalisation, and digits as class names.
    #[must_use]
    pub fn meta(&self) -> Meta {
        Meta {
            normalize: self.normalize(),
            classes: (0..self.graph.classes()).map(|class| class.to_string()).collect(),
        }
    }

    /// Updates in an epoch; the last may have fewer samples.
    #[must_use]
    pub fn steps_per_epoch(&self) -> u64 {
        self.train.len().div_ceil(self.batch) as u64
    }

    /// Updates that made the weights as they are now.
    #[must_use]
    pub fn updates(&self) -> u64 {
        match self.early_stop.best_epoch {
            Some(epoch) if self.restored => u64::from(epoch).saturating_mul(self.steps_per_epoch()),
            _ => self.step,
        }
    }

    /// Samples trained on in an epoch.
    #[must_use]
    pub fn train_samples(&self) -> usize {
        self.train.len()
    }

    /// Samples kept for validation.
    #[must_use]
    pub fn val_samples(&self) -> usize {
        self.val.len()
    }

    /// Samples of the test set.
    #[must_use]
    pub fn test_samples(&self) -> usize {
        self.data.test.len()
    }

    /// Samples trained on so far, each epoch's again.
    #[must_use]
    pub fn samples_seen(&self) -> u64 {
        u64::from(self.epoch).saturating_mul(self.train.len() as u64).saturating_add(self.sums.samples)
    }

    /// What an observer is told after an update.
    pub(super) fn progress(&self, step: StepReport) -> Progress {
        let samples = self.sums.samples.max(1) as f64;
        Progress {
            epoch: self.epoch + 1,
            epochs: self.config.epochs,
            step_in_epoch: self.step_in_epoch,
            steps_per_epoch: self.steps_per_epoch(),
            step,
            loss: self.sums.loss_sum / samples,
            accuracy: self.sums.correct as f64 / samples,
            samples: self.sums.samples,
            samples_seen: self.samples_seen(),
            train_seconds: self.train_seconds,
        }
    }

    /// Running sums of the epoch under way.
    #[must_use]
    pub fn sums(&self) -> RunningSums {
        self.sums
    }

    /// Instruction set of the kernels.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Threads of the pool.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.team.all().current_num_threads()
    }

    /// Threads that have gathered samples or updated weights so far.
    #[must_use]
    pub fn workers_seen(&self) -> u32 {
        self.workers.count()
    }
}

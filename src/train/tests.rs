//! Whole trainings on tiny synthetic sets.

mod images;
mod options;

use super::*;
use crate::checkpoint::Buffers;
use crate::data::random::Random;
use crate::data::{Dataset, Splits, ValSize};
use crate::kernels::Isa;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Images of noise with a bright quadrant, which is the class.
fn quadrants(samples: usize, side: usize, seed: u64) -> Dataset {
    let mut random = Random::new(seed, "quadrants", 0);
    let mut images = Vec::new();
    let mut labels = Vec::new();
    for _ in 0..samples {
        let label = random.below(4) as u8;
        for i in 0..side * side {
            let quadrant = 2 * u8::from(i / side >= side / 2) + u8::from(i % side >= side / 2);
            let ink = if quadrant == label { 90 } else { 0 };
            images.push(ink + random.below(120) as u8);
        }
        labels.push(label);
    }
    Dataset::new(images, labels, side, side, 4).unwrap()
}

fn tiny() -> Splits {
    Splits { train: quadrants(203, 8, 1), test: quadrants(100, 8, 2) }
}

/// Large enough that gather, products and update are all split.
fn wide() -> Splits {
    Splits { train: quadrants(150, 28, 1), test: quadrants(30, 28, 2) }
}

fn config() -> Config {
    Config { model: ModelSpec::Mlp(vec![16]), batch: 20, epochs: 4, lr: 0.01, ..Config::default() }
}

fn finish(trainer: &mut Trainer<'_>) -> Vec<EpochReport> {
    let mut reports = Vec::new();
    trainer
        .in_pool(|trainer| {
            while !trainer.finished() {
                while !trainer.epoch_done() {
                    trainer.step()?;
                }
                reports.push(trainer.finish_epoch()?);
            }
            Ok::<_, TrainError>(())
        })
        .unwrap();
    reports
}

#[test]
fn every_optimizer_and_schedule_learns() {
    let data = tiny();
    for optimizer in OptimizerKind::ALL {
        for schedule in ["constant", "cosine", "step:2,0.5", "exp:0.9"] {
            let lr = match optimizer {
                OptimizerKind::Adam | OptimizerKind::Adamw => 0.01,
                OptimizerKind::Sgd | OptimizerKind::Ema => 0.3,
                OptimizerKind::Momentum | OptimizerKind::Nesterov => 0.05,
            };
            let schedule = schedule.parse().unwrap();
            let config = Config { optimizer, schedule, lr, warmup: 5, epochs: 8, ..config() };
            let reports = finish(&mut Trainer::new(&config, &data, Isa::best(), 1).unwrap());
            let last = reports.last().unwrap();
            assert!(last.test_accuracy.unwrap() > 0.95, "{optimizer} {schedule}: {last:?}");
            assert!(last.train_loss < reports[0].train_loss);
        }
    }
}

#[test]
fn activations_reductions_penalties_and_normalisations_learn() {
    let data = tiny();
    let base = || Config { epochs: 8, ..config() };
    let cases = [
        Config { activation: ActivationKind::Tanh, normalize: crate::data::NormalizeKind::Image, ..base() },
        Config { activation: ActivationKind::Sigmoid, normalize: crate::data::NormalizeKind::MeanStd, ..base() },
        Config { reduction: Reduction::Sum, optimizer: OptimizerKind::Sgd, lr: 0.01, ..base() },
        Config { l1: 1e-4, l2: 1e-4, ..base() },
        Config { model: ModelSpec::Linear, ..base() },
        Config { bias: BiasKind::Input, l2: 1e-4, ..base() },
        Config { model: ModelSpec::Mlp(vec![20, 10]), weight_decay: 1e-3, ..base() },
    ];
    for config in cases {
        let reports = finish(&mut Trainer::new(&config, &data, Isa::best(), 2).unwrap());
        assert!(reports[7].test_accuracy.unwrap() > 0.95, "{config:?}: {:?}", reports[7]);
    }
}

/// Two epochs are then two runs of one, the second from the weights of the first.
#[test]
fn a_velocity_that_is_reset_starts_each_epoch_at_rest() {
    let data = tiny();
    let base = Config { optimizer: OptimizerKind::Momentum, shuffle: false, reset_velocity: true, ..config() };
    let base = Config { schedule: "constant".parse().unwrap(), ..base };
    let whole = Config { epochs: 2, ..base.clone() };
    let mut whole = Trainer::new(&whole, &data, Isa::best(), 1).unwrap();
    finish(&mut whole);
    let part = Config { epochs: 1, ..base.clone() };
    let mut first = Trainer::new(&part, &data, Isa::best(), 1).unwrap();
    finish(&mut first);
    let mut second = Trainer::new(&part, &data, Isa::best(), 1).unwrap().with_weights(first.params()).unwrap();
    finish(&mut second);
    assert_eq!(whole.params(), second.params());
    let kept = Config { reset_velocity: false, epochs: 2, ..base };
    let mut kept = Trainer::new(&kept, &data, Isa::best(), 1).unwrap();
    finish(&mut kept);
    assert_ne!(whole.params(), kept.params());
}

#[test]
fn an_epoch_says_how_each_class_does() {
    let data = tiny();
    let reports = finish(&mut Trainer::new(&config(), &data, Isa::best(), 1).unwrap());
    for report in reports {
        let counts: Vec<usize> =
            (0..4).map(|class| data.test.labels().iter().filter(|l| **l == class).count()).collect();
        let right = report.test_per_class_accuracy.iter().zip(&counts);
        let right: f64 = right.map(|(accuracy, count)| accuracy.unwrap() * *count as f64).sum();
        assert!((right / 100.0 - report.test_accuracy.unwrap()).abs() < 1e-12);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let data = wide();
    // The second is wide enough that the activation's gradient is cut and the bias's is summed beside the weight's product.
    for (optimizer, hidden, batch) in
        [(OptimizerKind::Adam, vec![96, 32], 64), (OptimizerKind::Momentum, vec![256], 150)]
    {
        let model = ModelSpec::Mlp(hidden);
        let config = Config { model, optimizer, l1: 1e-5, batch, epochs: 3, lr: 0.001, ..Config::default() };
        let train = |threads| {
            let mut trainer = Trainer::new(&config, &data, Isa::best(), threads).unwrap();
            let reports = finish(&mut trainer);
            let losses: Vec<_> = reports.iter().map(|r| (r.train_loss, r.test_loss, r.test_accuracy)).collect();
            let Buffers { m, v, .. } = trainer.buffers();
            (trainer.params().to_vec(), [m, v].map(<[f32]>::to_vec), losses)
        };
        let one = train(1);
        for threads in [2, 3, 8] {
            assert!(one == train(threads), "{optimizer} with {threads} threads");
        }
    }
}

/// Everything at once.
const AUGMENT: &str = "rotate=20,translate=0.1,scale=0.2,shear=10,elastic=6:2,erase=0.5:0.2";

/// The batch is cut in pieces whichever threads take them; each sample's row is what it is by itself.
#[test]
fn augmented_rows_depend_on_no_order_batch_or_thread() {
    let (data, isa) = (wide().train, Isa::best());
    let augment = AUGMENT.parse().unwrap();
    let rows = |indices: &[u32], epoch: u32, threads: usize| {
        let augmentation = gather::Augmentation::new(&augment, 1, &data, threads).unwrap().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut out = vec![f32::NAN; indices.len() * 784];
        let (normalize, view) = (crate::data::Normalize::Image, gather::View::Augmented(&augmentation, epoch));
        let workers = spread::Workers::default();
        pool.install(|| gather::gather(isa, &data, &normalize, view, indices, &mut out, &workers)).unwrap();
        out
    };
    let all: Vec<u32> = (0..150).collect();
    let want = rows(&all, 2, 1);
    for threads in [1, 2, 3] {
        assert!(rows(&all, 2, threads) == want, "{threads} threads");
        let (first, rest) = (rows(&all[..7], 2, threads), rows(&all[7..], 2, threads));
        assert!([first, rest].concat() == want, "other batches, {threads} threads");
        let backwards: Vec<u32> = all.iter().rev().copied().collect();
        let got = rows(&backwards, 2, threads);
        assert!(got.chunks(784).rev().eq(want.chunks(784)), "another order, {threads} threads");
    }
    assert!(rows(&all, 3, 2).chunks(784).zip(want.chunks(784)).all(|(other, row)| other != row), "another epoch");
}

#[test]
fn augmented_training_gives_the_same_bits_and_evaluates_images_as_they_are() {
    let data = wide();
    let plain = Config { model: ModelSpec::Mlp(vec![64]), batch: 64, epochs: 3, ..Config::default() };
    let config = Config { augment: AUGMENT.parse().unwrap(), split: Some(ValSize::Count(30)), ..plain.clone() };
    let train = |threads| {
        let mut trainer = Trainer::new(&config, &data, Isa::best(), threads).unwrap();
        let reports = finish(&mut trainer);
        (trainer.params().to_vec(), reports.iter().map(|r| (r.train_loss, r.val_loss, r.test_loss)).collect::<Vec<_>>())
    };
    let one = train(1);
    for threads in [2, 3] {
        assert!(one == train(threads), "{threads} threads");
    }
    let without = Config { augment: crate::data::Augment::NONE, ..config.clone() };
    let mut trainer = Trainer::new(&without, &data, Isa::best(), 2).unwrap();
    finish(&mut trainer);
    assert!(one.0 != trainer.params(), "augmentation changes the training");
    let mut trainer = trainer.with_weights(&one.0).unwrap();
    let (_, val, test) = one.1[2];
    assert_eq!(Some(trainer.evaluate_test(0, 0).unwrap().loss), test);
    assert_eq!(trainer.evaluate_val(0).unwrap().map(|metrics| metrics.loss), val);
}

#[test]
fn more_than_one_worker_runs() {
    let data = wide();
    let config = Config { model: ModelSpec::Mlp(vec![256]), batch: 64, epochs: u32::MAX, ..Config::default() };
    let mut trainer = Trainer::new(&config, &data, Isa::best(), 2).unwrap();
    assert_eq!(trainer.threads(), 2);
    let start = Instant::now(); // on a busy machine it may be a while before a second thread gets a turn
    trainer.in_pool(|trainer| {
        while trainer.workers_seen() < 2 && start.elapsed() < Duration::from_secs(60) {
            while !trainer.epoch_done() {
                trainer.step().unwrap();
            }
            trainer.finish_epoch().unwrap();
        }
    });
    assert_eq!(trainer.workers_seen(), 2);
}

#[test]
fn batches_from_one_to_the_whole_set() {
    let data = tiny();
    for (batch, steps, last) in [(1, 203, 1), (50, 5, 3), (203, 1, 203), (1000, 1, 203)] {
        let config = Config { batch, epochs: 1, lr: 0.001, ..config() };
        let mut trainer = Trainer::new(&config, &data, Isa::best(), 1).unwrap();
        assert_eq!(trainer.steps_per_epoch(), steps);
        let mut sizes = Vec::new();
        let mut sums = (0.0, 0);
        while !trainer.epoch_done() {
            let step = trainer.step().unwrap();
            sums = (sums.0 + step.loss * f64::from(step.samples), sums.1 + u64::from(step.correct));
            sizes.push(step.samples as usize);
        }
        assert!(trainer.step().is_err(), "the epoch has no batch left");
        assert_eq!((sizes.iter().sum::<usize>(), sizes[sizes.len() - 1]), (203, last));
        let report = trainer.finish_epoch().unwrap();
        assert!(trainer.finish_epoch().is_err(), "the next epoch has not run");
        assert!((report.train_loss - sums.0 / 203.0).abs() < 1e-12, "the mean over samples, not over batches");
        assert_eq!(report.train_accuracy, sums.1 as f64 / 203.0);
    }
}

#[test]
fn limit_split_and_shuffle_choose_the_samples() {
    let data = tiny();
    let config = Config { split: Some(ValSize::Count(40)), limit: Some(30), epochs: 1, ..config() };
    let trainer = Trainer::new(&config, &data, Isa::best(), 1).unwrap();
    assert_eq!((trainer.train_samples(), trainer.val_samples(), trainer.steps_per_epoch()), (30, 40, 2));

    // Unshuffled, the first batch is the first samples: its loss is theirs under the first weights.
    let config = Config { shuffle: false, ..config };
    let config = Config { split: None, ..config };
    let mut trainer = Trainer::new(&config, &data, Isa::best(), 1).unwrap();
    let first = trainer.params().to_vec();
    let loss = trainer.step().unwrap().loss;
    let mut evaluator = Evaluator::new(trainer.graph(), Isa::best()).unwrap();
    let indices: Vec<u32> = (0..20).collect();
    let want = evaluator.evaluate(&first, &data.train, &trainer.normalize(), Some(&indices), 0).unwrap();
    assert!((loss - want.loss).abs() < 1e-6);
    let shuffled = Config { shuffle: true, ..config };
    assert_ne!(Trainer::new(&shuffled, &data, Isa::best(), 1).unwrap().step().unwrap().loss, loss);
}

#[test]
fn reported_losses_leave_the_penalty_out_and_learning_rates_follow_the_schedule() {
    let data = tiny();
    let plain = Trainer::new(&config(), &data, Isa::best(), 1).unwrap().step().unwrap();
    let heavy = Config { l1: 0.5, l2: 0.5, ..config() };
    assert_eq!(Trainer::new(&heavy, &data, Isa::best(), 1).unwrap().step().unwrap().loss, plain.loss);

    let config = Config { epochs: 2, batch: 51, lr: 0.01, warmup: 2, ..config() };
    let mut trainer = Trainer::new(&config, &data, Isa::best(), 1).unwrap();
    let mut rates = Vec::new();
    while !trainer.finished() {
        while !trainer.epoch_done() {
            rates.push(trainer.step().unwrap().lr);
        }
        assert_eq!(trainer.finish_epoch().unwrap().lr, rates[rates.len() - 1]);
    }
    let cosine = |t: f64| 0.005 * (1.0 + (std::f64::consts::PI * t / 8.0).cos());
    let want: Vec<f64> = (0..8).map(|t| cosine(f64::from(t)) * if t == 0 { 0.5 } else { 1.0 }).collect();
    assert_eq!(rates, want);
}

#[test]
fn early_stopping_stops_and_restores_the_best_weights() {
    // A third of the labels say nothing: learning them by heart raises the validation loss again.
    let clean = quadrants(203, 8, 1);
    let mut random = Random::new(7, "noise", 0);
    let labels = clean.labels().iter().map(|&label| if random.below(3) == 0 { random.below(4) as u8 } else { label });
    let train = Dataset::new(clean.images().to_vec(), labels.collect(), 8, 8, 4).unwrap();
    let data = Splits { train, test: quadrants(100, 8, 2) };
    let split = Some(ValSize::Count(100));
    let config = Config { split, patience: Some(3), epochs: 200, schedule: Schedule::Constant, ..config() };
    let mut trainer = Trainer::new(&config, &data, Isa::best(), 1).unwrap();
    let mut weights = Vec::new();
    let mut losses = Vec::new();
    while !trainer.finished() {
        while !trainer.epoch_done() {
            trainer.step().unwrap();
        }
        losses.push(trainer.finish_epoch().unwrap().val_loss.unwrap());
        weights.push(trainer.params().to_vec());
    }
    assert!(trainer.stopped_early() && losses.len() < 200, "{} epochs", losses.len());
    let best = (0..losses.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap();
    assert_eq!(losses.len(), best + 4, "three epochs after the best");
    assert_eq!(trainer.state().best_epoch, Some(best as u32 + 1));
    assert_ne!(trainer.params(), weights[best]);
    trainer.restore_best();
    assert_eq!(trainer.params(), weights[best]);

    // The run does the same, and its model file is of that epoch.
    let dir = tempfile::tempdir().unwrap();
    let summary = run(&config, &data, Isa::best(), 1, &dir.path().join("r"), false, &mut ()).unwrap();
    assert!(summary.stopped_early && summary.best_epoch == Some(best as u32 + 1));
    let report = summary.report.unwrap();
    assert_eq!((report.epoch, report.val_loss), (best as u32 + 1, Some(losses[best])));
    assert_eq!(summary.val.unwrap().loss, losses[best]);
    assert_eq!(summary.test.unwrap().loss, report.test_loss.unwrap());
    assert_eq!(crate::checkpoint::load_model(&summary.model).unwrap().params, weights[best]);
}

#[test]
fn exact_train_metrics_are_those_of_the_weights_after_the_epoch() {
    let data = tiny();
    let config = Config { exact_train_metrics: true, epochs: 1, ..config() };
    let mut trainer = Trainer::new(&config, &data, Isa::best(), 1).unwrap();
    let report = finish(&mut trainer).remove(0);
    let metrics = trainer.evaluate_train().unwrap();
    assert_eq!((report.train_loss, report.train_accuracy), (metrics.loss, metrics.accuracy));
    assert_eq!(metrics.samples, 203);
}

#[test]
fn a_loss_that_is_no_number_stops_with_advice() {
    let data = tiny();
    let config = Config { optimizer: OptimizerKind::Sgd, lr: 1e30, ..config() };
    let dir = tempfile::tempdir().unwrap();
    let error = run(&config, &data, Isa::best(), 1, &dir.path().join("r"), false, &mut ()).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, TrainError::Diverged { epoch: 1, .. }), "{message}");
    assert!(message.contains("smaller --lr"), "{message}");

    // In an epoch of one update no later batch shows it, so the evaluation must.
    let config = Config { batch: 203, epochs: 1, lr: 3e38, ..config };
    let error = run(&config, &data, Isa::best(), 1, &dir.path().join("s"), false, &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { epoch: 1, step: 1, .. }), "{error}");
    assert!(!dir.path().join("s/model.safetensors").exists());
}

#[test]
fn values_and_data_that_do_not_fit_are_refused() {
    let data = tiny();
    let refused = |config: &Config, data: &Splits| Trainer::new(config, data, Isa::best(), 1).unwrap_err().to_string();
    let message = refused(&Config { batch: 0, ..config() }, &data);
    assert!(message.starts_with("batch: ") && message.contains("found 0"), "{message}");
    let message = refused(&Config { split: Some(ValSize::Count(203)), ..config() }, &data);
    assert!(message.contains("203"), "{message}");
    let odd = Splits { train: quadrants(20, 8, 1), test: quadrants(20, 6, 1) };
    assert!(refused(&config(), &odd).contains("6x6"));
    assert!(Trainer::new(&config(), &data, Isa::best(), 1).unwrap().with_weights(&[0.0; 3]).is_err());
}

/// Stops, or dies, before a given update.
struct Until {
    updates: u64,
    die: bool,
    log: Vec<String>,
}

impl Observer for Until {
    fn start(&mut self, start: &Start<'_>) {
        self.log.push(format!("start {}+{}", start.epoch, start.step_in_epoch));
    }

    fn step(&mut self, progress: &Progress) {
        self.updates -= 1;
        assert!(!(self.die && self.updates == 0), "killed");
        assert!(progress.samples <= progress.samples_seen && progress.step_in_epoch <= progress.steps_per_epoch);
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.log.push(format!("epoch {}", report.epoch));
    }

    fn stop_requested(&mut self) -> bool {
        self.updates == 0
    }
}

fn lines(dir: &Path) -> Vec<EpochReport> {
    let text = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What is there is not replaced by a run that never begins.
#[test]
fn a_run_that_is_stopped_before_it_begins_writes_nothing() {
    let data = tiny();
    let temp = tempfile::tempdir().unwrap();
    let (old, new) = (temp.path().join("old"), temp.path().join("new"));
    let before = run(&config(), &data, Isa::best(), 1, &old, false, &mut ()).unwrap();
    for dir in [&old, &new] {
        let mut never = Until { updates: 0, die: false, log: Vec::new() };
        let stopped = run(&Config { seed: 9, ..config() }, &data, Isa::best(), 1, dir, true, &mut never);
        assert!(matches!(stopped, Err(TrainError::Stopped)));
    }
    assert_eq!(Some(crate::checkpoint::file_sha256(&before.model).unwrap()), before.sha256);
    assert!(!new.exists());
}

/// Eleven updates in each of four epochs, stopped or killed before each of several of them, goes on to the same bytes.
#[test]
fn a_run_that_was_stopped_or_killed_resumes_to_the_same_bytes() {
    let data = tiny();
    let split = Some(ValSize::Count(3));
    for optimizer in [OptimizerKind::Adam, OptimizerKind::Sgd, OptimizerKind::Ema] {
        let config = Config { split, optimizer, batch: 19, ..config() };
        let temp = tempfile::tempdir().unwrap();
        let whole = run(&config, &data, Isa::best(), 1, &temp.path().join("whole"), false, &mut ()).unwrap();
        assert_eq!((whole.epochs, whole.history.len(), whole.interrupted), (4, 4, false));
        let bytes = fs::read(&whole.model).unwrap();
        let want = lines(&temp.path().join("whole"));
        for (stop, die) in [(1, false), (1, true), (11, false), (11, true), (17, false), (30, true), (44, false)] {
            let dir = temp.path().join(format!("{stop}-{die}"));
            let mut until = Until { updates: stop, die, log: Vec::new() };
            let first = catch_unwind(AssertUnwindSafe(|| run(&config, &data, Isa::best(), 2, &dir, false, &mut until)));
            assert_eq!(first.is_err(), die);
            if let Ok(summary) = first {
                let summary = summary.unwrap();
                assert_eq!(summary.interrupted, stop < 44);
                assert_eq!(summary.sha256.is_none(), summary.interrupted);
            }
            let mut until = Until { updates: 1000, die: false, log: Vec::new() };
            let resumed = resume(&dir, &data, Isa::best(), 3, &mut until).unwrap();
            assert_eq!(resumed.sha256, whole.sha256, "{optimizer} stopped at {stop}");
            assert_eq!(fs::read(&resumed.model).unwrap(), bytes);
            let kept = if die { stop.saturating_sub(1) / 11 * 11 } else { stop };
            assert_eq!(until.log[0], format!("start {}+{}", kept / 11, kept % 11));
            let got = lines(&dir);
            let key = |report: &EpochReport| (report.epoch, report.train_loss, report.val_loss, report.test_loss);
            assert_eq!(got.iter().map(key).collect::<Vec<_>>(), want.iter().map(key).collect::<Vec<_>>());
            assert_eq!(resumed.history.len(), 4);
            assert!(got.iter().all(|report| report.seconds >= 0.0));
        }
    }
}

#[test]
fn a_run_directory_says_everything_and_is_not_overwritten() {
    let data = tiny();
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("runs/one");
    let config = Config { epochs: 1, ..config() };
    let summary = run(&config, &data, Isa::best(), 2, &out, false, &mut ()).unwrap();
    assert!(summary.samples_per_second > 0.0 && summary.seconds >= summary.train_seconds);
    assert_eq!(summary.test.as_ref().unwrap().hardest.len(), run::HARDEST);
    assert_eq!(summary.test.as_ref().unwrap().confusion.len(), 4);

    let resolved = run::config_of(&out).unwrap();
    assert_eq!((resolved.threads, resolved.isa.as_deref()), (Some(2), Some(Isa::best().name())));
    assert_eq!(resolved.dataset, Some(DatasetHashes::of(&data)));
    let again = run(&resolved, &data, Isa::best(), 1, &temp.path().join("two"), false, &mut ()).unwrap();
    assert_eq!(again.sha256, summary.sha256, "config.toml runs the same training again");

    let other = Splits { train: quadrants(203, 8, 9), test: data.test.clone() };
    for error in [
        run(&config, &data, Isa::best(), 1, &out, false, &mut ()).unwrap_err(),
        run(&resolved, &other, Isa::best(), 1, &temp.path().join("three"), false, &mut ()).unwrap_err(),
        resume(&out, &other, Isa::best(), 1, &mut ()).unwrap_err(),
        resume(&temp.path().join("none"), &data, Isa::best(), 1, &mut ()).unwrap_err(),
    ] {
        assert!(!error.to_string().is_empty());
    }
    assert!(!temp.path().join("three").exists(), "nothing is made before everything is checked");
    run(&config, &data, Isa::best(), 1, &out, true, &mut ()).unwrap();
}

#[test]
fn a_run_that_is_not_as_it_was_is_not_gone_on_with() {
    let (data, temp) = (tiny(), tempfile::tempdir().unwrap());
    let out = temp.path().join("run");
    run(&config(), &data, Isa::best(), 1, &out, false, &mut ()).unwrap();
    let refused = |isa, words: &str| {
        let error = resume(&out, &data, isa, 1, &mut ()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    Isa::available().filter(|isa| isa.name() != Isa::best().name()).for_each(|isa| refused(isa, "instruction set"));
    // An empty line after the first: what follows it is neither lost nor taken for another epoch's.
    let file = out.join("metrics.jsonl");
    let damaged = fs::read_to_string(&file).unwrap().replacen('\n', "\n\n", 1);
    fs::write(&file, &damaged).unwrap();
    refused(Isa::best(), "metrics.jsonl: line 2");
    assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
    fs::remove_file(&file).unwrap();
    resume(&out, &data, Isa::best(), 1, &mut ()).unwrap();
}

/// A fraction of so few samples that it rounds to none.
#[test]
fn patience_needs_a_sample_to_look_at() {
    let (data, temp) = (tiny(), tempfile::tempdir().unwrap());
    let config = Config { split: Some(ValSize::Fraction(1e-4)), patience: Some(2), ..config() };
    let error = run(&config, &data, Isa::best(), 1, &temp.path().join("run"), false, &mut ()).unwrap_err().to_string();
    assert!(error.contains("patience") && error.contains("0.0001"), "{error}");
}

#[test]
fn first_weights_come_from_a_file_and_another_network_s_are_refused() {
    let data = tiny();
    let temp = tempfile::tempdir().unwrap();
    let first = run(&config(), &data, Isa::best(), 1, &temp.path().join("a"), false, &mut ()).unwrap();
    let init = Config { init: Some(first.model.clone()), epochs: 1, lr: 1e-9, ..config() };
    let second = run(&init, &data, Isa::best(), 1, &temp.path().join("b"), false, &mut ()).unwrap();
    let [a, b] = [&first, &second].map(|summary| crate::checkpoint::load_model(&summary.model).unwrap().params);
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6));
    let other = Config { model: ModelSpec::Mlp(vec![17]), ..init };
    let error = run(&other, &data, Isa::best(), 1, &temp.path().join("c"), false, &mut ()).unwrap_err();
    assert!(error.to_string().contains("model.safetensors"), "{error}");
    assert!(!temp.path().join("c").exists());
}

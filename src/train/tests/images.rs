//! Networks of images train, whichever threads do it and however often they are interrupted.

use super::*;
use crate::checkpoint::load_model;
use std::path::PathBuf;

/// Every layer that has a state or draws numbers, in a residual block.
const LAYERS: &str = r#"
[[layer]]
name = "first"
type = "conv2d"
out_channels = 8
kernel = 3
padding = 1
[[layer]]
name = "pool"
type = "max_pool2d"
kernel = 2
[[layer]]
name = "conv"
type = "conv2d"
out_channels = 8
kernel = 3
padding = 1
bias = false
[[layer]]
name = "norm"
type = "batch_norm"
[[layer]]
type = "relu"
[[layer]]
name = "sum"
type = "add"
inputs = ["4", "pool"]
[[layer]]
type = "dropout"
p = 0.2
[[layer]]
type = "flatten"
[[layer]]
type = "linear"
out_features = 24
[[layer]]
type = "tanh"
[[layer]]
type = "batch_norm"
[[layer]]
type = "linear"
"#;

fn model(dir: &Path) -> ModelSpec {
    let file = dir.join("net.toml");
    fs::write(&file, LAYERS).unwrap();
    ModelSpec::File(file)
}

fn images(side: usize) -> Splits {
    Splits { train: quadrants(203, side, 1), test: quadrants(100, side, 2) }
}

/// Batch norms and dropouts included: samples of 12 by 12 pixels, whose tensors are cut into several pieces.
#[test]
fn any_number_of_threads_gives_the_same_bytes_and_learns() {
    let (data, temp) = (images(12), tempfile::tempdir().unwrap());
    let augment = "rotate=10,translate=0.1".parse().unwrap();
    for average in ["none", "ema:0.9", "swa:3"] {
        let config = Config {
            model: model(temp.path()),
            batch: 60,
            epochs: 4,
            lr: 0.01,
            augment,
            average: average.parse().unwrap(),
            test_shift: 1,
            ..Config::default()
        };
        let train = |threads: usize| {
            let out = temp.path().join(format!("{average}-{threads}"));
            run(&config, &data, Isa::best(), threads, &out, false, &mut ()).unwrap()
        };
        let one = train(1);
        assert!(one.test.as_ref().unwrap().accuracy > 0.9, "{average}: {:?}", one.test);
        for threads in [2, 3, 8] {
            let other = train(threads);
            assert_eq!(other.sha256, one.sha256, "{average}, {threads} threads");
            assert_eq!(other.shifted_test, one.shifted_test, "{average}, {threads} threads");
        }
    }
}

/// Running statistics, what dropouts draw, and augmentation go on where they were.
#[test]
fn a_run_that_was_stopped_or_killed_resumes_to_the_same_bytes() {
    let (data, temp) = (images(8), tempfile::tempdir().unwrap());
    let augment = "rotate=10,erase=0.3:0.2".parse().unwrap();
    let split = Some(ValSize::Count(3));
    let mut results = Vec::new();
    for average in ["none", "ema:0.9", "swa:2"] {
        let config = Config {
            model: model(temp.path()),
            split,
            batch: 20,
            epochs: 3,
            lr: 0.01,
            augment,
            average: average.parse().unwrap(),
            patience: Some(3),
            ..Config::default()
        };
        let place = |name: &str| temp.path().join(format!("{average}-{name}"));
        let whole = run(&config, &data, Isa::best(), 1, &place("whole"), false, &mut ()).unwrap();
        for (updates, die) in [(1, false), (7, true), (13, false), (26, true)] {
            let dir = place(&updates.to_string());
            let mut until = Until { updates, die, log: Vec::new() };
            let first = catch_unwind(AssertUnwindSafe(|| run(&config, &data, Isa::best(), 2, &dir, false, &mut until)));
            assert_eq!(first.is_err(), die);
            let resumed = resume(&dir, &data, Isa::best(), 2, &mut ()).unwrap();
            assert_eq!(resumed.sha256, whole.sha256, "{average} stopped at {updates}");
            assert_eq!(resumed.best_epoch, whole.best_epoch);
            let again = resume(&dir, &data, Isa::best(), 2, &mut ()).unwrap();
            assert_eq!(again.sha256, whole.sha256, "{average} when it was over");
        }
        results.push(whole.sha256);
    }
    assert!(results[0] != results[1] && results[0] != results[2] && results[1] != results[2]);
}

/// Norms, sums and dropouts that the name and a flag put in.
#[test]
fn a_varied_network_learns_and_resumes_to_the_same_bytes() {
    let (data, temp) = (images(8), tempfile::tempdir().unwrap());
    let model = "cnn-small+batch-norm+residual".parse().unwrap();
    let config = Config { model, dropout: 0.2, batch: 20, epochs: 3, lr: 0.003, ..Config::default() };
    let (whole, stopped) = (temp.path().join("whole"), temp.path().join("stopped"));
    let whole = run(&config, &data, Isa::best(), 1, &whole, false, &mut ()).unwrap();
    assert!(whole.test.as_ref().unwrap().accuracy > 0.9, "{:?}", whole.test);
    let mut until = Until { updates: 13, die: false, log: Vec::new() };
    run(&config, &data, Isa::best(), 2, &stopped, false, &mut until).unwrap();
    let resumed = resume(&stopped, &data, Isa::best(), 2, &mut ()).unwrap();
    assert_eq!(resumed.sha256, whole.sha256);
    let graph = load_model(&whole.model).unwrap().graph;
    assert_eq!(graph, config.graph(8, 8, 4).unwrap());
    assert_eq!(graph.running().len(), 3);
    let plain =
        run(&Config { dropout: 0.0, ..config }, &data, Isa::best(), 1, &temp.path().join("plain"), false, &mut ());
    assert_ne!(plain.unwrap().sha256, whole.sha256);
}

/// A batch norm of the pixels themselves: whatever the weights, its statistics are those of the samples.
#[test]
fn a_mean_of_weights_is_that_of_its_epochs_and_gets_statistics_of_its_own() {
    let (data, temp) = (images(8), tempfile::tempdir().unwrap());
    let file = temp.path().join("net.toml");
    let layers = ["batch_norm", "flatten", "linear"].map(|layer| format!("[[layer]]\ntype = \"{layer}\"\n"));
    fs::write(&file, layers.concat()).unwrap();
    let average = Average::Swa { from: 2 };
    let config = Config {
        model: ModelSpec::File(file),
        batch: 20,
        limit: Some(200),
        epochs: 4,
        lr: 0.01,
        average,
        shuffle: false,
        ..Config::default()
    };
    let mut trainer = Trainer::new(&config, &data, Isa::best(), 2).unwrap();
    let mut after = Vec::new();
    while !trainer.finished() {
        while !trainer.epoch_done() {
            trainer.step().unwrap();
        }
        trainer.finish_epoch().unwrap();
        after.push(trainer.params().to_vec());
    }
    let (params, running) = (trainer.graph().param_count(), trainer.graph().running()[0].clone());
    for (i, got) in trainer.evaluated()[..params].iter().enumerate() {
        let want = after[1..].iter().map(|weights| f64::from(weights[i])).sum::<f64>() / 3.0;
        assert!((f64::from(*got) - want).abs() < 1e-6, "{i}: {got} for {want}");
    }
    let pixels: Vec<f64> = data.train.images()[..200 * 64].iter().map(|p| f64::from(*p) / 255.0).collect();
    let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
    let got = f64::from(trainer.evaluated()[running.mean()][0]);
    assert!((got - mean).abs() < 1e-5, "{got} for {mean}");
    let unbiased = |part: &[f64]| {
        let (n, mean) = (part.len() as f64, part.iter().sum::<f64>() / part.len() as f64);
        part.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / (n - 1.0)
    };
    let variance = pixels.chunks(20 * 64).map(unbiased).sum::<f64>() / 10.0;
    let got = f64::from(trainer.evaluated()[running.variance()][0]);
    assert!((got - variance).abs() < 1e-5, "{got} for {variance}");
    // Those of the weights themselves have only seen the batches of their own time.
    assert!((f64::from(trainer.params()[running.mean()][0]) - mean).abs() > 1e-5);
}

/// The nine moves by hand: each test set moved as a whole.
#[test]
fn shifts_average_the_probabilities_of_every_move() {
    let (data, temp) = (images(8), tempfile::tempdir().unwrap());
    let config = Config { model: model(temp.path()), batch: 20, epochs: 2, lr: 0.01, ..Config::default() };
    let mut trainer = Trainer::new(&config, &data, Isa::best(), 2).unwrap();
    finish(&mut trainer);
    let got = trainer.evaluate_test(0, 1).unwrap();
    let mut network = Network::inference(trainer.graph(), 100, Isa::best()).unwrap();
    let mut sums = vec![0.0f64; 100 * 4];
    for (down, right) in (-1..=1isize).flat_map(|down| (-1..=1isize).map(move |right| (down, right))) {
        let pixel = |i: usize| {
            let (image, r, c) = (i / 64, (i / 8 % 8) as isize - down, (i % 8) as isize - right);
            let inside = (0..8).contains(&r) && (0..8).contains(&c);
            if inside { f32::from(data.test.image(image)[(8 * r + c) as usize]) / 255.0 } else { 0.0 }
        };
        let x: Vec<f32> = (0..100 * 64).map(pixel).collect();
        let logits = network.forward(trainer.params(), &x).unwrap();
        for (sums, logits) in sums.chunks_mut(4).zip(logits.chunks(4)) {
            let total: f64 = logits.iter().map(|x| f64::from(*x).exp()).sum();
            sums.iter_mut().zip(logits).for_each(|(sum, x)| *sum += f64::from(*x).exp() / total / 9.0);
        }
    }
    let label = |i: usize| usize::from(data.test.label(i));
    let loss = sums.chunks(4).enumerate().map(|(i, p)| -p[label(i)].ln()).sum::<f64>() / 100.0;
    assert!((got.loss - loss).abs() < 1e-5, "{} for {loss}", got.loss);
    let right = sums.chunks(4).enumerate().filter(|(i, p)| p.iter().all(|other| *other <= p[label(*i)])).count();
    assert_eq!(got.correct, right as u64);
    assert!(trainer.evaluate_test(0, 0).unwrap().loss != got.loss);
}

/// What PyTorch's `load_state_dict` wants of a batch norm, and how often its statistics were taken over.
#[test]
fn running_statistics_are_stored_with_the_updates_that_made_them() {
    let (data, temp) = (images(8), tempfile::tempdir().unwrap());
    let config = Config { model: model(temp.path()), batch: 20, epochs: 2, ..Config::default() };
    let summary = run(&config, &data, Isa::best(), 2, &temp.path().join("run"), false, &mut ()).unwrap();
    let bytes = fs::read(&summary.model).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.retain(|name| name.starts_with("norm."));
    names.sort_unstable();
    assert_eq!(
        names,
        ["norm.bias", "norm.num_batches_tracked", "norm.running_mean", "norm.running_var", "norm.weight"]
    );
    let count = file.tensor("norm.num_batches_tracked").unwrap();
    assert_eq!((count.dtype(), count.shape()), (safetensors::Dtype::I64, &[][..]));
    assert_eq!(count.data(), 22_i64.to_le_bytes());
    let model = load_model(&summary.model).unwrap();
    assert_eq!(model.updates, 22);
    let running = &model.graph.running()[0];
    assert!(model.params[running.mean()].iter().any(|mean| *mean != 0.0));
    assert!(model.params[running.variance()].iter().all(|variance| *variance > 0.0 && *variance != 1.0));
}

/// An infinite weight deep in the network: the error says in which layer it first shows.
#[test]
fn a_loss_that_is_no_number_names_the_layer() {
    let (data, temp) = (images(8), tempfile::tempdir().unwrap());
    let config = Config { model: model(temp.path()), batch: 20, epochs: 1, ..Config::default() };
    let trainer = Trainer::new(&config, &data, Isa::best(), 2).unwrap();
    let mut weights = trainer.params().to_vec();
    let at = trainer.graph().params().iter().find(|param| param.name == "8.weight").unwrap().offset;
    weights[at] = f32::INFINITY;
    let error = trainer.with_weights(&weights).unwrap().step().unwrap_err().to_string();
    assert!(error.contains("first not finite in layer 8 (linear"), "{error}");
}

/// A file that is gone, or holds another network, is an error with its name.
#[test]
fn files_that_are_no_network_are_refused_by_name() {
    let (data, temp) = (images(8), tempfile::tempdir().unwrap());
    let refused = |file: PathBuf| {
        let config = Config { model: ModelSpec::File(file), ..Config::default() };
        Trainer::new(&config, &data, Isa::best(), 1).unwrap_err().to_string()
    };
    let missing = temp.path().join("missing.toml");
    assert!(refused(missing.clone()).contains("missing.toml"));
    fs::write(&missing, LAYERS.replacen("kernel = 3", "kernel = 30", 1)).unwrap();
    let error = refused(missing);
    assert!(error.contains("layer \"first\"") && error.contains("1x8x8") && error.contains("kernel"), "{error}");
}

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
    let config = Config { model: model(temp.path()), batch: 60, epochs: 4, lr: 0.01, augment, ..Config::default() };
    let train = |threads: usize| {
        let out = temp.path().join(threads.to_string());
        run(&config, &data, Isa::best(), threads, &out, false, &mut ()).unwrap()
    };
    let one = train(1);
    assert!(one.test.as_ref().unwrap().accuracy > 0.9, "{:?}", one.test);
    for threads in [2, 3, 8] {
        assert_eq!(train(threads).sha256, one.sha256, "{threads} threads");
    }
}

/// Running statistics, what dropouts draw, and augmentation go on where they were.
#[test]
fn a_run_that_was_stopped_or_killed_resumes_to_the_same_bytes() {
    let (data, temp) = (images(8), tempfile::tempdir().unwrap());
    let augment = "rotate=10,erase=0.3:0.2".parse().unwrap();
    let split = Some(ValSize::Count(3));
    let config =
        Config { model: model(temp.path()), split, batch: 20, epochs: 3, lr: 0.01, augment, ..Config::default() };
    let whole = run(&config, &data, Isa::best(), 1, &temp.path().join("whole"), false, &mut ()).unwrap();
    for (updates, die) in [(1, false), (7, true), (13, false), (26, true)] {
        let dir = temp.path().join(updates.to_string());
        let mut until = Until { updates, die, log: Vec::new() };
        let first = catch_unwind(AssertUnwindSafe(|| run(&config, &data, Isa::best(), 2, &dir, false, &mut until)));
        assert_eq!(first.is_err(), die);
        let resumed = resume(&dir, &data, Isa::best(), 2, &mut ()).unwrap();
        assert_eq!(resumed.sha256, whole.sha256, "stopped at {updates}");
    }
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

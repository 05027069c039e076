//! Trains as PyTorch does: the losses that `tests/pytorch/make_golden.py` recorded, step by step, on every instruction set here.
//!
//! The golden files hold, for each run, its settings in the words of `config.toml`, and the loss of 100 updates from common
//! first weights on the first 5,000 MNIST images in order. `tests/pytorch/check_numpy.py` derives the same losses from the
//! formulas. Run with `-- --nocapture` to see the largest difference of each run.
#![cfg(feature = "train")]

use inkstone::checkpoint::load_weights_into;
use inkstone::data::dataset::load_mnist;
use inkstone::data::{Splits, batch};
use inkstone::graph::Graph;
use inkstone::kernels::Isa;
use inkstone::train::{Config, ModelSpec, Network, Schedule, Trainer};
use safetensors::SafeTensors;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Largest relative difference of a loss, and largest difference of a logit.
const TOLERANCE: f64 = 1e-5;

/// What `golden.json` holds, as far as this test needs it.
#[derive(Deserialize)]
struct Golden {
    batch: usize,
    #[serde(rename = "final")]
    last: Last,
    runs: Vec<Run>,
}

/// Which run's weights `final.safetensors` holds, and how many test images `logits.safetensors`.
#[derive(Deserialize)]
struct Last {
    run: String,
    test_images: u32,
}

/// One run of PyTorch.
#[derive(Deserialize)]
struct Run {
    name: String,
    settings: Config,
    losses: Vec<f64>,
}

impl Run {
    /// Its settings with what all runs have in common.
    fn config(&self, batch: usize) -> Config {
        Config {
            model: ModelSpec::Mlp(vec![16]),
            epochs: 1,
            batch,
            limit: Some(batch * self.losses.len()),
            shuffle: false,
            ..self.settings.clone()
        }
    }
}

fn golden_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch/golden").join(name)
}

fn golden() -> Golden {
    serde_json::from_slice(&fs::read(golden_file("golden.json")).unwrap()).unwrap()
}

fn mnist() -> Splits {
    load_mnist(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist")).unwrap()
}

/// The weights of `graph` in a file that PyTorch saved.
fn weights(name: &str, graph: &Graph) -> Vec<f32> {
    let mut weights = vec![f32::NAN; graph.weights_len()];
    load_weights_into(&golden_file(name), graph, &mut weights).unwrap();
    weights
}

/// Every optimizer, penalty, schedule and activation: each loss within a few roundings of PyTorch's, as `TOLERANCE` says.
#[test]
fn losses_follow_pytorch() {
    let (golden, data) = (golden(), mnist());
    assert!(golden.runs.len() >= 12, "every optimizer has its run");
    for isa in Isa::available() {
        for run in &golden.runs {
            assert_eq!(run.losses.len(), 100);
            let config = run.config(golden.batch);
            let trainer = Trainer::new(&config, &data, isa, 2).unwrap();
            let initial = weights("initial.safetensors", trainer.graph());
            let mut trainer = trainer.with_weights(&initial).unwrap();
            let mut worst = (0.0, 0);
            for (step, &want) in run.losses.iter().enumerate() {
                let got = trainer.step().unwrap().loss;
                let difference = (got - want).abs() / want;
                assert!(difference <= TOLERANCE, "{isa} {} step {step}: loss {got}, PyTorch's is {want}", run.name);
                if difference > worst.0 {
                    worst = (difference, step);
                }
            }
            assert!(trainer.epoch_done());
            println!("{isa:8} {:22} largest relative difference {:.1e} at step {}", run.name, worst.0, worst.1);
        }
    }
}

/// The weights that PyTorch trained give PyTorch's logits.
#[test]
fn logits_of_pytorchs_weights_are_pytorchs() {
    let (golden, data) = (golden(), mnist());
    let run = golden.runs.iter().find(|run| run.name == golden.last.run).unwrap();
    let config = run.config(golden.batch);
    let graph = config.graph(data.test.rows(), data.test.cols(), data.test.classes()).unwrap();
    let params = weights("final.safetensors", &graph);
    let indices: Vec<u32> = (0..golden.last.test_images).collect();

    let bytes = fs::read(golden_file("logits.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor("logits").unwrap();
    assert_eq!(tensor.shape(), [indices.len(), graph.classes()]);
    let (want, _) = tensor.data().as_chunks();

    let normalize = config.normalize.resolve(&data.train, &[]).unwrap();
    for isa in Isa::available() {
        let mut x = vec![f32::NAN; indices.len() * data.test.pixels()];
        batch::fill(isa, &data.test, &normalize, &indices, &mut x).unwrap();
        let mut network = Network::inference(&graph, indices.len(), isa).unwrap();
        let got = network.forward(&params, &x).unwrap();
        assert_eq!(got.len(), want.len());
        let mut worst = 0.0f64;
        for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
            let want = f32::from_le_bytes(want);
            let difference = f64::from((got - want).abs());
            assert!(difference <= TOLERANCE, "{isa} logit {i}: {got}, PyTorch's is {want}");
            worst = worst.max(difference);
        }
        println!("{isa:8} {} logits, largest difference {worst:.1e}", want.len());
    }
}

/// What `cnn.json` holds, as far as this test needs it.
#[derive(Deserialize)]
struct GoldenImages {
    batch: usize,
    lr: f64,
    test_images: u32,
    runs: BTreeMap<String, ImageRun>,
}

/// One convolutional network's losses, and its log-probabilities of the first test images after the last step.
#[derive(Deserialize)]
struct ImageRun {
    losses: Vec<f64>,
    log_probabilities: Vec<f64>,
}

/// Batch norms, groups, strides, residual sums and poolings, and convolutions by Winograd's transforms: 50 steps of Adam from the same weights
/// and batches, each loss within 1e-3 of PyTorch's, and then the same log-probabilities by running statistics.
#[test]
fn networks_of_images_follow_pytorch() {
    let golden: GoldenImages = serde_json::from_slice(&fs::read(golden_file("cnn.json")).unwrap()).unwrap();
    let data = mnist();
    for isa in Isa::available() {
        for (name, run) in &golden.runs {
            assert_eq!(run.losses.len(), 50);
            let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/pytorch/{name}.toml"));
            let config = Config {
                model: ModelSpec::File(model),
                epochs: 1,
                batch: golden.batch,
                limit: Some(golden.batch * run.losses.len()),
                shuffle: false,
                lr: golden.lr,
                schedule: Schedule::Constant,
                ..Config::default()
            };
            let trainer = Trainer::new(&config, &data, isa, 2).unwrap();
            let initial = weights(&format!("{name}_initial.safetensors"), trainer.graph());
            let mut trainer = trainer.with_weights(&initial).unwrap();
            let mut worst = 0.0f64;
            for (step, want) in run.losses.iter().enumerate() {
                let got = trainer.step().unwrap().loss;
                let difference = (got - want).abs() / want;
                assert!(difference <= 1e-3, "{isa} {name} step {step}: loss {got}, PyTorch's is {want}");
                worst = worst.max(difference);
            }
            if name == "residual" {
                // The running statistics took part in no loss: they are compared by themselves.
                let want = weights("residual_final.safetensors", trainer.graph());
                let running = trainer.graph().param_count()..;
                for (got, want) in trainer.params()[running.clone()].iter().zip(&want[running]) {
                    assert!((got - want).abs() <= 1e-3 * want.abs().max(1e-2), "{isa} {got} for {want}");
                }
            }
            let mut network = Network::inference(trainer.graph(), golden.test_images as usize, isa).unwrap();
            let indices: Vec<u32> = (0..golden.test_images).collect();
            let x = network.input_mut(indices.len()).unwrap();
            batch::fill(isa, &data.test, &trainer.normalize(), &indices, x).unwrap();
            let logits = network.forward_filled(trainer.params(), indices.len()).unwrap();
            let furthest = logits.iter().zip(&run.log_probabilities);
            let furthest = furthest.map(|(got, want)| (f64::from(*got) - want).abs()).fold(0.0, f64::max);
            assert!(furthest < 2e-2, "{isa} {name}: a log-probability is {furthest} off");
            println!(
                "{isa:8} {name:8} largest relative difference of a loss {worst:.1e}, of a log-probability {furthest:.1e}"
            );
        }
    }
}

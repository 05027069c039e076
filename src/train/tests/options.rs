//! What the options of an update do, held against the same update by hand.

use super::*;
use crate::train::objective::Objective;

/// One update by all samples at once, at a rate of one half.
fn base() -> Config {
    let schedule = "constant".parse().unwrap();
    Config { optimizer: OptimizerKind::Sgd, lr: 0.5, batch: 203, schedule, shuffle: false, ..config() }
}

/// The weights before and after it.
fn updated(config: &Config, data: &Splits) -> [Vec<f32>; 2] {
    let mut trainer = Trainer::new(config, data, Isa::best(), 1).unwrap();
    let before = trainer.params().to_vec();
    trainer.step().unwrap();
    [before, trainer.params().to_vec()]
}

/// The gradient that the network has at `weights`.
fn gradient(config: &Config, data: &Splits, weights: &[f32], smoothing: f32) -> Vec<f32> {
    let graph = config.graph(8, 8, 4).unwrap();
    let mut network = Network::new(&graph, 203, Isa::best()).unwrap();
    let x: Vec<f32> = data.train.images().iter().map(|pixel| f32::from(*pixel) / 255.0).collect();
    let objective = Objective { smoothing, ..Objective::new(Reduction::Mean, config.seed, 0) };
    let mut gradient = vec![f32::NAN; graph.param_count()];
    network.loss_and_gradient(weights, &x, data.train.labels(), objective, &mut gradient).unwrap();
    gradient
}

#[test]
fn labels_are_smoothed_and_gradients_clipped_as_asked_for() {
    let data = tiny();
    let [before, plain] = updated(&base(), &data);
    let steep = gradient(&base(), &data, &before, 0.0);
    let norm = steep.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    let cases = [
        (base(), 0.0, 1.0),
        (Config { label_smoothing: 0.2, ..base() }, 0.2, 1.0),
        (Config { clip_norm: Some(norm / 4.0), ..base() }, 0.0, 0.25),
        (Config { clip_norm: Some(norm * 1.01), ..base() }, 0.0, 1.0),
    ];
    for (config, smoothing, factor) in cases {
        let [start, after] = updated(&config, &data);
        assert_eq!(start, before);
        let by = gradient(&config, &data, &before, smoothing);
        for ((before, after), g) in before.iter().zip(&after).zip(&by) {
            let want = before - 0.5 * factor * g;
            assert!((after - want).abs() < 1e-5, "smoothing {smoothing}, factor {factor}: {after}, want {want}");
        }
        let apart = plain.iter().zip(&after).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        assert_eq!(apart > 1e-3, smoothing > 0.0 || factor < 1.0, "smoothing {smoothing}, factor {factor}: {apart}");
    }
}

/// He's and Glorot's intervals, by number: 64 pixels, 16 hidden, 4 classes.
#[test]
fn first_weights_are_those_that_are_asked_for() {
    let data = tiny();
    for (initializer, widths) in [
        (Initializer::Kaiming, [0.306_186_2, 0.612_372_4]), // sqrt(6 / 64), sqrt(6 / 16)
        (Initializer::Xavier, [0.273_861_3, 0.547_722_6]),  // sqrt(6 / 80), sqrt(6 / 20)
        (Initializer::Pytorch, [0.125, 0.25]),              // 1 / sqrt(64), 1 / sqrt(16)
    ] {
        let trainer = Trainer::new(&Config { initializer, ..config() }, &data, Isa::best(), 1).unwrap();
        for (weights, width) in
            [(0..1024, widths[0]), (1040..1104, widths[1])].map(|(at, w)| (&trainer.params()[at], w))
        {
            let largest = weights.iter().fold(0.0f32, |most, w| most.max(w.abs()));
            assert!(largest <= width && largest > 0.9 * width, "{initializer}: {largest} of {width}");
        }
        let bias = &trainer.params()[1024..1040];
        assert_eq!(bias.iter().all(|b| *b == 0.0), initializer != Initializer::Pytorch, "{initializer}");
    }
}

/// In its third epoch a run diverges: what it had saved after the second is still there.
#[test]
fn a_run_that_diverges_late_keeps_its_last_save() {
    let (data, temp) = (tiny(), tempfile::tempdir().unwrap());
    let out = temp.path().join("run");
    let config = Config { optimizer: OptimizerKind::Sgd, ..config() };
    let mut two_epochs = Until { updates: 22, die: false, log: Vec::new() };
    assert!(run(&config, &data, Isa::best(), 1, &out, false, &mut two_epochs).unwrap().interrupted);
    let file = out.join("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("lr = 0.01\n"));
    fs::write(&file, text.replace("lr = 0.01\n", "lr = 1e30\n")).unwrap();
    let error = resume(&out, &data, Isa::best(), 1, &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { epoch: 3, .. }), "{error}");
    let kept = crate::checkpoint::RunDir::open(&out).unwrap().load().unwrap();
    assert_eq!((kept.state.epoch, kept.state.step_in_epoch, kept.note), (2, 0, None));
    assert!(kept.model.params.iter().all(|w| w.is_finite()));
    assert!(!out.join("model.safetensors").exists());
}

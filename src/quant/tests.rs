//! Networks of every kind of layer, ready for a device, against the code that trains them.

use super::calibrate::{self, Calibrator};
use super::float::{self, About};
use super::lower::{LayerWork, lower};
use super::score::{all, score};
use super::{QuantError, convert, fidelity};
use crate::data::{Dataset, Normalize};
use crate::export::image;
use crate::graph::{Conv2d, Graph, Node, Op, Probability, TensorId};
use crate::kernels::Isa;
use crate::runtime::{Kind, first_largest};
use crate::shape::Shape;
use crate::train::{ActivationKind, ModelSpec, Network};

/// Uniform in `[-1, 1)`.
fn uniform(len: usize, mut seed: u64) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Weights of a size that keeps signals alive, and running variances above 0.
fn weights(graph: &Graph) -> Vec<f32> {
    let mut weights = uniform(graph.weights_len(), 3);
    for param in graph.params() {
        let size = (3.0 / param.fan_in as f32).sqrt();
        weights[param.range()].iter_mut().for_each(|w| *w *= size);
    }
    for running in graph.running() {
        weights[running.variance()].iter_mut().for_each(|v| *v = 0.5 + v.abs());
    }
    weights
}

/// Pictures of soft spots, as digits are.
fn pictures(count: usize) -> Dataset {
    let mut images = Vec::new();
    for index in 0..count {
        let (y0, x0) = (7 + index * 5 % 14, 6 + index * 11 % 15);
        images.extend((0..28 * 28).map(|at: usize| {
            let (y, x) = (at / 28, at % 28);
            255usize.saturating_sub(6 * ((y.abs_diff(y0)).pow(2) + (x.abs_diff(x0)).pow(2))) as u8
        }));
    }
    let labels = (0..count).map(|index| (index % 10) as u8).collect();
    Dataset::new(images, labels, 28, 28, 10).unwrap()
}

fn about(normalize: Normalize) -> About {
    About { normalization: normalize.constant(), classes: (0..10).map(|c| c.to_string()).collect(), release: 1 }
}

fn graph(spec: &str, activation: ActivationKind) -> Graph {
    let spec: ModelSpec = spec.parse().unwrap();
    spec.graph(activation, Shape::new(&[1, 28, 28]).unwrap(), 10).unwrap()
}

/// What the code that trains says of every picture.
fn trained(graph: &Graph, weights: &[f32], data: &Dataset, normalize: Normalize) -> Vec<f32> {
    let mut network = Network::inference(graph, data.len(), Isa::best()).unwrap();
    let mut x = Vec::new();
    for index in 0..data.len() {
        let (scale, offset) = normalize.affine(data.image(index));
        x.extend(data.image(index).iter().map(|pixel| f32::from(*pixel) * scale + offset));
    }
    network.forward(weights, &x).unwrap().to_vec()
}

const SPECS: [(&str, ActivationKind); 9] = [
    ("linear", ActivationKind::Relu),
    ("mlp:24,16", ActivationKind::Tanh),
    ("mlp:24", ActivationKind::Sigmoid),
    ("mlp:24,16+batch-norm", ActivationKind::Relu),
    ("cnn-8-16", ActivationKind::Relu),
    ("cnn-tiny", ActivationKind::Relu),
    ("cnn-small+batch-norm+residual", ActivationKind::Relu),
    ("resnet-small", ActivationKind::Relu),
    ("cnn-deep", ActivationKind::Relu),
];

#[test]
fn floats_on_a_device_are_those_of_training() {
    let data = pictures(6);
    for (spec, activation) in SPECS {
        let graph = graph(spec, activation);
        let weights = weights(&graph);
        for normalize in [Normalize::Unit, Normalize::MeanStd { mean: 0.1307, std: 0.3081 }, Normalize::Image] {
            let want = trained(&graph, &weights, &data, normalize);
            let image =
                image::write(&float::program(&lower(&graph, &weights).unwrap(), &about(normalize), false).unwrap())
                    .unwrap();
            let (_, got) = score(&image.model().unwrap(), &data, &all(&data), Isa::best(), 0).unwrap();
            let most = want.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            for (want, got) in want.iter().zip(&got) {
                // A last logarithm of softmax is left out of images.
                assert!((want - got).abs() <= 2e-4 * most, "{spec} {normalize}: {want} {got}");
            }
        }
    }
}

/// Noise far below the signal at every step, exact on every instruction set, batch by batch.
fn bytes_follow_floats(normalize: Normalize) {
    let data = pictures(40);
    for (spec, activation) in SPECS {
        let graph = graph(spec, activation);
        let weights = weights(&graph);
        let (lowered, about) = (lower(&graph, &weights).unwrap(), about(normalize));
        let seen = all(&data);
        let made =
            calibrate::candidates(&lowered, &about, &data, (&seen, &seen), &Calibrator::ALL, Isa::best()).unwrap();
        let image = &made[0].image; // of everything that was seen
        let model = image.model().unwrap();
        assert_eq!((model.kind(), model.release()), (Kind::I8, 1));
        let report = fidelity::compare(&model, &lowered, &about, &data, 40, Isa::best()).unwrap();
        assert_eq!(report.layers[0].name == "pixels", normalize == Normalize::Image);
        for layer in &report.layers {
            assert!(layer.sqnr_db.is_none_or(|db| db > 18.0), "{spec} {normalize}: {layer:?}");
            assert!(layer.clipped < 0.01, "{spec} {normalize}: {layer:?}");
        }
        let (_, want) = score(&model, &data, &seen, Isa::best(), 0).unwrap();
        let (_, got) = score(&model, &data, &seen, Isa::SCALAR, 0).unwrap();
        assert_eq!(want, got, "{spec}");
        let least = made.iter().map(|made| made.loss).fold(f64::INFINITY, f64::min);
        assert_eq!(calibrate::best(&made).unwrap().loss, least);
    }
}

#[test]
fn bytes_follow_floats_step_by_step() {
    bytes_follow_floats(Normalize::Unit);
}

#[test]
fn bytes_follow_floats_of_images_with_a_common_mean() {
    bytes_follow_floats(Normalize::MeanStd { mean: 0.1307, std: 0.3081 });
}

#[test]
fn bytes_follow_floats_of_images_normalised_one_by_one() {
    bytes_follow_floats(Normalize::Image);
}

/// A digit in the lower half is a 0 for certain: all other logits are down to -1000, a hundred times what tells the others apart.
#[test]
fn logits_far_below_the_largest_take_no_levels_from_the_others() {
    let data = pictures(140);
    let graph = graph("linear", ActivationKind::Relu);
    let mut weights = weights(&graph);
    for (at, w) in weights[graph.params()[0].range()].iter_mut().enumerate() {
        let (class, row) = (at / 784, at % 784 / 28);
        *w = match class {
            _ if row < 14 => *w * 40.0,
            0 => 0.0,
            _ => -25.0,
        };
    }
    let read = trained(&graph, &weights, &data, Normalize::Unit);
    let labels = read.chunks(10).map(|logits| first_largest(logits) as u8).collect();
    let data = Dataset::new(data.images().to_vec(), labels, 28, 28, 10).unwrap();
    let (lowered, about, seen) = (lower(&graph, &weights).unwrap(), about(Normalize::Unit), all(&data));
    let made = calibrate::candidates(&lowered, &about, &data, (&seen, &seen), &Calibrator::ALL, Isa::best()).unwrap();
    let best = calibrate::best(&made).unwrap();
    let lowest = best.lowest_logit.unwrap();
    assert!((-600.0..0.0).contains(&lowest), "{lowest}");
    assert_eq!(best.to_string(), format!("{}, logits from {lowest:.1}", best.calibrator));
    let others = made[..4].iter().map(|made| made.accuracy).fold(0.0, f64::max);
    assert!(best.accuracy > 0.99 && others < 0.98, "{} {others}", best.accuracy);
}

/// A convolution, its batch norm, its ReLU and the pooling behind it are one step.
#[test]
fn what_belongs_together_is_one_step() {
    let graph = graph("cnn-tiny", ActivationKind::Relu);
    let lowered = lower(&graph, &weights(&graph)).unwrap();
    let names: Vec<&str> = lowered.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["0+1", "3+4", "6+7", "9", "11"]);
    assert!(lowered.layers[..3].iter().all(|layer| layer.relu));
    assert_eq!(convert::written(&lowered), [0, 1, 2, 4, 5]);
    let program = convert::program(&lowered, &about(Normalize::Unit), &[(-1.0, 1.0); 6]).unwrap();
    assert!(program.steps[3].pool && program.steps.len() == 5);
}

/// Of two addends the one that nothing else reads is written over, whichever comes first, and one that was read before if neither is.
#[test]
fn sums_take_no_room_of_their_own() {
    let conv = |in_channels| Conv2d {
        in_channels,
        out_channels: 4,
        kernel: [3, 3],
        stride: 1,
        padding: 1,
        groups: 1,
        bias: true,
    };
    let built = |[first, second]: [[usize; 2]; 2]| {
        let last = Op::Linear { in_features: 4 * 784, out_features: 10 };
        let read = [
            (Op::Conv2d(conv(1)), vec![0]),
            (Op::Conv2d(conv(4)), vec![1]),
            (Op::Add, first.to_vec()),
            (Op::Add, second.to_vec()),
            (Op::Flatten, vec![4]),
            (last, vec![5]),
        ];
        let node = |(index, (op, inputs)): (usize, (Op, Vec<usize>))| Node {
            name: index.to_string(),
            op,
            inputs: inputs.into_iter().map(TensorId).collect(),
            output: TensorId(index + 1),
        };
        let nodes = read.into_iter().enumerate().map(node).collect();
        Graph::from_nodes(Shape::new(&[1, 28, 28]).unwrap(), nodes).unwrap()
    };
    let data = pictures(3);
    for halves in [false, true] {
        let mut found = Vec::new();
        for addends in [[[2, 1], [3, 1]], [[1, 2], [3, 1]], [[2, 1], [1, 3]], [[1, 2], [1, 3]]] {
            let graph = built(addends);
            let program =
                float::program(&lower(&graph, &weights(&graph)).unwrap(), &about(Normalize::Unit), halves).unwrap();
            let layout = image::layout(&program).unwrap();
            assert_eq!(layout.arena, 2 * 4 * 784 * 4, "{addends:?}");
            let image = image::write(&program).unwrap();
            found.push(score(&image.model().unwrap(), &data, &all(&data), Isa::best(), 0).unwrap().1);
        }
        assert!(found.iter().all(|logits| *logits == found[0]));
        // Of the first sum's addends both are read by others; the first for the last time.
        let graph = built([[1, 2], [3, 2]]);
        let program =
            float::program(&lower(&graph, &weights(&graph)).unwrap(), &about(Normalize::Unit), halves).unwrap();
        assert_eq!(image::layout(&program).unwrap().arena, 2 * 4 * 784 * 4);
    }
}

/// Ranges are read from some images and judged by others, always the same ones.
#[test]
fn calibration_is_judged_by_images_that_it_has_not_seen() {
    for (n, count, expected) in [(60_000, 2000, 2000), (100, 80, 50), (7, 3, 3), (2, 9, 1), (1, 5, 1)] {
        let (seen, others) = calibrate::images(n, count, 1);
        assert_eq!((seen.len(), others.len()), (expected, expected), "{count} of {n}");
        assert!(seen.iter().chain(&others).all(|image| (*image as usize) < n));
        let both = seen.iter().filter(|image| others.contains(image)).count();
        assert_eq!(both, if n < 2 { n } else { 0 }, "{count} of {n}");
        assert_eq!((seen, others), calibrate::images(n, count, 1));
    }
    assert_ne!(calibrate::images(100, 10, 1), calibrate::images(100, 10, 2));
}

#[test]
fn weights_that_halves_cannot_hold_are_refused() {
    let ops = [Op::Flatten, Op::Linear { in_features: 784, out_features: 10 }];
    let graph = Graph::sequential(Shape::new(&[1, 28, 28]).unwrap(), &ops).unwrap();
    for (weight, good) in [(65_504.0, true), (65_536.0, false), (f32::NAN, false)] {
        let mut weights = weights(&graph);
        weights[7] = weight;
        let lowered = lower(&graph, &weights).unwrap();
        let program = |halves| float::program(&lowered, &about(Normalize::Unit), halves);
        assert_eq!((program(true).is_ok(), program(false).is_ok()), (good, true), "{weight}");
    }
}

/// A batch norm between a flattened image and a linear layer becomes part of the latter.
#[test]
fn a_batch_norm_goes_into_the_layer_behind_it() {
    // A dropout in between is nothing to a device.
    let dropout = Op::Dropout { p: Probability::new(0.5).unwrap() };
    let last = Op::Linear { in_features: 784, out_features: 10 };
    let ops = [Op::Flatten, Op::BatchNorm { features: 784 }, dropout, last];
    let graph = Graph::sequential(Shape::new(&[1, 28, 28]).unwrap(), &ops).unwrap();
    let (weights, data) = (weights(&graph), pictures(5));
    let lowered = lower(&graph, &weights).unwrap();
    assert!(matches!(lowered.layers[..], [ref layer] if matches!(layer.work, LayerWork::Dense { .. })));
    let image = image::write(&float::program(&lowered, &about(Normalize::Unit), false).unwrap()).unwrap();
    let (_, got) = score(&image.model().unwrap(), &data, &all(&data), Isa::best(), 0).unwrap();
    for (want, got) in trained(&graph, &weights, &data, Normalize::Unit).iter().zip(&got) {
        assert!((want - got).abs() < 1e-3, "{want} {got}");
    }
}

/// A mean of one pixel keeps the scale, and no factor is quite 1.
#[test]
fn a_mean_of_one_pixel_is_quantized() {
    let ops = [Op::GlobalAvgPool, Op::GlobalAvgPool, Op::Flatten, Op::Linear { in_features: 1, out_features: 10 }];
    let graph = Graph::sequential(Shape::new(&[1, 28, 28]).unwrap(), &ops).unwrap();
    let lowered = lower(&graph, &weights(&graph)).unwrap();
    let program = convert::program(&lowered, &about(Normalize::Unit), &[(0.0, 1.0); 4]).unwrap();
    let (data, image) = (pictures(8), image::write(&program).unwrap());
    let (_, got) = score(&image.model().unwrap(), &data, &all(&data), Isa::best(), 0).unwrap();
    let want = trained(&graph, &weights(&graph), &data, Normalize::Unit);
    for (want, got) in want.iter().zip(&got) {
        assert!((want.clamp(0.0, 1.0) - got).abs() < 0.02, "{want} {got}");
    }
}

#[test]
fn what_no_device_runs_is_named() {
    let input = Shape::new(&[1, 28, 28]).unwrap();
    let refused = |ops: &[Op]| {
        let graph = Graph::sequential(input, ops).unwrap();
        lower(&graph, &weights(&graph)).unwrap_err().to_string()
    };
    let linear = Op::Linear { in_features: 784, out_features: 10 };
    let middle = refused(&[Op::Flatten, Op::LogSoftmax, linear]);
    assert!(middle.contains("layer 1") && middle.contains("only at the end"), "{middle}");
    let norm = refused(&[Op::Flatten, Op::BatchNorm { features: 784 }, Op::Relu, linear]);
    assert!(norm.contains("batch norm of a flattened image"), "{norm}");
    let flat = refused(&[Op::Relu, Op::Flatten]);
    assert!(flat.contains("last layer"), "{flat}");

    let graph = graph("linear", ActivationKind::Relu);
    let lowered = lower(&graph, &weights(&graph)).unwrap();
    let ranges = [(-1.0, 1.0); 2];
    let far = About { normalization: Some([1.0, 300.0]), ..about(Normalize::Unit) };
    assert!(matches!(convert::program(&lowered, &far, &ranges), Err(QuantError::Offset { .. })));
    let mut broken = weights(&graph);
    broken[5] = f32::NAN;
    let broken = lower(&graph, &broken).unwrap();
    let error = convert::program(&broken, &about(Normalize::Unit), &ranges).unwrap_err().to_string();
    assert!(error.contains("weights that are numbers"), "{error}");
    assert!(matches!(lower(&graph, &[0.0]), Err(QuantError::Weights { .. })));
}

//! What networks learn, by whichever way a batch is taken, and what they refuse.

use super::*;
use crate::data::random::Random;
use crate::graph::{Op, Probability};
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

/// Batches on both sides of the smallest that is cut, of an even and an odd number of samples: near the gradients of floats, and the same bits on
/// any number of threads.
#[test]
fn two_halves_of_a_batch_of_pixels_do_what_all_of_it_does() {
    let shape = Shape::new(&[1, 3, 4]).unwrap();
    let ops = [
        Op::Flatten,
        Op::Linear { in_features: 12, out_features: 9 },
        Op::Tanh,
        Op::Linear { in_features: 9, out_features: 4 },
    ];
    let graph = Graph::sequential(shape, &ops).unwrap();
    let mut params = vec![0.0; graph.param_count()];
    Initializer::Pytorch.fill(&graph, 2, &mut params);
    let most = 131;
    let bytes: Vec<u8> = (0..12 * most).map(|i| (i * 89 % 251) as u8).collect();
    let (_, labels) = digits(most, 12);
    let affine = [1.0 / 100.0, -0.5];
    let x: Vec<f32> = bytes.iter().map(|pixel| f32::from(*pixel).mul_add(affine[0], affine[1])).collect();
    for isa in Isa::available().filter(|isa| isa.lanes() >= 8) {
        let mut network = Network::new(&graph, most, isa).unwrap();
        assert!(network.half.is_some());
        for (rows, reduction) in
            [63, 64, 65, 130, 131].into_iter().zip([Reduction::Mean, Reduction::Sum].into_iter().cycle())
        {
            let objective = Objective { smoothing: 0.1, ..Objective::from(reduction) };
            let mut want = vec![f32::NAN; params.len()];
            let whole =
                network.loss_and_gradient(&params, &x[..12 * rows], &labels[..rows], objective, &mut want).unwrap();
            let mut first: Option<Vec<f32>> = None;
            for threads in [1, 2, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut got = vec![f32::NAN; params.len()];
                let halves = pool.install(|| {
                    network.input_pixels_mut(rows, affine).unwrap().copy_from_slice(&bytes[..12 * rows]);
                    network.loss_and_gradient_filled(&params, &labels[..rows], objective, &mut got).unwrap()
                });
                assert_eq!((halves.correct, halves.samples), (whole.correct, rows as u32), "{isa}");
                assert!((halves.loss_sum - whole.loss_sum).abs() < 1e-6 * rows as f64, "{isa} {rows}");
                let largest = want.iter().fold(0.0f32, |most, g| most.max(g.abs()));
                assert!(want.iter().zip(&got).all(|(want, got)| (want - got).abs() < 1e-5 * largest), "{isa} {rows}");
                assert_eq!(*first.get_or_insert_with(|| got.clone()), got, "{isa} {rows}");
            }
        }
        // What is wrong with either half is said, and the next batch is none the worse.
        let mut got = vec![f32::NAN; params.len()];
        for wrong in [0, 100] {
            let mut labels = labels.clone();
            labels[wrong] = 4;
            network.input_pixels_mut(most, affine).unwrap().copy_from_slice(&bytes);
            assert!(network.loss_and_gradient_filled(&params, &labels, Reduction::Mean.into(), &mut got).is_err());
        }
        assert!(network.loss_and_gradient_filled(&params, &labels, Reduction::Mean.into(), &mut got).is_ok());
        assert!(network.half.is_some());
    }
    let ops = [&ops[..2], &[Op::Dropout { p: Probability::new(0.5).unwrap() }], &ops[2..]].concat();
    let mixed = Graph::sequential(shape, &ops).unwrap();
    assert!(Network::new(&mixed, most, Isa::best()).unwrap().half.is_none(), "dropouts draw by the number of a sample");
}

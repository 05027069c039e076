//! Gradients that are right pass, and those that are spoiled in any of several ways do not.

use super::*;
use crate::kernels::conv::Conv;
use crate::train::Config;

/// The real backward pass, then `spoil` with the number of threads.
fn spoiled(
    spoil: impl Fn(&Graph, Isa, usize, &mut Shipped) + Sync,
) -> impl Fn(&Graph, &Sample, Reduction, Isa) -> Result<Shipped, GradcheckError> + Sync {
    move |graph, sample, reduction, isa| {
        let mut shipped = shipping::backward(graph, sample, reduction, isa)?;
        spoil(graph, isa, rayon::current_num_threads(), &mut shipped);
        Ok(shipped)
    }
}

/// One small network of every activation.
fn small() -> Options {
    let linear = |in_features, out_features| Op::Linear { in_features, out_features };
    let ops = [Op::Flatten, linear(20, 6), Op::Relu, linear(6, 5), Op::Tanh, linear(5, 4), Op::Sigmoid, linear(4, 3)];
    let graph = Graph::sequential(input_shape().unwrap(), &ops).unwrap();
    Options { seed: 3, networks: vec![NetworkSpec { name: "small".to_owned(), graph }], eps: 1e-5 }
}

#[test]
fn every_gradient_of_every_op_is_right_on_every_isa() {
    let options = Options::standard(1).unwrap();
    let report = gradcheck(&options).unwrap();
    println!("{report}");
    assert!(report.passed);

    let ops: Vec<&str> = report.ops.iter().map(|op| op.op).collect();
    let all = ["flatten", "linear", "relu", "tanh", "sigmoid", "conv2d", "max_pool2d", "avg_pool2d", "global_avg_pool"];
    for op in all.into_iter().chain(["batch_norm", "dropout", "add", "log_softmax", CROSS_ENTROPY]) {
        assert!(ops.contains(&op), "{op} is not among {ops:?}");
    }
    for op in &report.ops {
        assert!(op.compared > 0 && op.worst_ratio.iter().all(|(_, ratio)| ratio.is_some()), "{op:?}");
    }
    // Nothing is left out, no bound would let a wrong gradient pass, and the arithmetic does round.
    for NetworkSpec { name, graph } in &options.networks {
        let of_network = report.rows.iter().filter(|row| row.network == *name);
        let with_f32: Vec<&Row> = of_network.filter(|row| !row.isas.is_empty() && row.tensor != "loss").collect();
        let compared: usize = with_f32.iter().map(|row| row.parameters).sum();
        assert_eq!(compared, BATCHES.len() * 2 * graph.param_count(), "{name}");
        for row in with_f32 {
            if name == "conv normed" && row.batch == 1 {
                continue; // a row by itself has no deviation: what is divided by the guard alone has no gradient, and wide bounds
            }
            assert_eq!(row.isas.len(), THREADS.len() * Isa::available().count(), "{row:?}");
            for isa in &row.isas {
                // Behind a batch norm over few numbers bounds take the worst of every slope at once, which never happens.
                let normed = graph.nodes().iter().any(|node| matches!(node.op, Op::BatchNorm { .. }));
                let most = match name.as_str() {
                    _ if normed => f64::INFINITY,
                    "conv transformed" => 0.25, // by whole channels at their worst
                    _ => 1e-2,
                };
                assert!(isa.widest_bound < most, "that much of the largest gradient would pass: {row:?}");
            }
        }
    }
    let ratios = report.rows.iter().flat_map(|row| &row.isas).map(|isa| isa.worst_ratio);
    assert!(report::worst(ratios) > 0.01);
}

/// What a name puts into a network, and dropouts: norms behind two convolutions, and a sum whose input takes a shortcut.
#[test]
fn gradients_of_varied_networks_are_right() {
    let layer = |rest: &str| format!("[[layer]]\n{rest}\n");
    let conv = |channels| format!("type = \"conv2d\"\nout_channels = {channels}\nkernel = 3\npadding = 1");
    let [relu, flatten, linear] = ["relu", "flatten", "linear"].map(|op| format!("type = \"{op}\""));
    let hidden = format!("{linear}\nout_features = 9");
    let layers = [conv(3), relu.clone(), conv(4), relu.clone(), flatten, hidden, relu, linear].map(|rest| layer(&rest));
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("net.toml");
    std::fs::write(&file, layers.concat()).unwrap();
    let model = format!("{}+batch-norm+residual", file.display()).parse().unwrap();
    let config = Config { model, dropout: 0.3, ..Config::default() };
    let graph = config.graph(INPUT[1], INPUT[2], CLASSES).unwrap();
    let options = Options { networks: vec![NetworkSpec { name: "varied".to_owned(), graph }], ..small() };
    let report = gradcheck(&options).unwrap();
    assert!(report.passed, "{report}");
    for op in ["batch_norm", "add", "dropout"] {
        assert!(report.ops.iter().any(|row| row.op == op && row.compared > 0), "{op}");
    }
}

#[test]
fn other_seeds_pass_too() {
    for seed in 2..6 {
        let report = gradcheck(&Options::standard(seed).unwrap()).unwrap();
        assert!(report.passed, "seed {seed}\n{report}");
    }
}

/// Sigmoids shrink gradients at least fourfold each: behind six of them nothing is left that a difference could resolve.
#[test]
fn gradients_too_faint_for_differences_are_an_error_not_a_verdict() {
    let deep = NetworkSpec::mlp(&[8; 6], Op::Sigmoid).unwrap();
    let error = gradcheck(&Options { networks: vec![deep], ..small() }).unwrap_err();
    assert!(matches!(error, GradcheckError::Faint { batch: 1, .. }), "{error}");
    assert!(error.to_string().contains("choose fewer layers or a larger eps"), "{error}");
}

#[test]
fn one_wrong_gradient_on_one_isa_is_found_and_named() {
    let options = small();
    for param in options.networks[0].graph.params() {
        for factor in [1.001, -1.0, f32::NAN] {
            let wrong = spoiled(|_, isa, _, shipped| {
                let gradient = &mut shipped.params[param.range()];
                let largest = (0..gradient.len()).max_by(|&i, &j| gradient[i].abs().total_cmp(&gradient[j].abs()));
                if isa == Isa::BASELINE {
                    gradient[largest.unwrap()] *= factor;
                }
            });
            let report = check_with(&options, &wrong).unwrap();
            assert!(!report.passed, "{} · {factor}", param.name);
            for row in &report.rows {
                assert_eq!(row.passed(), row.tensor != param.name, "{row:?}");
                assert!(row.isas.iter().all(|isa| isa.passed() || isa.isa == "baseline"), "{row:?}");
            }
            let text = report.to_string();
            assert!(text.contains("gradcheck FAILED"), "{text}");
            assert!(
                text.contains(&format!("FAILED small, batch 5, mean, linear {}: (b) baseline", param.name)),
                "{text}"
            );
        }
    }
}

#[test]
fn a_wrong_loss_and_bits_that_depend_on_threads_are_found() {
    let wrong = spoiled(|_, _, _, shipped| shipped.loss_sum *= 1.0 + 1e-4);
    let report = check_with(&small(), &wrong).unwrap();
    assert!(report.rows.iter().all(|row| row.passed() == (row.tensor != "loss")), "{report}");

    let wrong = spoiled(|_, _, threads, shipped| {
        if threads == 2 {
            shipped.params[7] = f32::from_bits(shipped.params[7].to_bits() ^ 1); // within every bound
        }
    });
    let report = check_with(&small(), &wrong).unwrap();
    let failed: Vec<&Row> = report.rows.iter().filter(|row| !row.passed()).collect();
    assert_eq!(failed.len(), BATCHES.len() * 2, "{report}");
    for row in failed {
        assert_eq!(row.tensor, "1.weight");
        assert!(row.isas.iter().all(|isa| isa.same_bits == (isa.threads == 1) && isa.worst_ratio <= 1.0), "{row:?}");
    }
    assert!(report.to_string().contains("threads 2: other bits than with one thread"), "{report}");
}

/// The comparisons by themselves, with gradients as arguments.
#[test]
fn comparisons_measure_what_they_say() {
    let right = [1.0, -0.5, 0.0, 1e-9];
    assert_eq!(report::worst_relative(&right, &right), 0.0);
    assert_eq!(report::worst_relative(&[0.0; 3], &[0.0; 3]), 0.0);
    let worst = report::worst_relative(&[1.0, -0.5, 0.0, 1e-9], &[1.0, -0.5 - 1e-5, 0.0, 1e-9]);
    assert!((worst / 2e-5 - 1.0).abs() < 1e-4, "{worst}");
    let worst = report::worst_relative(&right, &[1.0, -0.5, 1e-5, 1e-9]); // against a thousandth of the largest, 1e-3
    assert!((worst / 1e-2 - 1.0).abs() < 1e-9, "{worst}");
    assert!(report::worst_relative(&right, &[1.0, f64::NAN, 0.0, 0.0]).is_nan());
    assert!(report::worst_relative(&[1.0, 2.0], &[1.0, -2.0]) > TOLERANCE);

    let row = report::compare_with_bound("scalar", 1, &[1.0, 2.5, 3.0], &[1.0, 2.0, 3.25], &[0.0, 1.0, 0.25]);
    assert_eq!((row.worst_error, row.bound_there, row.worst_ratio), (0.5, 1.0, 1.0));
    assert!(row.passed());
    let row = report::compare_with_bound("scalar", 1, &[1.0 + 1e-9], &[1.0], &[0.0]);
    assert!(!row.passed(), "an exact result has no room: {row:?}");
    let row = report::compare_with_bound("scalar", 1, &[f64::NAN, 1.0], &[1.0, 1.0], &[1.0, 1.0]);
    assert!(!row.passed(), "{row:?}");
    let row = report::compare_with_bound("scalar", 1, &[0.0], &[1.0], &[f64::NAN]);
    assert!(!row.passed(), "{row:?}");
}

/// A wrong formula in the oracle itself would show in (a).
#[test]
fn differences_disagree_with_a_wrong_backward_pass() {
    let options = small();
    let clear = find_clear(&options, 0, 5).unwrap();
    let right = clear.point.backward(&clear.values);
    assert!(report::worst_relative(&right.params, &clear.differences.params) <= TOLERANCE);
    for i in [0, 130, right.params.len() - 1] {
        let mut wrong = right.params.clone();
        wrong[i] += 1e-4 * report::worst(right.params.iter().map(|x| x.abs()));
        assert!(report::worst_relative(&wrong, &clear.differences.params) > TOLERANCE, "{i}");
    }
}

/// One weight of 2 and one of 0, biases 0, input 1, label 1: logits 2 and 0, probs p and 1 − p with p = 1 / (1 + e⁻²).
#[test]
fn a_network_by_hand() {
    let ops = [Op::Linear { in_features: 1, out_features: 2 }];
    let graph = Graph::sequential(Shape::new(&[1]).unwrap(), &ops).unwrap();
    let point = Point::new(&graph, vec![2.0, 0.0, 0.0, 0.0], vec![1.0], vec![1]);
    let values = point.forward();
    assert_eq!(values, [vec![1.0], vec![2.0, 0.0]]);
    let p = 1.0 / (1.0 + (-2f64).exp());
    assert!((point.losses(&values)[0] - (1.0 + 2f64.exp()).ln()).abs() < 1e-15);
    let gradients = point.backward(&values);
    for (got, want) in gradients.params.iter().zip([p, -p, p, -p]) {
        assert!((got - want).abs() < 1e-15, "expected {want}, found {got}");
    }
    assert!((gradients.tensors[0][0] - 2.0 * p).abs() < 1e-15);
    let bounds = bound::backward(&point, &values, &bound::forward(&point, &values), &gradients);
    assert!(bounds.iter().all(|&bound| bound > 1e-8 && bound < 2e-6), "{bounds:?}");
}

#[test]
fn kinks_are_kept_clear_of_or_reported() {
    let report = gradcheck(&Options::standard(1).unwrap()).unwrap();
    for point in &report.points {
        assert_eq!(
            point.nearest_kink.is_some(),
            ["mlp:33 relu", "mixed", "conv strided", "conv pooled", "conv transformed", "conv normed", "residual"]
                .contains(&&*point.network),
            "{point:?}"
        );
        assert!(point.nearest_kink.is_none_or(|nearest| nearest > KINK_STEPS * report.eps), "{point:?}");
    }
    // Steps of 0.01 keep a tenth of all inputs out: 200 ReLUs at once are never clear.
    let relu = NetworkSpec::mlp(&[40], Op::Relu).unwrap();
    let error = gradcheck(&Options { eps: 0.01, networks: vec![relu], ..small() }).unwrap_err();
    assert!(matches!(error, GradcheckError::Kinks { .. }), "{error}");
    assert!(error.to_string().contains("mlp:40 relu") && error.to_string().contains("expected"), "{error}");
}

/// Gradients by the ways that large networks take are those that are checked.
#[test]
fn some_convolution_goes_by_transforms() {
    let networks = NetworkSpec::standard().unwrap();
    let convs = networks.iter().flat_map(|network| {
        let of = |node: &Node| match node.op {
            Op::Conv2d(conv) => Some((conv, *network.graph.shape(node.inputs[0]).dims().last_chunk::<2>()?)),
            _ => None,
        };
        network.graph.nodes().iter().filter_map(of).collect::<Vec<_>>()
    });
    let transformed = |(conv, [h, w]): (Conv2d, [usize; 2])| {
        let [c_out, c_in, kh, kw] = conv.weight();
        let sizes =
            Conv::new([5, c_in * conv.groups, h, w], [c_out, c_in, kh, kw], conv.stride, conv.padding, conv.groups);
        [false, true].map(|gradient| sizes.unwrap().is_transformed(gradient))
    };
    assert!(convs.map(transformed).any(|both| both == [true, true]));
}

#[test]
fn options_that_check_nothing_are_refused() {
    let refused = |options: Options| gradcheck(&options).unwrap_err().to_string();
    assert!(refused(Options { networks: Vec::new(), ..small() }).contains("at least one network, found none"));
    for eps in [0.0, -1e-5, f64::NAN, f64::INFINITY, 0.1] {
        assert!(refused(Options { eps, ..small() }).contains(&format!("found {eps}")));
    }
    let large = NetworkSpec::mlp(&[512, 256], Op::Tanh).unwrap();
    assert!(refused(Options { networks: vec![large], ..small() }).contains("at most 20000 of them, found"));
    assert!(NetworkSpec::mlp(&[0], Op::Relu).is_err());
    assert!(NetworkSpec::mlp(&[4], Op::Flatten).is_err());
}

#[test]
fn the_report_is_json() {
    let report = gradcheck(&small()).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["passed"], true);
    assert_eq!(json["rows"].as_array().unwrap().len(), report.rows.len());
    assert_eq!(json["rows"][0]["tensor"], "1.weight");
    assert!(json["rows"][0]["isas"][0]["worst_ratio"].is_number());
}

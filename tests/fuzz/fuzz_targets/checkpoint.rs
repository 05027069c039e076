//! Models as training leaves them.
#![no_main]

mod file;

use file::with_file;
use inkstone::checkpoint::{load_model, load_weights_into};
use inkstone::graph::{Graph, Op};
use inkstone::shape::Shape;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    with_file(bytes, |path| {
        if let Ok(model) = load_model(path) {
            assert_eq!(model.params.len(), model.graph.weights_len());
            assert_eq!(model.meta.classes.len(), model.graph.classes());
        }
        let graph = Shape::new(&[1, 2, 2]).ok().and_then(|input| Graph::mlp(&[2], Op::Relu, input, 2).ok());
        let graph = graph.expect("a small perceptron");
        let mut params = vec![0.0; graph.weights_len()];
        _ = load_weights_into(path, &graph, &mut params);
    });
});

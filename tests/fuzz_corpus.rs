//! What fuzzing starts from: an image for each kind of step, a model. `cargo test --test fuzz_corpus -- --ignored` writes them again.
#![cfg(feature = "std")]

mod image_support;

use image_support::samples;
use inkstone::checkpoint::{Meta, save_model};
use inkstone::data::normalize::Normalize;
use inkstone::export::image::write;
use inkstone::graph::{Graph, Op};
use inkstone::shape::Shape;
use std::fs;
use std::path::{Path, PathBuf};

/// Larger images than the fuzzer makes are left out.
const MOST: usize = 4096;

/// Every file and its bytes.
fn corpus() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let images = samples().into_iter().map(|(name, program)| (name, write(&program).unwrap().bytes().to_vec()));
    let mut files: Vec<_> = images
        .filter(|(_, bytes)| bytes.len() <= MOST)
        .map(|(name, bytes)| (folder.join(format!("image/{name}.ink")), bytes))
        .collect();
    files.push((folder.join("checkpoint/perceptron.safetensors"), model()));
    files
}

/// The file of a perceptron of two hidden units.
fn model() -> Vec<u8> {
    let graph = Graph::mlp(&[2], Op::Relu, Shape::new(&[1, 2, 2]).unwrap(), 2).unwrap();
    let params: Vec<f32> = (0..graph.weights_len()).map(|i| i as f32 / 8.0).collect();
    let meta = Meta { normalize: Normalize::Unit, classes: vec!["a".into(), "b".into()] };
    let file = std::env::temp_dir().join(format!("inkstone-corpus-{}", std::process::id()));
    save_model(&file, &graph, &params, &meta, 0).unwrap();
    let bytes = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    bytes
}

#[test]
fn the_corpus_is_current() {
    for (path, bytes) in corpus() {
        let found = fs::read(&path).unwrap_or_default();
        assert!(found == bytes, "{}: written by `cargo test --test fuzz_corpus -- --ignored`", path.display());
    }
}

/// What begins as something that is read leads the fuzzer further than what is refused at once.
#[cfg(feature = "train")]
#[test]
fn what_fuzzing_starts_from_is_valid() {
    use inkstone::data::idx::{read_images, read_labels};
    use inkstone::data::picture::from_bytes;
    use inkstone::train::config::{ActivationKind, Config};
    use inkstone::train::model::ModelSpec;
    use inkstone::train::sweep::Sweep;

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let text = |name: &str| fs::read_to_string(folder.join("model_toml").join(name)).unwrap();
    let network = ModelSpec::File(folder.join("model_toml/network.toml"));
    network.graph(ActivationKind::Relu, Shape::new(&[1, 28, 28]).unwrap(), 10).unwrap();
    Config::from_toml(Path::new("config.toml"), &text("config.toml")).unwrap();
    Sweep::parse(Path::new("sweep.toml"), &text("sweep.toml")).unwrap();
    for name in ["images", "images.gz"] {
        assert!(read_images(&folder.join("idx").join(name)).unwrap().count > 0, "{name}");
    }
    for name in ["labels", "labels.gz"] {
        assert!(!read_labels(&folder.join("idx").join(name)).unwrap().labels.is_empty(), "{name}");
    }
    for entry in fs::read_dir(folder.join("picture")).unwrap() {
        let path = entry.unwrap().path();
        from_bytes(&fs::read(&path).unwrap(), &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    // A kind of step that no image has would only be found by chance.
    for step in ["pixels", "pixels-per-image", "conv", "dense", "max-pool", "avg-pool", "add", "map"] {
        for kind in ["f32", "i8"] {
            assert!(folder.join(format!("image/{kind}-{step}.ink")).is_file(), "{kind} {step}");
        }
    }
}

#[test]
#[ignore = "writes the files that the other test compares"]
fn write_the_corpus() {
    for (path, bytes) in corpus() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

//! Networks and sweeps as TOML.
#![no_main]

mod file;

use file::with_file;
use inkstone::shape::Shape;
use inkstone::train::config::{ActivationKind, Config};
use inkstone::train::model::ModelSpec;
use inkstone::train::sweep::spec::Sweep;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let input = Shape::new(&[1, 28, 28]).expect("the shape of a digit");
    with_file(bytes, |path| {
        _ = ModelSpec::File(path.to_owned()).graph(ActivationKind::Relu, input, 10);
    });
    if let Ok(text) = std::str::from_utf8(bytes) {
        _ = Sweep::parse(Path::new("sweep.toml"), text);
        _ = Config::from_toml(Path::new("config.toml"), text);
    }
});

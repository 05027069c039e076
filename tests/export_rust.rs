//! The Rust module of an image: the file that lies here is what is written today, it compiles without a warning, and it computes what the
//! runtime computes.

mod image_support;

/// Written by `cargo test --test export_rust -- --ignored`.
#[rustfmt::skip]
#[path = "generated/chain.rs"]
#[allow(dead_code, unreachable_pub, reason = "what users of a module have no use for they leave out")]
mod chain;

use chain::{ARENA_BYTES, CLASSES, INPUT_BYTES, Network};
use image_support::{Draw, samples};
use inkstone::export::golden::Golden;
use inkstone::export::image::{Image, write};
use inkstone::export::rust_source::rust_source;
use inkstone::kernels::Isa;
use inkstone::runtime::Kind;
use std::fs;
use std::path::Path;

/// A residual network with a step of each kind.
fn image() -> Image {
    let (_, program) = samples().into_iter().find(|(name, _)| *name == "i8-chain").unwrap();
    write(&program).unwrap()
}

fn pictures(count: usize) -> Vec<u8> {
    let mut draw = Draw::new(5);
    (0..count * INPUT_BYTES).map(|_| draw.below(256) as u8).collect()
}

fn source() -> String {
    let image = image();
    let model = image.model().unwrap();
    rust_source(&model, &Golden::of(&model, &pictures(3)).unwrap()).unwrap()
}

fn file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generated/chain.rs")
}

#[test]
fn the_module_is_what_is_written_today() {
    let found = fs::read_to_string(file()).unwrap();
    assert!(found == source(), "cargo test --test export_rust -- --ignored writes it again");
}

#[test]
#[ignore = "writes the file that the other tests use"]
fn write_the_module() {
    fs::write(file(), source()).unwrap();
}

#[test]
fn the_module_equals_the_runtime() {
    let image = image();
    let model = image.model().unwrap();
    assert_eq!((INPUT_BYTES, CLASSES.len()), (model.tensor(0).unwrap().bytes(), model.classes()));
    assert!(ARENA_BYTES >= model.activations_len());
    let mut arena = Image::zeros(model.arena_len(Isa::best(), 1).unwrap());
    let mut bound = model.bind(arena.bytes_mut()).unwrap();
    let mut network = Network::new();
    assert_eq!(network.selftest(), Ok(0));
    for picture in pictures(50).chunks_exact(INPUT_BYTES) {
        bound.input_mut().copy_from_slice(picture);
        let expected = bound.run();
        let picture = picture.try_into().unwrap();
        assert_eq!(network.run(picture).unwrap().as_slice(), expected.bytes().unwrap());
        assert_eq!(network.class(picture), Ok(expected.class(0)));
    }
}

#[test]
fn floats_are_refused_by_name() {
    let (_, program) = samples().into_iter().find(|(_, program)| program.kind == Kind::F32).unwrap();
    let (floats, bytes) = (write(&program).unwrap(), image());
    let golden = Golden::of(&bytes.model().unwrap(), &pictures(1)).unwrap();
    let error = rust_source(&floats.model().unwrap(), &golden).unwrap_err().to_string();
    assert!(error.contains("f32") && error.contains("quantize --to int8"), "{error}");
}

//! The Rust module of an image: the files that lie here are what is written today, they compile without a warning, and they compute what
//! the runtime computes.

mod image_support;

/// Both written by `cargo test --test export_rust -- --ignored`: a residual network with a step of each kind.
#[rustfmt::skip]
#[path = "generated/chain.rs"]
#[allow(unreachable_pub, reason = "a module is public as far as its user makes it so")]
mod chain;

/// A layer of pixels that each image normalises by itself.
#[rustfmt::skip]
#[path = "generated/one_by_one.rs"]
#[allow(unreachable_pub, reason = "as above")]
mod one_by_one;

use image_support::{Build, Draw, samples};
use inkstone::export::golden::Golden;
use inkstone::export::image::{Image, write};
use inkstone::export::rust_source::rust_source;
use inkstone::kernels::Isa;
use inkstone::quant::program::Program;
use inkstone::runtime::Kind;
use std::fs;
use std::path::{Path, PathBuf};

/// By file: its program.
fn programs() -> [(&'static str, Program); 2] {
    let (_, chain) = samples().into_iter().find(|(name, _)| *name == "i8-chain").unwrap();
    let mut one_by_one = Build::new(Kind::I8, [2, 5, 3], 4).per_image();
    one_by_one.dense(1, 4, false);
    [("chain", chain), ("one_by_one", one_by_one.done())]
}

fn image(program: &Program) -> Image {
    write(program).unwrap()
}

fn pictures(len: usize, count: usize) -> Vec<u8> {
    let mut draw = Draw::new(5);
    (0..count * len).map(|_| draw.below(256) as u8).collect()
}

fn source(program: &Program) -> String {
    let image = image(program);
    let model = image.model().unwrap();
    let golden = Golden::of(&model, &pictures(model.tensor(0).unwrap().bytes(), 3)).unwrap();
    rust_source(&model, &golden).unwrap()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/generated/{name}.rs"))
}

#[test]
fn the_modules_are_what_is_written_today() {
    for (name, program) in programs() {
        let found = fs::read_to_string(file(name)).unwrap();
        assert!(found == source(&program), "{name}: cargo test --test export_rust -- --ignored writes it again");
    }
}

#[test]
#[ignore = "writes the files that the other tests use"]
fn write_the_modules() {
    for (name, program) in programs() {
        fs::write(file(name), source(&program)).unwrap();
    }
}

/// That the network of a module says of 50 pictures what the runtime does.
macro_rules! assert_equals_the_runtime {
    ($module:ident, $program:expr) => {{
        let image = image(&$program);
        let model = image.model().unwrap();
        assert_eq!($module::INPUT_BYTES, model.tensor(0).unwrap().bytes());
        assert_eq!($module::CLASSES.len(), model.classes());
        assert!($module::ARENA_BYTES >= model.activations_len());
        let mut arena = Image::zeros(model.arena_len(Isa::best(), 1).unwrap());
        let mut bound = model.bind(arena.bytes_mut()).unwrap();
        let mut network = $module::Network::new();
        assert_eq!(network.selftest(), Ok(0));
        for picture in pictures($module::INPUT_BYTES, 50).chunks_exact($module::INPUT_BYTES) {
            bound.input_mut().copy_from_slice(picture);
            let expected = bound.run();
            let picture = picture.try_into().unwrap();
            assert_eq!(network.run(picture).unwrap().as_slice(), expected.bytes().unwrap());
            assert_eq!(network.class(picture), Ok(expected.class(0)));
        }
    }};
}

#[test]
fn the_modules_equal_the_runtime() {
    let [(_, of_chain), (_, of_one_by_one)] = programs();
    assert_equals_the_runtime!(chain, of_chain);
    assert_equals_the_runtime!(one_by_one, of_one_by_one);
}

#[test]
fn floats_are_refused_by_name() {
    let (_, program) = samples().into_iter().find(|(_, program)| program.kind == Kind::F32).unwrap();
    let (floats, bytes) = (image(&program), image(&programs()[0].1));
    let golden = Golden::of(&bytes.model().unwrap(), &pictures(144, 1)).unwrap();
    let error = rust_source(&floats.model().unwrap(), &golden).unwrap_err().to_string();
    assert!(error.contains("f32") && error.contains("quantize --to int8"), "{error}");
}

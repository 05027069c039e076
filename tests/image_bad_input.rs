//! Images, written, read and run; and damaged in every way that could be thought of: any bytes give a model or an error, and a model runs
//! within its arena.
#![cfg(feature = "std")]

mod image_support;

use image_support::{Build, Window, drawn, pixel, probe, run, samples};
use inkstone::export::image::{Image, layout, seal, write};
use inkstone::kernels::Isa;
use inkstone::quant::program::Program;
use inkstone::runtime::format::{
    HEADER, HEADER_FIELDS, MAX_STEPS, STEP, STEP_FIELDS, TENSOR, TENSOR_FIELDS, VERSION, align,
};
use inkstone::runtime::{ImageError, Kind, Model};
use proptest::prelude::*;

/// All images, by name.
fn images() -> Vec<(&'static str, Vec<u8>)> {
    let image = |(name, program)| match write(&program) {
        Ok(image) => (name, image.bytes().to_vec()),
        Err(error) => panic!("{name}: {error}"),
    };
    samples().into_iter().map(image).collect()
}

/// Where the tables of a whole image end, and how many records they have.
fn tables(bytes: &[u8]) -> (usize, usize) {
    let steps = usize::from(u16::from_le_bytes([bytes[18], bytes[19]]));
    (align(HEADER + (steps + 1) * TENSOR) + steps * STEP, steps)
}

/// Every field: its name, first byte, and bytes.
fn fields(bytes: &[u8]) -> Vec<(&'static str, usize, usize)> {
    let steps = tables(bytes).1;
    let at = |from: usize| move |&(name, at, len): &(&'static str, usize, usize)| (name, from + at, len);
    let mut all: Vec<_> = HEADER_FIELDS.iter().map(at(0)).collect();
    (0..=steps).for_each(|i| all.extend(TENSOR_FIELDS.iter().map(at(HEADER + i * TENSOR))));
    let first = align(HEADER + (steps + 1) * TENSOR);
    (0..steps).for_each(|i| all.extend(STEP_FIELDS.iter().map(at(first + i * STEP))));
    all
}

/// [`probe`], aligned.
fn probed(bytes: &[u8]) -> Result<(), ImageError> {
    probe(Image::copy(bytes).bytes())
}

/// The same with the checksum set right.
fn sealed(bytes: &[u8]) -> Result<(), ImageError> {
    let mut bytes = bytes.to_vec();
    seal(&mut bytes);
    probed(&bytes)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
}

/// Bytes are equal; floats nearly, as their sums have another order on each instruction set.
fn assert_same(kind: Kind, got: &[u8], want: &[u8], place: &str) {
    if kind == Kind::I8 {
        assert_eq!(got, want, "{place}");
        return;
    }
    let (got, want) = (floats(got), floats(want));
    assert_eq!(got.len(), want.len(), "{place}");
    for (got, want) in got.iter().zip(&want) {
        assert!((got - want).abs() <= 1e-5 * (1.0 + want.abs()), "{place}: {got} and {want}");
    }
}

/// That a program runs alike on every instruction set, and each sample of a batch as alone.
fn assert_runs_alike(name: &str, image: &Image) {
    let model = image.model().unwrap();
    let (want, kind) = (run(&model, Isa::SCALAR, 3), model.kind());
    for isa in Isa::available() {
        let place = format!("{name} on {}", isa.name());
        assert_same(kind, &run(&model, isa, 3), &want, &place);
        let one = run(&model, isa, 1);
        assert_same(kind, &one, &want[..one.len()], &place);
    }
}

#[test]
fn samples_run_alike_everywhere() {
    for isa in Isa::available() {
        println!("isa {}", isa.name());
    }
    for (name, program) in samples() {
        let image = write(&program).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_runs_alike(name, &image);
        let model = image.model().unwrap();
        assert_eq!((model.kind(), model.step_count()), (program.kind, program.steps.len()), "{name}");
        assert_eq!((model.classes(), model.release()), (program.classes.len(), program.release), "{name}");
        assert_eq!(model.class_name(1), Some("1"), "{name}");
        assert_eq!(model.normalization(), program.normalization, "{name}");
        // An output that is the same everywhere would hide a wrong place.
        let out = run(&model, Isa::SCALAR, 1);
        assert!(out.iter().any(|byte| *byte != out[0]), "{name}: {out:?}");
    }
}

#[test]
fn chains_of_drawn_steps_run_alike_everywhere() {
    for seed in 0..120 {
        let kind = [Kind::I8, Kind::I8, Kind::F32, Kind::F16][seed as usize % 4];
        let program = drawn(kind, 1 + seed as usize % 9, seed);
        let image = write(&program).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{program:#?}"));
        assert_runs_alike(&format!("seed {seed}"), &image);
    }
}

/// Networks with maps of many bytes, and whether a large batch goes through them in groups: what linear layers read is all that they left.
fn wide(kind: Kind) -> [(&'static str, bool, Program); 4] {
    let i8s = kind == Kind::I8;
    let head = |seed: u64| {
        let mut b = Build::new(kind, [1, 22, 22], seed);
        let first = b.conv(1, if i8s { 128 } else { 32 }, Window::new(3, 1, 1), 1, true, false);
        let second = b.conv(first, 6, Window::new(3, 2, 0), 1, true, i8s);
        (b, second)
    };
    let (mut plain, map) = head(1);
    let hidden = plain.dense(map, 9, true);
    plain.dense(hidden, 3, false);
    // A sum around a step of the maps, no linear layer behind.
    let (mut maps, map) = head(2);
    let side = maps.conv(map, 6, Window::new(3, 1, 1), 1, false, false);
    let sum = maps.add(side, map);
    maps.max_pool(sum, Window::new(2, 2, 0));
    // Around the linear layer: what the last map holds is read again, and in the next one what the map before it holds.
    let (mut around, map) = head(3);
    let dot = around.conv(map, 6, Window::new(if i8s { 5 } else { 10 }, 1, 0), 1, false, false);
    let linear = around.dense(dot, 6, false);
    around.add(linear, dot);
    let (mut across, map) = head(4);
    let dot = across.conv(map, 6, Window::new(if i8s { 5 } else { 10 }, 1, 0), 1, false, false);
    let mapped = across.map(dot);
    let linear = across.dense(mapped, 6, false);
    across.add(linear, dot);
    [
        ("plain", true, plain.done()),
        ("maps alone", true, maps.done()),
        ("around a linear layer", true, around.done()),
        ("across a linear layer", false, across.done()),
    ]
}

#[test]
fn large_batches_run_through_their_maps_in_groups_to_the_same_bits() {
    for kind in [Kind::I8, Kind::F32, Kind::F16] {
        for (name, grouped, program) in wide(kind) {
            let image = write(&program).unwrap_or_else(|error| panic!("{name}: {error}"));
            let model = image.model().unwrap();
            let batch = 2 * (1 << 20) / model.activations_len() + 2; // two groups and a piece of a third
            for isa in Isa::available() {
                let place = format!("{name}, {} on {isa}, {batch} samples", kind.name());
                let got = run(&model, isa, batch);
                // Step by step, each for all samples.
                let mut memory = vec![[0u128; 1]; model.arena_len(isa, batch).unwrap() / 16];
                let mut bound = model.bind_with(isa, batch, bytemuck::cast_slice_mut(&mut memory)).unwrap();
                let len = bound.input_mut().len() / batch;
                for (at, byte) in bound.input_mut().iter_mut().enumerate() {
                    *byte = pixel(at / len, at % len);
                }
                for step in 0..model.step_count() {
                    bound.step(step).unwrap();
                }
                assert!(bound.tensor(model.output()) == got, "{place}");
                assert!(
                    got.chunks_exact(got.len() / batch).any(|logits| *logits != got[..got.len() / batch]),
                    "{place}"
                );
                // Whole steps write the first map where its tensor lies, groups elsewhere.
                memory.fill([u128::MAX; 1]);
                let mut bound = model.bind_with(isa, batch, bytemuck::cast_slice_mut(&mut memory)).unwrap();
                let mut calls = Vec::new();
                bound.run_each(|step| calls.push(step));
                assert!(calls.iter().copied().eq(0..model.step_count()), "{place}: {calls:?}");
                let untouched = bound.tensor(2).iter().rev().take(64).all(|byte| *byte == u8::MAX);
                assert_eq!(untouched, grouped, "{place}");
            }
        }
    }
}

/// Memory is what a device has least of.
#[test]
fn arenas_are_little_more_than_what_lives_at_once() {
    let drawn = (0..400).map(|seed| ("a chain", drawn(Kind::I8, 1 + seed as usize % 24, seed)));
    for (name, program) in samples().into_iter().chain(drawn) {
        let layout = layout(&program).unwrap();
        assert!(layout.arena >= layout.largest_live_set, "{name}");
        let most = layout.largest_live_set + layout.largest_live_set / 10;
        assert!(layout.arena <= most, "{name}: {layout:?}\n{program:#?}");
    }
}

/// No byte can change unnoticed. With the checksum set right, what changed is refused or runs.
#[test]
fn every_bit_of_the_tables_and_every_byte_behind_them() {
    for (name, bytes) in images() {
        let tables = tables(&bytes).0;
        let mut read = 0;
        for at in 0..bytes.len() {
            let masks: &[u8] = if at < tables { &[1, 2, 4, 8, 16, 32, 64, 128, 255] } else { &[255] };
            for mask in masks {
                let mut damaged = bytes.clone();
                damaged[at] ^= mask;
                assert!(probed(&damaged).is_err(), "{name}: byte {at} with {mask:#x}");
                // Of larger constants some.
                if at < tables + 64 || at % 7 == 0 {
                    read += usize::from(sealed(&damaged).is_ok());
                }
            }
        }
        // Names, factors and zero points may be others.
        assert!(read > 0, "{name}");
    }
}

#[test]
fn every_length_and_every_address() {
    for (name, bytes) in images() {
        for len in 0..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            let error = probed(&cut).unwrap_err();
            let needed = if len < HEADER { HEADER } else { bytes.len() };
            assert_eq!(error, ImageError::TooShort { needed, got: len }, "{name}");
            if len >= HEADER {
                cut[12..16].copy_from_slice(&(len as u32).to_le_bytes());
                assert!(sealed(&cut).is_err(), "{name}: cut to {len}");
            }
        }
        for more in 1..40 {
            let mut grown = bytes.clone();
            grown.resize(bytes.len() + more, 0);
            let (expected, got) = (bytes.len(), grown.len());
            assert_eq!(probed(&grown), Err(ImageError::Trailing { expected, got }), "{name}");
            grown[12..16].copy_from_slice(&(got as u32).to_le_bytes());
            assert!(sealed(&grown).is_err(), "{name}: {more} more");
        }
        for off in 1..16 {
            let moved = Image::copy(&[&vec![0; off], &bytes[..]].concat());
            let error = Model::new(&moved.bytes()[off..]).unwrap_err();
            assert_eq!(error, ImageError::Misaligned { what: "an image", needed: 16 }, "{name}");
        }
    }
}

#[test]
fn arenas_that_do_not_fit() {
    for (name, bytes) in images() {
        let image = Image::copy(&bytes);
        let model = image.model().unwrap();
        for (isa, batch) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 3)]) {
            let needed = model.arena_len(isa, batch).unwrap();
            let mut memory = vec![0u128; needed / 16 + 1];
            let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
            for got in [0, 1, needed / 2, needed - 1] {
                let error = model.bind_with(isa, batch, &mut memory[..got]).unwrap_err();
                assert_eq!(error, ImageError::Arena { needed, got }, "{name}");
                assert!(error.to_string().contains(&needed.to_string()), "{name}: {error}");
            }
            for off in 1..16 {
                let error = model.bind_with(isa, batch, &mut memory[off..][..needed]).unwrap_err();
                assert_eq!(error, ImageError::Misaligned { what: "an arena", needed: 16 }, "{name}");
            }
            assert!(model.bind_with(isa, batch, memory).is_ok(), "{name}: more than it needs");
        }
        for batch in [0, usize::MAX, usize::MAX / 16] {
            let error = model.bind_with(Isa::best(), batch, &mut []).unwrap_err();
            assert_eq!(error, ImageError::Batch { samples: batch }, "{name}");
        }
    }
}

#[test]
fn other_versions_are_refused_before_anything_else() {
    for (_, mut bytes) in images() {
        for (found, words) in [(VERSION + 1, "newer"), (0, "expected"), (u16::MAX, "newer")] {
            bytes[8..10].copy_from_slice(&found.to_le_bytes());
            bytes[10..].iter_mut().for_each(|byte| *byte ^= 0x55); // whatever a later version may mean by it
            let error = probed(&bytes).unwrap_err();
            assert_eq!(error, ImageError::Version { known: VERSION, found });
            assert!(error.to_string().contains(words), "{error}");
            bytes[10..].iter_mut().for_each(|byte| *byte ^= 0x55);
        }
    }
}

/// What a later writer may add is named.
#[test]
fn what_is_not_known_is_refused_by_name() {
    let images = images();
    let (_, bytes) = images.iter().find(|(name, _)| *name == "f32-dense").unwrap();
    let fields = fields(bytes);
    let last = |field| fields.iter().rev().find(|(name, ..)| *name == field).unwrap().1;
    for (at, words) in [
        (10, "numbers are of a kind that this library knows"),
        (last("op"), "a step is of a kind that this library knows"),
        (last("activation"), "an activation is one that this library knows"),
        (last("element"), "the element of tensor 2: expected 3, found 200"),
    ] {
        let mut changed = bytes.clone();
        changed[at] = 200;
        let error = sealed(&changed).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// The most steps there may be, and one more.
#[test]
fn many_steps() {
    for (steps, fits) in [(MAX_STEPS, true), (MAX_STEPS + 1, false)] {
        let mut build = Build::new(Kind::F32, [1, 2, 2], 1);
        while build.last() < steps {
            build.map(build.last());
        }
        match write(&build.done()) {
            Ok(image) => assert!(fits && probe(image.bytes()).is_ok()),
            Err(error) => assert!(!fits && error.to_string().contains("at most 512 steps"), "{error}"),
        }
    }
}

/// Numbers at the ends of what fields can hold, two fields at a time where they multiply.
#[test]
fn fields_at_their_ends() {
    let ends: [u64; 14] =
        [0, 1, 2, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff];
    for (_, bytes) in images() {
        let fields = fields(&bytes);
        for (i, &(_, at, len)) in fields.iter().enumerate() {
            for end in ends.iter().filter(|end| len == 8 || **end < 1 << (8 * len)) {
                let mut changed = bytes.clone();
                changed[at..at + len].copy_from_slice(&end.to_le_bytes()[..len]);
                _ = sealed(&changed);
                if let Some(&(_, next, len)) = fields.get(i + 1) {
                    changed[next..next + len].fill(0xff);
                    _ = sealed(&changed);
                }
            }
        }
    }
}

/// A valid image, some of whose fields and bytes hold other numbers.
fn mutants() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<Vec<u8>> = images().into_iter().map(|(_, bytes)| bytes).collect();
    let value = prop_oneof![4 => 0..20u32, 2 => 0..300u32, 1 => any::<u32>(), 1 => Just(u32::MAX)];
    let change = (any::<prop::sample::Index>(), value, prop::bool::weighted(0.8));
    (prop::sample::select(all), prop::collection::vec(change, 1..6)).prop_map(|(mut bytes, changes)| {
        let fields = fields(&bytes);
        for (index, value, in_field) in changes {
            let (at, len) = if in_field {
                let &(_, at, len) = &fields[index.index(fields.len())];
                (at, len)
            } else {
                (index.index(bytes.len()), 1)
            };
            bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len.min(4)].repeat(len.div_ceil(4))[..len]);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_images(bytes in mutants()) {
        _ = sealed(&bytes);
    }

    /// Any bytes, and any behind a header that says of itself what is true.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(prop_oneof![2 => Just(0u8), 1 => any::<u8>()], 0..600), kind in 1..4u8, steps in 0..9u16) {
        _ = sealed(&bytes);
        let mut bytes = bytes;
        if bytes.len() >= HEADER {
            let len = bytes.len() as u32;
            bytes[..8].copy_from_slice(b"\x89INK\r\n\x1a\n");
            bytes[8..12].copy_from_slice(&[VERSION as u8, 0, kind, 0]);
            bytes[12..16].copy_from_slice(&len.to_le_bytes());
            bytes[16..18].copy_from_slice(&(steps + 1).to_le_bytes());
            bytes[18..20].copy_from_slice(&steps.to_le_bytes());
            bytes[26..28].fill(0);
            bytes[28..36].copy_from_slice(&[0, 0, 128, 63, 0, 0, 0, 0]);
            bytes[44..60].fill(0);
            _ = sealed(&bytes);
        }
    }
}

//! What `include_model!` refuses when a program is compiled: `assert_image` is the whole of that check, called here as any function. What it
//! lets pass is left to `Model::new`.
#![cfg(feature = "std")]

use inkstone::runtime::format::{HEADER, MAGIC, VERSION};
use inkstone::runtime::{ImageError, Model, assert_image};
use std::panic::catch_unwind;

/// As firmware has it.
static IMAGE: &[u8] = inkstone::include_model!("fuzz/corpus/image/i8-dense.ink");

const TOO_SHORT: &str = "the file is too short for an image";
const NO_IMAGE: &str = "the file is no image: write it with `inkstone quantize` or `inkstone export`";
const OTHER_VERSION: &str = "the image has another version than this library reads";
const OTHER_LENGTH: &str = "the image is cut short, or bytes follow it";

/// What is said of `bytes`, if they are refused.
fn refused(bytes: &[u8]) -> Option<String> {
    let payload = catch_unwind(|| assert_image(bytes)).err()?;
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    Some(text.or_else(|| payload.downcast_ref::<String>().cloned()).expect("a panic of words"))
}

/// The image with one change.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = IMAGE.to_vec();
    change(&mut bytes);
    bytes
}

#[test]
fn an_image_is_taken_at_any_address() {
    assert_eq!(refused(IMAGE), None);
    for off in 1..16 {
        let moved = [&vec![0; off], IMAGE].concat();
        assert_eq!(refused(&moved[off..]), None, "what is aligned are not the bytes that are checked");
    }
}

#[test]
fn what_is_no_image_is_refused() {
    for len in [0, 1, HEADER - 1] {
        assert_eq!(refused(&IMAGE[..len]).as_deref(), Some(TOO_SHORT), "{len} bytes");
    }
    for at in 0..MAGIC.len() {
        for mask in [1, 0x80] {
            let bytes = changed(|bytes| bytes[at] ^= mask);
            assert_eq!(refused(&bytes).as_deref(), Some(NO_IMAGE), "byte {at}");
        }
    }
    for version in [0, VERSION + 1, u16::MAX] {
        let bytes = changed(|bytes| bytes[8..10].copy_from_slice(&version.to_le_bytes()));
        assert_eq!(refused(&bytes).as_deref(), Some(OTHER_VERSION), "version {version}");
    }
    let len = IMAGE.len();
    for other in [HEADER, len - 16, len - 1, len + 1, len + 16] {
        let bytes = changed(|bytes| bytes.resize(other, 0));
        assert_eq!(refused(&bytes).as_deref(), Some(OTHER_LENGTH), "{other} bytes for {len}");
    }
    for named in [0, len - 1, len + 1, u32::MAX as usize] {
        let bytes = changed(|bytes| bytes[12..16].copy_from_slice(&(named as u32).to_le_bytes()));
        assert_eq!(refused(&bytes).as_deref(), Some(OTHER_LENGTH), "a length of {named} for {len}");
    }
}

/// Of more than one fault the first is named, in this order: too short, no image, another version, another length.
#[test]
fn faults_are_named_in_their_order() {
    let no_image = changed(|bytes| {
        bytes[0] = 0;
        bytes[8] ^= 0xff;
        bytes.push(0);
    });
    assert_eq!(refused(&no_image).as_deref(), Some(NO_IMAGE));
    assert_eq!(refused(&no_image[..HEADER - 1]).as_deref(), Some(TOO_SHORT));
    let other_version = changed(|bytes| {
        bytes[8] ^= 0xff;
        bytes.push(0);
    });
    assert_eq!(refused(&other_version).as_deref(), Some(OTHER_VERSION));
}

/// The check of a compiler is short: damage behind the header is found when the program starts.
#[test]
fn damage_is_left_to_the_model() {
    let damaged = changed(|bytes| *bytes.last_mut().unwrap() ^= 1);
    assert_eq!(refused(&damaged), None);
    let damaged = inkstone::export::image::Image::copy(&damaged);
    assert!(matches!(Model::new(damaged.bytes()), Err(ImageError::Checksum { .. })));
    assert!(Model::new(IMAGE).is_ok());
}

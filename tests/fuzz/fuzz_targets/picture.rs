//! Pictures of digits: PNG and PGM.
#![no_main]

use inkstone::data::picture::from_bytes;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    _ = from_bytes(bytes, Path::new("picture"));
});

//! Images: any bytes give a model or an error, and a model runs within its arena.
#![no_main]

#[path = "../../image_support/mod.rs"]
mod image_support;

use image_support::probe_on;
use inkstone::export::image::{Image, seal};
use inkstone::kernels::Isa;
use inkstone::runtime::format::HEADER;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // One of these each time, as the checksum has it: it changes with every byte.
    let runs = [(Isa::best(), 1), (Isa::SCALAR, 1), (Isa::best(), 2), (Isa::SCALAR, 2)];
    let mut sealed = bytes.to_vec();
    if bytes.len() >= HEADER {
        // The length too is set right: nobody guesses these two.
        let length = bytes.len() as u32;
        sealed[12..16].copy_from_slice(&length.to_le_bytes());
        seal(&mut sealed);
    }
    let run = runs[sealed.get(HEADER - 4).map_or(0, |sum| usize::from(*sum)) % runs.len()];
    if sealed != bytes {
        _ = probe_on(Image::copy(bytes).bytes(), &[run]);
    }
    _ = probe_on(Image::copy(&sealed).bytes(), &[run]);
});

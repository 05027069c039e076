//! Data sets: IDX files, plain and gzip.
#![no_main]

mod file;

use file::with_file;
use inkstone::data::idx::{read_images, read_labels};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    with_file(bytes, |path| {
        if let Ok(images) = read_images(path) {
            assert_eq!(images.pixels.len(), images.count * images.rows * images.cols);
        }
        if let Ok(labels) = read_labels(path) {
            assert!(labels.labels.iter().all(|label| *label < 10));
        }
    });
});

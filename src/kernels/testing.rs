//! What the tests of several kernels share.

extern crate std;
use std::vec::Vec;

/// Uniform in [-0.5, 0.5), the same on every machine.
pub(super) fn uniform(len: usize, mut seed: u64) -> Vec<f32> {
    (0..len)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((seed >> 40) as f32) / 16_777_216.0 - 0.5
        })
        .collect()
}

/// Bytes of all values, the extreme ones often.
pub(super) fn bytes(len: usize, mut seed: u64) -> Vec<i8> {
    (0..len)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match seed >> 33 & 7 {
                0 => -128,
                1 => 127,
                _ => (seed >> 40) as i8,
            }
        })
        .collect()
}

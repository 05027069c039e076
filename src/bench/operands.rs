//! Operands of the benches.

/// Uniform in [-0.5, 0.5), the same on every machine.
#[must_use]
pub fn uniform(len: usize, mut seed: u64) -> Vec<f32> {
    (0..len)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 40) as f32 / 16_777_216.0 - 0.5
        })
        .collect()
}

/// Uniform in -127..=127, the same on every machine.
#[must_use]
pub fn bytes(len: usize, seed: u64) -> Vec<i8> {
    uniform(len, seed).into_iter().map(|x| (x * 254.0) as i8).collect()
}

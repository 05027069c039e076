//! Random numbers whose values never change: ChaCha8, keyed by seed and purpose, with our own bounded sampling.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers, a pure function of (seed, purpose, stream).
///
/// The 32 bytes of the ChaCha key are the seed (little-endian) and the purpose (ASCII, up to 24 bytes, padded with zeros),
/// so that the split, the shuffle and the initial weights of one seed are unrelated; the stream number is the nonce.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream `stream` (an epoch, a tensor) of `seed` for `purpose`; only the first 24 bytes of the purpose count.
    #[must_use]
    pub fn new(seed: u64, purpose: &str, stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        for (to, from) in key[8..].iter_mut().zip(purpose.bytes()) {
            *to = from;
        }
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream);
        Self(rng)
    }

    /// The next 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A whole number in `0..bound`, each equally likely; 0 for a bound of 0.
    ///
    /// Lemire, "Fast random integer generation in an interval" (2019): the high half of `bits · bound`, where the few
    /// products whose low half would favour some results are drawn again.
    pub fn below(&mut self, bound: u32) -> u32 {
        let mut product = u64::from(self.bits()) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg() % bound; // 2³² mod bound
            while (product as u32) < threshold {
                product = u64::from(self.bits()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }

    /// A uniform number in `[0, 1)`: a multiple of 2⁻²⁴, so every value is exact in `f32`.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / 16_777_216.0
    }
}

/// Puts `items` into random order (Fisher and Yates, from the end), each order equally likely.
pub(crate) fn shuffle(random: &mut Random, items: &mut [u32]) {
    for i in (1..items.len()).rev() {
        let j = random.below((i + 1) as u32); // at most 2³² items: their indices are u32
        items.swap(i, j as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers come from a second ChaCha8, written in Python from the description above.
    #[test]
    fn values_are_pinned() {
        let mut random = Random::new(1, "test", 0);
        let got: Vec<u32> = (0..8).map(|_| random.below(100)).collect();
        assert_eq!(got, [43, 86, 0, 83, 35, 12, 4, 2]);
        assert_eq!(random.clone().bits(), 3_741_092_298);
        assert_eq!(random.unit(), (3_741_092_298u32 >> 8) as f32 / 16_777_216.0);
        // A bound that makes about a third of the draws invalid.
        let mut random = Random::new(1, "test", 0);
        let got: Vec<u32> = (0..6).map(|_| random.below(3_000_000_000)).collect();
        assert_eq!(got, [1_308_810_552, 2_602_292_787, 17_212_739, 2_498_925_544, 1_069_542_329, 382_692_235]);
    }

    #[test]
    fn bounds_hold() {
        let mut random = Random::new(7, "bounds", 3);
        assert_eq!([random.below(0), random.below(1)], [0, 0]);
        for bound in [2, 3, 10, 1 << 31, u32::MAX] {
            assert!((0..1000).all(|_| random.below(bound) < bound));
        }
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.unit())));
    }

    /// Counts of a die thrown 60,000 times: chi-squared with five degrees of freedom, 20.5 at one in a thousand.
    #[test]
    fn results_are_equally_likely() {
        let mut random = Random::new(1, "die", 0);
        let mut counts = [0f64; 6];
        for _ in 0..60_000 {
            counts[random.below(6) as usize] += 1.0;
        }
        let chi: f64 = counts.iter().map(|count| (count - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 20.5, "{counts:?}");
    }

    #[test]
    fn seed_purpose_and_stream_all_matter() {
        let draw = |seed, purpose, stream| {
            let mut random = Random::new(seed, purpose, stream);
            [random.bits(), random.bits()]
        };
        let all = [draw(1, "a", 0), draw(2, "a", 0), draw(1, "b", 0), draw(1, "a", 1), draw(1 << 32, "a", 0)];
        for i in 0..all.len() {
            assert!(!all[..i].contains(&all[i]), "{i}");
        }
        let _ = draw(u64::MAX, "a purpose far longer than twenty-four bytes", u64::MAX); // cut, no panic
    }
}

//! The pixels of a batch that are not 0 in all of its samples: the only columns of a first linear layer that matter.
//!
//! Of MNIST's 784 pixels a batch of 200 lights some 546. The others add nothing to `x·Wᵀ`, and nothing reaches their weights' gradients.

use crate::data::Dataset;
use std::ops::Range;

/// Dark columns that pay for moving a sample's lit pixels together, times the outputs of the layer: what is saved for each of them is a
/// multiply-add forward and one backward.
const FOR_SAMPLE: usize = 2500;
/// Dark columns that pay for moving the weights of an output together and their gradients back, times the samples. Both by counting
/// instructions, and such that what was measured slower stays as it is: 16 samples at 784-100, 128 at 784-10.
const FOR_OUTPUT: usize = 7000;

/// Which pixels of which sample are not 0, a bit for each, and those of a batch.
#[derive(Debug)]
pub(super) struct Lit {
    /// Words of 64 pixels for each sample.
    words: usize,
    bits: Vec<u64>,
    /// Of the batch.
    union: Vec<u64>,
    runs: Vec<Range<usize>>,
    pixels: usize,
}

impl Lit {
    /// Of all samples of `data`.
    pub(super) fn of(data: &Dataset) -> Self {
        let pixels = data.pixels();
        let words = pixels.div_ceil(64);
        let mut bits = Vec::with_capacity(words * data.len());
        for sample in 0..data.len() {
            bits.extend(data.image(sample).chunks(64).map(word));
        }
        Self { words, bits, union: vec![0; words], runs: Vec::with_capacity(pixels / 2 + 1), pixels }
    }

    /// Bytes that it takes for so many samples of so many pixels.
    pub(super) fn bytes(samples: usize, pixels: usize) -> u64 {
        (samples as u64).saturating_mul(pixels.div_ceil(64) as u64).saturating_mul(8)
    }

    /// Finds the columns of a batch, if they are few enough to be worth it in a layer of so many outputs. Does not allocate.
    pub(super) fn find(&mut self, indices: &[u32], outputs: usize) -> Option<&[Range<usize>]> {
        let fewest_dark = FOR_SAMPLE.checked_div(outputs)? + FOR_OUTPUT.checked_div(indices.len())?;
        if fewest_dark >= self.pixels {
            return None;
        }
        self.union.fill(0);
        for &index in indices {
            let bits = self.bits.get(index as usize * self.words..)?.get(..self.words)?;
            self.union.iter_mut().zip(bits).for_each(|(union, bits)| *union |= bits);
        }
        let lit: usize = self.union.iter().map(|word| word.count_ones() as usize).sum();
        if lit == 0 || self.pixels - lit < fewest_dark {
            return None;
        }
        self.runs.clear();
        for (i, &word) in self.union.iter().enumerate() {
            let (mut at, mut rest) = (64 * i, word);
            while rest != 0 {
                let dark = rest.trailing_zeros();
                rest >>= dark;
                let len = rest.trailing_ones();
                let from = at + dark as usize;
                at = from + len as usize;
                rest = rest.checked_shr(len).unwrap_or(0);
                match self.runs.last_mut() {
                    Some(last) if last.end == from => last.end = at,
                    _ => self.runs.push(from..at),
                }
            }
        }
        Some(&self.runs)
    }
}

/// A bit for each of up to 64 pixels: whether it is not 0.
fn word(pixels: &[u8]) -> u64 {
    /// A byte's highest bit, in each of eight.
    const HIGH: u64 = 0x8080_8080_8080_8080;
    /// Moves the lowest bits of eight bytes into the highest byte, the first byte's to its lowest bit.
    const TOGETHER: u64 = 0x0102_0408_1020_4080;
    let eight = |bytes: [u8; 8]| {
        let x = u64::from_le_bytes(bytes);
        let not_zero = (((x & !HIGH) + !HIGH) | x) & HIGH;
        (not_zero >> 7).wrapping_mul(TOGETHER) >> 56
    };
    let (whole, rest) = pixels.as_chunks();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let word = whole.iter().rev().fold(0, |word, bytes| word << 8 | eight(*bytes));
    if rest.is_empty() { word } else { word | eight(last) << (8 * whole.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of 10 by 13 pixels: more than two words, the last in part.
    fn data() -> Dataset {
        let pixel = |i: usize| if (i * 7919).is_multiple_of(13) { (i % 255) as u8 + 1 } else { 0 };
        let images: Vec<u8> = (0..20 * 130).map(|i| if i % 130 % 9 < 4 { 0 } else { pixel(i) }).collect();
        Dataset::new(images, vec![0; 20], 10, 13, 10).unwrap()
    }

    #[test]
    fn columns_are_those_with_ink_in_any_sample() {
        let data = data();
        let mut lit = Lit::of(&data);
        assert_eq!(Lit::bytes(20, 130), 8 * lit.bits.len() as u64);
        for indices in [(0..20).collect::<Vec<u32>>(), (3..16).collect(), vec![5; 12]] {
            let many: Vec<u32> = indices.iter().copied().cycle().take(500).collect();
            let found: Vec<usize> = lit.find(&many, 1000).unwrap().iter().cloned().flatten().collect();
            let want: Vec<usize> =
                (0..130).filter(|p| indices.iter().any(|&sample| data.image(sample as usize)[*p] != 0)).collect();
            assert_eq!(found, want);
            assert!(lit.runs.windows(2).all(|pair| pair[0].end < pair[1].start), "{:?}", lit.runs);
        }
        assert_eq!(lit.find(&[1; 16], 1000), None, "so few samples");
        assert_eq!(lit.find(&[1; 500], 10), None, "so few outputs");
        assert_eq!(lit.find(&[], 0), None);
        assert_eq!(lit.find(&[20; 500], 1000), None, "no such sample");
    }

    #[test]
    fn words_have_a_bit_for_every_pixel_that_is_not_zero() {
        for lit in [0, 1, 7, 8, 31, 62, 63] {
            for value in [1, 127, 128, 255] {
                let mut pixels = [0; 64];
                pixels[lit] = value;
                assert_eq!(word(&pixels), 1 << lit);
                assert_eq!(word(&pixels[..=lit]), 1 << lit);
                assert_eq!(word(&pixels[..lit]), 0);
            }
        }
        assert_eq!(word(&[9; 64]), u64::MAX);
    }

    #[test]
    fn batches_that_light_nearly_everything_or_nothing_have_no_columns() {
        let full = Dataset::new(vec![9; 16 * 4], vec![0; 16], 2, 2, 10).unwrap();
        assert_eq!(Lit::of(&full).find(&[1; 5000], 5000), None);
        let dark = Dataset::new(vec![0; 16 * 4], vec![0; 16], 2, 2, 10).unwrap();
        assert_eq!(Lit::of(&dark).find(&[1; 5000], 5000), None);
    }
}

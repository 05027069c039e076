//! Products from blocks with ink alone against those of all blocks, to the bit, on every instruction set.

extern crate std;
use super::*;
use crate::kernels::Epilogue;
use crate::kernels::pixels::{linear, linear_d_weight};
use crate::kernels::testing::{bytes, uniform};
use std::{vec, vec::Vec};

const SCALE: f32 = 1.0 / 77.0;

/// Rows of pixels in which about `lit` of a hundred blocks hold ink, some of them in one pixel alone.
fn page(rows: usize, width: usize, lit: usize) -> Vec<u8> {
    let (ink, chosen) = (bytes(rows * width, 5), bytes(rows * width, 6));
    let mut page = vec![0; rows * width];
    for (r, row) in page.chunks_mut(width).enumerate() {
        for (b, block) in row.chunks_mut(BLOCK).enumerate() {
            let at = r * width + b * BLOCK;
            if usize::from(chosen[at] as u8) * 100 < 256 * lit {
                let one = at.is_multiple_of(3);
                let places = if one { at / 3 % block.len()..at / 3 % block.len() + 1 } else { 0..block.len() };
                places.for_each(|i| block[i] = ink[at + i] as u8 | 1);
            }
        }
    }
    page
}

fn bits(of: &[f32]) -> Vec<u32> {
    of.iter().map(|x| x.to_bits()).collect()
}

/// Rows around a word of them, outputs around a tile's, pixels around registers, blocks and words of blocks.
fn shapes() -> impl Iterator<Item = [usize; 3]> {
    let widths = [1, 3, 7, 8, 9, 15, 16, 17, 24, 31, 33, 100, 511, 512, 513, 521, 784, 1030];
    let rows = [0, 1, 2, 63, 64, 65, 129];
    let small = widths.into_iter().map(|k| [3, 10, k]).chain(rows.into_iter().map(|m| [m, 10, 40]));
    let outputs = (1..=13).chain([20, 27]).map(|n| [5, n, 49]);
    small.chain(outputs).chain([[128, 10, 784], [130, 7, 1040]])
}

#[test]
fn blocks_without_ink_change_no_bit_on_any_isa() {
    for isa in Isa::available() {
        for [m, n, k] in shapes() {
            for lit in [0, 20, 60] {
                let page = page(m, k, lit);
                let whole = Pixels::new(&page, m, k, SCALE, 0.0).unwrap();
                let mut words = vec![u64::MAX; Pixels::ink_len(m, k) + 1];
                let inked = whole.with_ink(isa, &mut words).unwrap();
                assert!(inked.ink.is_some() || lit > 0, "{isa} {m}x{n}x{k}");
                let (weight, bias, d_y) = (uniform(n * k, 1), uniform(n, 2), uniform(m * n, 3));
                for accumulate in [false, true] {
                    let epilogue = Epilogue { accumulate, bias: Some(&bias), ..Epilogue::default() };
                    let mut y = [(); 2].map(|()| vec![if accumulate { 0.5 } else { f32::NAN }; m * n]);
                    linear(isa, whole, &weight, epilogue, &mut y[0]).unwrap();
                    linear(isa, inked, &weight, epilogue, &mut y[1]).unwrap();
                    assert_eq!(bits(&y[0]), bits(&y[1]), "{isa} {m}x{n}x{k} {lit}");
                }
                let mut d_weight = [(); 2].map(|()| vec![f32::NAN; n * k]);
                linear_d_weight(isa, whole, &d_y, &mut d_weight[0]).unwrap();
                linear_d_weight(isa, inked, &d_y, &mut d_weight[1]).unwrap();
                assert_eq!(bits(&d_weight[0]), bits(&d_weight[1]), "{isa} {m}x{n}x{k} {lit}");
                assert_eq!(words.last(), Some(&u64::MAX), "the word behind the bits");
            }
        }
    }
}

/// What the note is for: pixels whose blocks hold no ink are not looked at.
#[test]
fn numbers_that_are_not_finite_pass_by_pixels_without_ink() {
    for isa in Isa::available() {
        let (m, n, k) = (70, 10, 96);
        let mut page = vec![0; m * k];
        page.chunks_mut(k).for_each(|row| row[..32].fill(200));
        let (mut weight, mut d_y) = (uniform(n * k, 1), uniform(m * n, 3));
        weight.chunks_mut(k).for_each(|row| row[32..].fill(f32::NAN));
        let mut words = vec![0; Pixels::ink_len(m, k)];
        let x = Pixels::new(&page, m, k, SCALE, 0.0).unwrap().with_ink(isa, &mut words).unwrap();
        let mut y = vec![f32::NAN; m * n];
        linear(isa, x, &weight, Epilogue::default(), &mut y).unwrap();
        assert!(y.iter().all(|y| y.is_finite()), "{isa}");
        d_y[69 * n + 4] = f32::INFINITY;
        let mut d_weight = vec![f32::NAN; n * k];
        linear_d_weight(isa, x, &d_y, &mut d_weight).unwrap();
        let finite = |(i, d): (usize, &f32)| d.is_finite() == (i / k != 4 || i % k >= 32);
        assert!(d_weight.iter().enumerate().all(finite), "{isa}");
    }
}

#[test]
fn pages_that_are_full_or_of_which_zero_stands_for_something_are_taken_whole() {
    let isa = Isa::best();
    for (lit, offset, helps) in [(100, 0.0, false), (20, 0.5, false), (20, 0.0, true)] {
        let page = page(9, 784, lit);
        let mut words = vec![0; Pixels::ink_len(9, 784)];
        let x = Pixels::new(&page, 9, 784, SCALE, offset).unwrap().with_ink(isa, &mut words).unwrap();
        assert_eq!(x.ink.is_some(), helps, "{lit} {offset}");
    }
    let page = page(9, 784, 20);
    let x = Pixels::new(&page, 9, 784, SCALE, 0.0).unwrap();
    assert_eq!(Pixels::ink_len(9, 784), 18);
    assert!(x.with_ink(isa, &mut [0; 17]).is_err());
    assert_eq!(Pixels::ink_len(usize::MAX, 784), usize::MAX);
}

/// Sizes that are cut by rows, by columns in the midst of a word, and not at all.
#[cfg(feature = "train")]
#[test]
fn any_number_of_threads_leaves_the_same_blocks_out() {
    use crate::kernels::pixels::threads;
    let isa = Isa::best();
    for [m, n, k] in [[1000, 10, 784], [300, 9, 1100], [3, 10, 784]] {
        let page = page(m, k, 40);
        let (weight, d_y) = (uniform(n * k, 1), uniform(m * n, 3));
        let whole = Pixels::new(&page, m, k, SCALE, 0.0).unwrap();
        let (mut y, mut d_weight) = (vec![f32::NAN; m * n], vec![f32::NAN; n * k]);
        linear(isa, whole, &weight, Epilogue::default(), &mut y).unwrap();
        linear_d_weight(isa, whole, &d_y, &mut d_weight).unwrap();
        let mut words = vec![0; Pixels::ink_len(m, k)];
        let inked = whole.with_ink(isa, &mut words).unwrap();
        assert!(inked.ink.is_some());
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut y2, mut d_weight2) = (vec![f32::NAN; m * n], vec![f32::NAN; n * k]);
            pool.install(|| {
                threads::linear(isa, inked, &weight, Epilogue::default(), &mut y2).unwrap();
                threads::linear_d_weight(isa, inked, &d_y, &mut d_weight2).unwrap();
            });
            assert_eq!((bits(&y), bits(&d_weight)), (bits(&y2), bits(&d_weight2)), "{threads} threads {m}x{n}x{k}");
        }
    }
}

#[test]
fn words_say_which_blocks_hold_ink_and_turn_into_those_of_columns() {
    for at in [0, 7, 8, 100, 511] {
        let mut pixels = [0; 512];
        pixels[at] = 1;
        assert_eq!(word(&pixels), 1 << (at / BLOCK));
        assert_eq!(word(&pixels[..=at]), 1 << (at / BLOCK));
        assert_eq!(word(&pixels[..at]), 0);
    }
    assert_eq!([together(0b1001_0010, 8), together(0b1001_0010, 16)], [0b1001_0010, 0b0101_0001]);
    let words: [u64; WORD] = std::array::from_fn(|r| (r as u64 + 3).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let turned = transposed(words);
    for r in 0..WORD {
        for c in 0..WORD {
            assert_eq!(words[r] >> c & 1, turned[c] >> r & 1, "{r} {c}");
        }
    }
}

//! Dropout against one element at a time on every instruction set, and the statistics of what it draws.

extern crate std;
use super::*;
use crate::kernels::testing::uniform;
use crate::reference::{dropout_f64, dropout_word, gamma};
use std::{println, vec, vec::Vec};

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn elements_match_the_plain_loop_on_every_isa() {
    // Within a group, at its edges, where the low half of the counter carries, and at the end of all positions.
    for offset in [0, 1, 16, 31, 32, (1 << 33) - 40, (1 << 40) + 7, u64::MAX - 700] {
        for keep in [1.0, 0.9, 0.5, 0.001, 1e-5, 1e-20] {
            for isa in Isa::available() {
                let lanes = isa.lanes();
                for len in [0, 1, lanes - 1, lanes, lanes + 1, 31, 32, 33, 100, 600] {
                    let x = uniform(len, 1);
                    let mut want = vec![f64::NAN; len];
                    let word = |i: usize| dropout_word(9, 1 << 40, 3, offset + i as u64);
                    dropout_f64(keep, word, &x, &mut want).unwrap();
                    let mut got = vec![f32::NAN; len];
                    let key = Key::new(9, 1 << 40).layer(3);
                    apply(isa, key, offset, keep, &x, &mut got).unwrap();
                    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                        let error = (f64::from(*got) - want).abs();
                        assert!(error <= gamma(2) * want.abs(), "{isa} {offset} {keep} {len} at {i}: {got} {want}");
                    }
                    let mut again = x.clone();
                    apply_in_place(isa, key, offset, keep, &mut again).unwrap();
                    assert_eq!(bits(&got), bits(&again), "{isa} {offset} {keep} {len} in place");
                    apply(Isa::SCALAR, key, offset, keep, &x, &mut again).unwrap();
                    assert_eq!(bits(&got), bits(&again), "{isa} {offset} {keep} {len} and scalar");
                }
            }
        }
    }
}

#[test]
fn ranges_draw_what_the_whole_draws() {
    let (key, x) = (Key::new(1, 2), uniform(500, 2));
    for isa in Isa::available() {
        println!("isa {isa}");
        let mut whole = vec![f32::NAN; 500];
        apply(isa, key, 11, 0.7, &x, &mut whole).unwrap();
        for step in [1, 7, 16, 21, 32, 33, 250] {
            let mut parts = vec![f32::NAN; 500];
            for (i, (x, out)) in x.chunks(step).zip(parts.chunks_mut(step)).enumerate() {
                apply(isa, key, 11 + (i * step) as u64, 0.7, x, out).unwrap();
            }
            assert_eq!(bits(&parts), bits(&whole), "{isa} in parts of {step}");
        }
    }
}

/// The numbers come from a second implementation, in Python: a seed must mean the same for ever.
#[test]
fn what_a_seed_draws_is_pinned() {
    let mut out = [f32::NAN; 64];
    apply(Isa::best(), Key::new(1, 2).layer(3), 0, 0.5, &[1.0; 64], &mut out).unwrap();
    let kept = out.iter().rev().fold(0u64, |kept, x| kept << 1 | u64::from(*x == 2.0));
    assert_eq!(kept, 0x7338_9a4b_e252_5ab2);
}

#[test]
fn nan_is_dropped_or_kept_like_any_other() {
    for isa in Isa::available() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let (mut numbers, mut odds) = ([1.0; 77], [odd; 77]);
            apply_in_place(isa, Key::new(4, 5), 3, 0.5, &mut numbers).unwrap();
            apply_in_place(isa, Key::new(4, 5), 3, 0.5, &mut odds).unwrap();
            for (number, got) in numbers.iter().zip(odds) {
                let want = if *number == 0.0 { 0.0 } else { odd };
                assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{isa} {number} {got}");
            }
        }
        let mut x = [f32::NAN, -0.0, 3.0];
        apply_in_place(isa, Key::new(4, 5), 3, 1.0, &mut x).unwrap();
        assert!(x[0].is_nan() && bits(&x[1..]) == bits(&[-0.0, 3.0]), "{isa}: keeping all changes nothing");
    }
}

const DRAWS: usize = 1 << 18;

/// `1 − keep` where an element is kept and `−keep` elsewhere: numbers of mean 0 and variance `keep·(1 − keep)`.
fn centred(key: Key, keep: f32) -> Vec<f64> {
    let mut x = vec![1.0; DRAWS];
    apply_in_place(Isa::best(), key, 0, keep, &mut x).unwrap();
    x.iter().map(|x| if *x == 0.0 { -f64::from(keep) } else { 1.0 - f64::from(keep) }).collect()
}

/// Sums of independent draws stay within four of their deviations: by chance one in sixteen thousand does not.
#[test]
fn draws_have_the_right_mean_and_no_correlations() {
    for keep in [0.5, 0.9] {
        let variance = f64::from(keep) * (1.0 - f64::from(keep));
        let keys = [Key::new(1, 0), Key::new(1, 1), Key::new(2, 0), Key::new(1, 0).layer(0), Key::new(1, 0).layer(1)];
        let draws: Vec<Vec<f64>> = keys.iter().map(|key| centred(*key, keep)).collect();
        let limit = 4.0 * variance * (DRAWS as f64).sqrt();
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for (i, a) in draws.iter().enumerate() {
            let sum = a.iter().sum::<f64>();
            assert!(sum.abs() <= 4.0 * (variance * DRAWS as f64).sqrt(), "{keep}, key {i}: mean off by {sum}");
            for lag in [1, 2, 15, 16, 17, 31, 32, 33] {
                let sum = product(a, &a[lag..]);
                assert!(sum.abs() <= limit, "{keep}, key {i}: neighbours {lag} apart, {sum} of {limit}");
            }
            for (j, b) in draws[..i].iter().enumerate() {
                let sum = product(a, b);
                assert!(sum.abs() <= limit, "{keep}, keys {i} and {j}: {sum} of {limit}");
            }
        }
    }
}

/// One position over many steps: as independent as many positions in one.
#[test]
fn steps_are_independent_at_one_position() {
    const STEPS: u64 = 1 << 14;
    let draw = |step| {
        let mut x = [1.0];
        apply_in_place(Isa::SCALAR, Key::new(5, step).layer(0), 12_345, 0.5, &mut x).unwrap();
        if x[0] == 0.0 { -0.5 } else { 0.5 }
    };
    let draws: Vec<f64> = (0..STEPS).map(draw).collect();
    let (sum, deviation) = (draws.iter().sum::<f64>(), (STEPS as f64).sqrt() / 2.0);
    assert!(sum.abs() <= 4.0 * deviation, "{sum}");
    let neighbours = draws.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
    assert!(neighbours.abs() <= 2.0 * deviation, "{neighbours}"); // products of ± 1/4
}

/// Every byte of the words takes all values alike: chi-squared with 255 degrees of freedom, 330.5 at one in a thousand.
#[test]
fn bytes_are_equally_likely() {
    let words: Vec<u32> = (0..DRAWS as u64).map(|position| dropout_word(1, 0, 0, position)).collect();
    for byte in 0..4 {
        let mut counts = [0f64; 256];
        for word in &words {
            counts[usize::from(word.to_le_bytes()[byte])] += 1.0;
        }
        let expected = DRAWS as f64 / 256.0;
        let chi: f64 = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
        assert!(chi < 330.5, "byte {byte}: {chi}");
    }
}

#[test]
fn probabilities_and_lengths_are_checked() {
    let (isa, key) = (Isa::best(), Key::new(1, 1));
    for keep in [0.0, -0.5, 1.000_000_1, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = apply_in_place(isa, key, 0, keep, &mut [1.0; 4]).unwrap_err();
        assert!(matches!(error, ShapeError::Number { got, .. } if got == keep.to_bits()), "{keep}: {error}");
    }
    assert!(apply(isa, key, 0, 0.5, &[1.0; 4], &mut [1.0; 5]).is_err());
    assert_eq!(apply_in_place(isa, key, u64::MAX - 3, 0.5, &mut [1.0; 4]), Err(ShapeError::Overflow));
    let mut x = [1.0; 40];
    apply_in_place(isa, key, 0, f32::from_bits(1), &mut x).unwrap();
    assert_eq!(x, [0.0; 40], "kept once in four thousand million draws");
    let least = (-32f32).exp2();
    for (keep, largest) in [(1.0, u32::MAX), (0.5, (1 << 31) - 1), (1.5 * least, 1), (least, 0), (1e-30, 0)] {
        assert_eq!(limit(keep), Ok(largest), "{keep}");
    }
}

//! The rounding rule against its own definition in 128 bits, at every edge of sum, multiplier and shift, on every instruction set.

extern crate std;
use super::*;
use std::{println, vec, vec::Vec};

/// `clamp(zero_point + ⌊(sum + bias) · multiplier / 2^(31 + shift) + 1/2⌋)`, in numbers that cannot overflow.
fn defined(sum: i32, bias: i32, multiplier: i32, shift: i32, zero_point: i8, clamp: (i8, i8)) -> i8 {
    let unit = 1i128 << (31 + shift);
    let scaled = (2 * i128::from(sum.wrapping_add(bias)) * i128::from(multiplier) + unit).div_euclid(2 * unit);
    (scaled + i128::from(zero_point)).clamp(clamp.0.into(), clamp.1.into()) as i8
}

fn edges() -> Vec<i32> {
    let mut edges = vec![0, 1, 2, 3, 127, 128, 1000, i32::MAX, i32::MIN, i32::MIN + 1];
    for power in 1..31 {
        edges.extend([(1 << power) - 1, 1 << power, (1 << power) + 1]);
    }
    let negative: Vec<i32> = edges.iter().map(|x| x.wrapping_neg()).collect();
    edges.extend(negative);
    edges
}

#[test]
fn every_edge_of_sum_multiplier_and_shift_follows_the_rule_on_every_isa() {
    let edges = edges();
    let multipliers: Vec<i32> = edges.iter().copied().filter(|x| *x >= 0).collect();
    for isa in Isa::available() {
        println!("isa {isa}");
        for shift in 0..=31 {
            let channels = multipliers.len();
            let (bias, shifts) = (vec![0; channels], vec![shift; channels]);
            let clamp = (-128, 127);
            let rule = Requantize::new(&bias, &multipliers, &shifts, -5, clamp).unwrap();
            for &sum in &edges {
                let mut out = vec![0x55; channels];
                rule.rows(isa, &vec![sum; channels], &mut out).unwrap();
                for (&multiplier, &got) in multipliers.iter().zip(&out) {
                    assert_eq!(got, defined(sum, 0, multiplier, shift, -5, clamp), "{isa} {sum} {multiplier} {shift}");
                }
            }
        }
    }
}

/// Products around every half: the rule rounds it up, also below zero.
#[test]
fn halves_round_up() {
    for isa in Isa::available() {
        for (sum, want) in [(1, 1), (-1, 0), (3, 2), (-3, -1), (5, 3), (-5, -2), (2, 1), (-2, -1)] {
            let rule = Requantize::new(&[0], &[1 << 30], &[0], 0, (-128, 127)).unwrap(); // one half
            let mut out = [77];
            rule.rows(isa, &[sum], &mut out).unwrap();
            assert_eq!(out, [want], "{isa}: half of {sum}");
        }
    }
}

#[test]
fn every_length_zero_point_and_clamp_follows_the_rule_between_guards() {
    for isa in Isa::available() {
        for channels in 0..20usize {
            for (zero_point, clamp) in
                [(0, (-128, 127)), (-128, (-128, 127)), (127, (-128, 127)), (-7, (-7, 127)), (3, (3, 3))]
            {
                let number = |i: usize| (i as i32).wrapping_mul(0x3c6e_f35f) ^ 0x1234_5678;
                let bias: Vec<i32> = (0..channels).map(|i| number(i) >> 8).collect();
                let multiplier: Vec<i32> = (0..channels).map(|i| number(i + 50) & i32::MAX).collect();
                let shift: Vec<i32> = (0..channels).map(|i| i as i32 % 32).collect();
                let sums: Vec<i32> = (0..3 * channels).map(|i| number(i + 100)).collect();
                let rule = Requantize::new(&bias, &multiplier, &shift, zero_point, clamp).unwrap();
                let mut out = vec![0x55i8; 3 * channels + 16];
                rule.rows(isa, &sums, &mut out[8..8 + 3 * channels]).unwrap();
                for (i, &got) in out.iter().enumerate() {
                    let want = if i < 8 || i >= 8 + 3 * channels {
                        0x55
                    } else {
                        let c = (i - 8) % channels;
                        defined(sums[i - 8], bias[c], multiplier[c], shift[c], zero_point, clamp)
                    };
                    assert_eq!(got, want, "{isa} {channels} channels, at {i}");
                }
            }
        }
    }
}

#[test]
fn factors_become_the_nearest_multiplier() {
    let value = |m: Multiplier| f64::from(m.multiplier) / 2f64.powi(31 + i32::from(m.shift));
    for factor in [0.5, 0.25, 0.75, 0.1, 0.999, 1.0 / 3.0, 0.0003, 2f64.powi(-32), 2f64.powi(-31) * 1.7, 1e-7] {
        let m = Multiplier::of(factor).unwrap();
        let error = (value(m) - factor).abs();
        assert!(error <= factor * 2f64.powi(-31), "{factor}: {m:?}, off by {error:e}");
        assert!(m.multiplier >= 1 << 30 && m.shift <= MAX_SHIFT, "{factor}: {m:?}");
    }
    assert_eq!(Multiplier::of(0.5).unwrap(), Multiplier { multiplier: 1 << 30, shift: 0 });
    assert_eq!(
        Multiplier::of(0.5 - 1e-12).unwrap(),
        Multiplier { multiplier: 1 << 30, shift: 0 },
        "rounds over the edge"
    );
    assert_eq!(Multiplier::of(1.0 - 1e-16).unwrap(), Multiplier { multiplier: i32::MAX, shift: 0 }, "nothing is above");
    for factor in [2f64.powi(-33), 1.5 * 2f64.powi(-50), 1e-18, 1e-19, 1e-300, f64::MIN_POSITIVE / 8.0] {
        let m = Multiplier::of(factor).unwrap();
        assert!((value(m) - factor).abs() <= 2f64.powi(-63), "{factor}: {m:?}");
    }
    for bad in [0.0, -0.5, 1.0, 2.0, f64::NAN, f64::INFINITY] {
        assert_eq!(Multiplier::of(bad), None, "{bad}");
    }
}

#[test]
fn numbers_out_of_range_and_slices_that_do_not_fit_are_refused() {
    let error = Requantize::new(&[0; 2], &[1], &[0; 2], 0, (-128, 127)).unwrap_err();
    assert_eq!(error, ShapeError::Length { what: "the multipliers", expected: 2, got: 1 });
    assert!(Requantize::new(&[0], &[-1], &[0], 0, (-128, 127)).is_err());
    assert!(Requantize::new(&[0], &[1], &[32], 0, (-128, 127)).is_err());
    assert!(Requantize::new(&[0], &[1], &[-1], 0, (-128, 127)).is_err());
    assert!(Requantize::new(&[0], &[1], &[0], 0, (5, 4)).is_err());
    let rule = Requantize::new(&[0; 3], &[1; 3], &[0; 3], 0, (-128, 127)).unwrap();
    assert!(rule.rows(Isa::SCALAR, &[0; 6], &mut [0; 5]).is_err());
    assert!(rule.rows(Isa::SCALAR, &[0; 5], &mut [0; 5]).is_err());
    assert!(Requantize::new(&[], &[], &[], 0, (0, 0)).unwrap().rows(Isa::SCALAR, &[1], &mut [1]).is_err());
}

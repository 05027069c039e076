//! Every byte and both ends of every factor, against wider integers.

extern crate std;
use super::*;
use crate::kernels::testing::bytes;
use std::vec::Vec;

#[test]
fn pixels_keep_their_order() {
    for len in [0, 1, 3, 4, 5, 255, 256] {
        let mut pixels: Vec<u8> = (0..len).map(|i| i as u8).collect();
        from_pixels(&mut pixels);
        let want: Vec<u8> = (0..len).map(|i: i32| (i - 128) as i8 as u8).collect();
        assert_eq!(pixels, want);
    }
}

#[test]
fn tables_begin_at_the_smallest_byte() {
    let table: [i8; 256] = core::array::from_fn(|i| (i as i32 - 128).abs().min(127) as i8);
    let mut x: Vec<i8> = (-128..=127).collect();
    look_up(&table, &mut x);
    assert!(x.iter().enumerate().all(|(i, x)| *x == table[i]));
}

/// Against sums of 128 bits, at both ends of every number.
#[test]
fn sums_are_those_of_the_formula_on_every_isa() {
    for isa in Isa::available() {
        for len in [0, 1, 15, 16, 17, 63, 64, 65, 300] {
            let (a, b) = (bytes(len, 4), bytes(len, 5));
            for (m, shift) in
                [([1, 1], 0), ([MAX_SUM_MULTIPLIER; 2], 22), ([3_000_000, 0], 22), ([77_777, 4_000_001], 20)]
            {
                for (zeros, zero_out, clamp) in [([-128, 127], 127, (-128, 127)), ([3, -4], -128, (-128, 100))] {
                    let by = Sum::new(m, zeros, shift, zero_out, clamp).unwrap();
                    let mut got = a.clone();
                    add(isa, &by, &mut got, &b).unwrap();
                    let one = |(a, b): (&i8, &i8)| {
                        let (a, b) = (i128::from(*a) - i128::from(zeros[0]), i128::from(*b) - i128::from(zeros[1]));
                        let sum = a * i128::from(m[0]) + b * i128::from(m[1]);
                        let rounded = (2 * sum + (1 << shift)).div_euclid(2 << shift); // half up
                        (rounded + i128::from(zero_out)).clamp(clamp.0.into(), clamp.1.into()) as i8
                    };
                    assert_eq!(got, a.iter().zip(&b).map(one).collect::<Vec<_>>(), "{isa} {len} {m:?}");
                }
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let good = Sum::new([1, 1], [0, 0], 0, 0, (-128, 127)).unwrap();
    assert!(add(Isa::SCALAR, &good, &mut [0; 3], &[0; 2]).is_err());
    for (m, shift, clamp) in [
        ([-1, 1], 0, (-1, 1)),
        ([1, MAX_SUM_MULTIPLIER + 1], 0, (-1, 1)),
        ([1, 1], MAX_SUM_SHIFT + 1, (-1, 1)),
        ([1, 1], 0, (1, -1)),
    ] {
        assert!(Sum::new(m, [0, 0], shift, 0, clamp).is_err());
    }
}

//! Against the formula in wider integers, and against what it stands for in floating point.

extern crate std;
use super::*;
use crate::kernels::testing::bytes;
use std::vec::Vec;

/// The formula of [`Standardize`], in 128 bits.
fn formula(pixels: &[u8], multiplier: i32, shift: u8, zero: i8) -> Vec<i8> {
    let n = pixels.len() as u128;
    let sum: u128 = pixels.iter().map(|p| u128::from(*p)).sum();
    let spread = n * pixels.iter().map(|p| u128::from(*p).pow(2)).sum::<u128>() - sum * sum;
    let slope = if spread == 0 {
        0
    } else {
        let e = (spread as u64).leading_zeros() / 2;
        ((multiplier as u128 * n) << e) / (spread << (2 * e)).isqrt()
    };
    let rest = (2 * slope * (sum % n) + n) / (2 * n);
    let one = |p: &u8| {
        let v = (i128::from(*p) - (sum / n) as i128) * slope as i128 - rest as i128;
        let rounded = (2 * v + (1 << shift)).div_euclid(2 << shift); // half up
        (rounded + i128::from(zero)).clamp(-128, 127) as i8
    };
    pixels.iter().map(one).collect()
}

/// Images of `n` pixels: drawn, of one grey, all but one pixel of one grey, at the ends of the range.
fn images(n: usize) -> Vec<Vec<u8>> {
    let drawn: Vec<u8> = bytes(n, 7).into_iter().map(|byte| byte as u8).collect();
    let alone = |grey: u8, other: u8| {
        let mut image = std::vec![grey; n];
        image[n / 2] = other;
        image
    };
    std::vec![drawn, alone(0, 0), alone(255, 255), alone(0, 255), alone(0, 1), alone(255, 254), alone(254, 255)]
}

fn standardized(isa: Isa, by: &Standardize, images: &[Vec<u8>]) -> Vec<i8> {
    let mut bytes: Vec<i8> = images.iter().flatten().map(|p| *p as i8).collect();
    standardize(isa, by, &mut bytes).unwrap();
    bytes
}

#[test]
fn bytes_are_those_of_the_formula_on_every_isa() {
    for n in [1, 2, 3, 15, 16, 17, 63, 64, 65, 784, (1 << 16) + 1] {
        let images = images(n);
        let most = (MAX_REACH / n as u64).isqrt().min(i32::MAX as u64) as i32;
        for (multiplier, shift, zero) in [(most, 22, -20), (most, 0, 127), (1, 0, -128), (most / 3, 19, 5)] {
            let by = Standardize::new(n, multiplier, shift, zero).unwrap();
            let want: Vec<i8> = images.iter().flat_map(|image| formula(image, multiplier, shift, zero)).collect();
            for isa in Isa::available() {
                assert_eq!(standardized(isa, &by, &images), want, "{isa} {n} {multiplier} {shift}");
            }
        }
    }
}

/// Half a step of rounding, and hardly more.
#[test]
fn bytes_stand_for_deviations_from_the_mean() {
    let (multiplier, shift, zero) = (17_476_267, 19, -40); // 0.03 of a deviation to a step
    for image in images(784) {
        let by = Standardize::new(784, multiplier, shift, zero).unwrap();
        let got = standardized(Isa::best(), &by, core::slice::from_ref(&image));
        let mean = image.iter().map(|p| f64::from(*p)).sum::<f64>() / 784.0;
        let deviation = (image.iter().map(|p| (f64::from(*p) - mean).powi(2)).sum::<f64>() / 784.0).sqrt();
        for (p, q) in image.iter().zip(&got) {
            let exact = if deviation > 0.0 {
                (f64::from(*p) - mean) / deviation * f64::from(multiplier) / f64::from(1 << shift)
            } else {
                0.0
            };
            let exact = (exact + f64::from(zero)).clamp(-128.0, 127.0);
            assert!((f64::from(*q) - exact).abs() <= 0.5 + 1.0 / 512.0, "{p}: {q} for {exact}");
        }
    }
}

/// The largest image there may be, whose sums come closest to the end of 64 bits.
#[test]
fn the_largest_image_does_not_overflow() {
    let half = |i: usize| if i.is_multiple_of(2) { 0 } else { 255 };
    for image in [(0..MAX_PIXELS).map(half).collect::<Vec<u8>>(), std::vec![255; MAX_PIXELS]] {
        let most = (MAX_REACH / MAX_PIXELS as u64).isqrt() as i32;
        let by = Standardize::new(MAX_PIXELS, most, 10, 3).unwrap();
        let want = formula(&image, most, 10, 3);
        assert!(standardized(Isa::best(), &by, &[image]) == want);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let good = Standardize::new(4, 1 << 20, 16, 0).unwrap();
    assert!(standardize(Isa::SCALAR, &good, &mut [0; 6]).is_err());
    assert_eq!(standardize(Isa::SCALAR, &good, &mut []), Ok(()));
    let most = (MAX_REACH / 4).isqrt() as i32;
    assert!(Standardize::new(4, most, 22, 0).is_ok());
    for (pixels, multiplier, shift) in
        [(0, 1, 0), (MAX_PIXELS + 1, 1, 0), (4, 0, 0), (4, -1, 0), (4, most + 1, 0), (4, i32::MIN, 0), (4, 1, 23)]
    {
        assert!(Standardize::new(pixels, multiplier, shift, 0).is_err(), "{pixels} {multiplier} {shift}");
    }
}

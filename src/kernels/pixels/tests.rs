//! Layers over bytes against the same layers over converted pixels and against f64, on every instruction set.

extern crate std;
use super::*;
use crate::kernels::elementwise::pixels_to_f32;
use crate::kernels::testing::{bytes, uniform};
use crate::kernels::{Activation, matmul_scratch_len, matmul_with};
use crate::reference;
use std::{println, vec, vec::Vec};

/// Rows, outputs and pixels of a row: around the tiles of every instruction set, and a last layer of digits.
fn shapes() -> impl Iterator<Item = [usize; 3]> {
    let rows = [0, 1, 2, 3, 5];
    let outputs = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 15, 16, 20, 27];
    let widths = [1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 100];
    let all = move |rows| outputs.into_iter().flat_map(move |n| widths.into_iter().map(move |k| [rows, n, k]));
    rows.into_iter().flat_map(all).chain([[128, 10, 784], [37, 13, 784]])
}

fn pixels(len: usize) -> Vec<u8> {
    bytes(len, 11).into_iter().map(|byte| byte as u8).collect()
}

const AFFINE: (f32, f32) = (1.0 / 77.0, -0.4);

/// What the pixels stand for.
fn numbers(pixels: &[u8]) -> Vec<f32> {
    let mut out = vec![f32::NAN; pixels.len()];
    pixels_to_f32(Isa::SCALAR, pixels, AFFINE.0, AFFINE.1, &mut out).unwrap();
    out
}

/// A slice between guards that must stay as they are.
fn guarded<R>(len: usize, fill: f32, work: impl FnOnce(&mut [f32]) -> R) -> (Vec<f32>, R) {
    const GUARD: f32 = -77.25;
    let mut all = vec![GUARD; len + 40];
    all[20..20 + len].fill(fill);
    let result = work(&mut all[20..20 + len]);
    assert!(all[..20].iter().chain(&all[20 + len..]).all(|x| *x == GUARD), "a guard was written");
    (all[20..20 + len].to_vec(), result)
}

#[test]
fn outputs_match_f64_within_the_rounding_bound_on_every_isa() {
    for isa in Isa::available() {
        println!("isa {isa}");
        for [m, n, k] in shapes() {
            let bytes = pixels(m * k);
            let (x, weight, bias) = (numbers(&bytes), uniform(n * k, 1), uniform(n, 2));
            let pixels = Pixels::new(&bytes, m, k, AFFINE.0, AFFINE.1).unwrap();
            let (mut want, mut magnitude) = (vec![0.0; m * n], vec![0.0; m * n]);
            let (a, b) = (Mat::new(&x, m, k).unwrap(), Mat::new(&weight, n, k).unwrap().t());
            reference::matmul_f64(a, b, &mut want, &mut magnitude).unwrap();
            for accumulate in [false, true] {
                let epilogue = Epilogue { accumulate, bias: Some(&bias), activation: Activation::Relu };
                let start = if accumulate { 0.5 } else { f32::NAN };
                let (got, ()) = guarded(m * n, start, |y| linear(isa, pixels, &weight, epilogue, y).unwrap());
                for (i, got) in got.iter().enumerate() {
                    let added = f64::from(bias[i % n]) + if accumulate { 0.5 } else { 0.0 };
                    let want = (want[i] + added).max(0.0);
                    let bound = reference::gamma(k + 3) * (magnitude[i] + added.abs() + 0.5);
                    assert!((f64::from(*got) - want).abs() <= bound, "{isa} {m}x{n}x{k} at {i}: {got} {want}");
                }
            }
        }
    }
}

/// So a layer over bytes may stand in for one over floats: no sum is rounded in another order.
#[test]
fn outputs_have_the_bits_of_a_product_of_dots_over_converted_pixels() {
    for isa in Isa::available() {
        for [m, n, k] in [[128, 10, 784], [40, 5, 301], [64, 12, 784]] {
            let bytes = pixels(m * k);
            let (mut x, weight) = (vec![0.0; m * k], uniform(n * k, 1));
            for (pixels, x) in bytes.chunks(k).zip(x.chunks_mut(k)) {
                pixels_to_f32(isa, pixels, AFFINE.0, AFFINE.1, x).unwrap();
            }
            let (mut want, mut got) = (vec![f32::NAN; m * n], vec![f32::NAN; m * n]);
            let (a, b) = (Mat::new(&x, m, k).unwrap(), Mat::new(&weight, n, k).unwrap().t());
            let mut scratch = vec![0.0; matmul_scratch_len(m, n, k)];
            let epilogue = Epilogue::default();
            matmul_with(isa, MatMut::new(&mut want, m, n).unwrap(), a, b, epilogue, &mut scratch).unwrap();
            let pixels = Pixels::new(&bytes, m, k, AFFINE.0, AFFINE.1).unwrap();
            linear(isa, pixels, &weight, epilogue, &mut got).unwrap();
            let equal = got.iter().zip(&want).all(|(got, want)| got.to_bits() == want.to_bits());
            assert!(equal, "{isa} {m}x{n}x{k}");
        }
    }
}

#[test]
fn gradients_match_f64_within_the_rounding_bound_on_every_isa() {
    for isa in Isa::available() {
        for [m, n, k] in shapes() {
            let bytes = pixels(m * k);
            let (x, d_y) = (numbers(&bytes), uniform(m * n, 3));
            let (mut want, mut magnitude) = (vec![0.0; n * k], vec![0.0; n * k]);
            let (a, b) = (Mat::new(&d_y, m, n).unwrap().t(), Mat::new(&x, m, k).unwrap());
            reference::matmul_f64(a, b, &mut want, &mut magnitude).unwrap();
            let pixels = Pixels::new(&bytes, m, k, AFFINE.0, AFFINE.1).unwrap();
            let (got, ()) = guarded(n * k, f32::NAN, |d_w| linear_d_weight(isa, pixels, &d_y, d_w).unwrap());
            for (i, got) in got.iter().enumerate() {
                let error = (f64::from(*got) - want[i]).abs();
                let bound = reference::gamma(m + 3) * (magnitude[i] + m as f64);
                assert!(error <= bound, "{isa} {m}x{n}x{k} at {i}: {got} {}", want[i]);
            }
        }
    }
}

#[test]
fn infinity_and_nan_reach_their_elements_alone() {
    for isa in Isa::available() {
        let (m, n, k) = (5, 12, 37);
        let bytes = vec![255; m * k];
        let pixels = Pixels::new(&bytes, m, k, AFFINE.0, AFFINE.1).unwrap();
        for special in [f32::NAN, f32::INFINITY] {
            let (mut weight, mut d_y) = (vec![0.5; n * k], vec![0.5; m * n]);
            (weight[3 * k + 36], d_y[2 * n + 11]) = (special, special);
            let (mut y, mut d_weight) = (vec![0.0; m * n], vec![0.0; n * k]);
            linear(isa, pixels, &weight, Epilogue::default(), &mut y).unwrap();
            linear_d_weight(isa, pixels, &d_y, &mut d_weight).unwrap();
            assert!(y.iter().enumerate().all(|(i, y)| y.is_finite() != (i % n == 3)), "{isa} {y:?}");
            assert!(d_weight.iter().enumerate().all(|(i, d)| d.is_finite() != (i / k == 11)), "{isa} {d_weight:?}");
        }
    }
}

/// The bits of one thread, of sizes that are cut and sizes that are not.
#[cfg(feature = "train")]
#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let isa = Isa::best();
    for [m, n, k] in [[1000, 10, 784], [128, 27, 301], [3, 10, 784], [4001, 11, 40]] {
        let bytes = pixels(m * k);
        let (weight, d_y) = (uniform(n * k, 1), uniform(m * n, 3));
        let pixels = Pixels::new(&bytes, m, k, AFFINE.0, AFFINE.1).unwrap();
        let (mut y, mut d_weight) = (vec![f32::NAN; m * n], vec![f32::NAN; n * k]);
        linear(isa, pixels, &weight, Epilogue::default(), &mut y).unwrap();
        linear_d_weight(isa, pixels, &d_y, &mut d_weight).unwrap();
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut y2, mut d_weight2) = (vec![f32::NAN; m * n], vec![f32::NAN; n * k]);
            pool.install(|| {
                threads::linear(isa, pixels, &weight, Epilogue::default(), &mut y2).unwrap();
                threads::linear_d_weight(isa, pixels, &d_y, &mut d_weight2).unwrap();
            });
            assert!(y == y2 && d_weight == d_weight2, "{threads} threads {m}x{n}x{k}");
        }
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let bytes = [0; 12];
    for (rows, width) in [(3, 3), (5, 3), (12, 0), (0, 0), (usize::MAX, 2)] {
        assert!(Pixels::new(&bytes, rows, width, 1.0, 0.0).is_err());
    }
    let x = Pixels::new(&bytes, 3, 4, 1.0, 0.0).unwrap();
    assert_eq!([x.rows(), x.width()], [3, 4]);
    let bias = Epilogue { bias: Some(&[0.0; 3]), ..Epilogue::default() };
    for (weight, y, epilogue) in [(9, 6, Epilogue::default()), (8, 5, Epilogue::default()), (8, 6, bias)] {
        assert!(linear(Isa::SCALAR, x, &vec![0.0; weight], epilogue, &mut vec![0.0; y]).is_err());
    }
    for (d_y, d_weight) in [(6, 9), (5, 8), (7, 8)] {
        assert!(linear_d_weight(Isa::SCALAR, x, &vec![0.0; d_y], &mut vec![0.0; d_weight]).is_err());
    }
    let mut y = [f32::NAN; 6];
    linear(Isa::SCALAR, x, &[1.0; 8], Epilogue::default(), &mut y).unwrap();
    assert_eq!(y, [0.0; 6]);
}

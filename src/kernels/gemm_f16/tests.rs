//! Half-precision weights against the same numbers in single precision: on one instruction set the bits are equal, but for a few short
//! rows, which singles have a plain loop for.

extern crate std;
use super::*;
use crate::kernels::testing::uniform;
use crate::kernels::{Activation, matmul_with as matmul_f32};
use crate::reference;
use std::{println, vec, vec::Vec};

fn halves(numbers: &[f32]) -> Vec<f16> {
    numbers.iter().map(|x| f16::from_f32_const(*x)).collect()
}

fn singles(numbers: &[f16]) -> Vec<f32> {
    numbers.iter().map(|x| x.to_f32_const()).collect()
}

/// B by rows or, as a layer's weights are, by columns; rows `gap` further apart than they are long.
fn view<T>(data: &[T], k: usize, n: usize, transposed: bool, gap: usize) -> Mat<'_, T> {
    if transposed {
        Mat::with_row_stride(data, n, k, k + gap).unwrap().t()
    } else {
        Mat::with_row_stride(data, k, n, n + gap).unwrap()
    }
}

const SHAPES: [[usize; 3]; 22] = [
    [0, 3, 4],
    [3, 0, 4],
    [3, 4, 0],
    [1, 1, 1],
    [2, 3, 4],
    [1, 7, 9],
    [1, 8, 64],
    [1, 65, 700],
    [1, 513, 200],
    [5, 16, 16],
    [5, 3, 64],
    [6, 17, 33],
    [7, 31, 8],
    [12, 40, 300],
    [16, 100, 257],
    [25, 15, 641],
    [33, 401, 40],
    [64, 3, 100],
    [100, 33, 31],
    [130, 50, 640],
    [200, 16, 129],
    [40, 1030, 65],
];

#[test]
fn weights_in_f16_give_the_bits_of_the_same_weights_in_f32_on_every_isa() {
    for isa in Isa::available() {
        println!("isa {isa}");
        for [m, n, k] in SHAPES {
            for (transposed, gap) in [(false, 0), (true, 0), (false, 5), (true, 5)] {
                let (rows, cols) = if transposed { (n, k) } else { (k, n) };
                let half = halves(&uniform(rows * (cols + gap), 1));
                let single = singles(&half);
                let (a, bias) = (uniform(m * k, 2), uniform(n, 3));
                let a = Mat::new(&a, m, k).unwrap();
                for accumulate in [false, true] {
                    let epilogue = Epilogue { accumulate, bias: Some(&bias), activation: Activation::Relu };
                    let start = if accumulate { uniform(m * n, 4) } else { vec![f32::NAN; m * n] };
                    let (mut got, mut want) = (start.clone(), start);
                    let mut scratch = vec![f32::NAN; matmul_scratch_len(m, n, k)];
                    let c = MatMut::new(&mut want, m, n).unwrap();
                    matmul_f32(isa, c, a, view(&single, k, n, transposed, gap), epilogue, &mut scratch).unwrap();
                    scratch.fill(f32::NAN);
                    let c = MatMut::new(&mut got, m, n).unwrap();
                    matmul_with(isa, c, a, view(&half, k, n, transposed, gap), epilogue, &mut scratch).unwrap();
                    let equal = got.iter().zip(&want).all(|(got, want)| got.to_bits() == want.to_bits());
                    assert!(equal, "{isa} {m}x{n}x{k} {transposed} {gap}: {got:?} {want:?}");
                }
            }
        }
    }
}

#[test]
fn activations_in_f16_match_f64_within_the_rounding_bound() {
    for isa in Isa::available() {
        for [m, n, k] in SHAPES {
            let (a, b) = (halves(&uniform(m * k, 5)), halves(&uniform(k * n, 6)));
            let mut got = vec![f32::NAN; m * n];
            let mut scratch = vec![f32::NAN; halves_scratch_len(m, n, k)];
            let c = MatMut::new(&mut got, m, n).unwrap();
            let weights = Mat::new(&b, n, k).unwrap().t();
            matmul_halves_with(isa, c, &a, weights, Epilogue::default(), &mut scratch).unwrap();
            let (a, b) = (singles(&a), singles(&b));
            let (mut want, mut magnitude) = (vec![0.0; m * n], vec![0.0; m * n]);
            let (a, b) = (Mat::new(&a, m, k).unwrap(), Mat::new(&b, n, k).unwrap().t());
            reference::matmul_f64(a, b, &mut want, &mut magnitude).unwrap();
            for (i, got) in got.iter().enumerate() {
                let error = (f64::from(*got) - want[i]).abs();
                assert!(error <= reference::gamma(k + 2) * magnitude[i], "{isa} {m}x{n}x{k} at {i}: {got} {}", want[i]);
            }
        }
    }
}

#[test]
fn infinity_and_nan_among_the_weights_reach_their_columns_alone() {
    for isa in Isa::available() {
        for [m, n, k] in [[1, 40, 9], [3, 5, 4], [40, 40, 40], [70, 300, 300]] {
            for (special, transposed) in
                [(f16::NAN, false), (f16::INFINITY, false), (f16::NAN, true), (f16::NEG_INFINITY, true)]
            {
                let mut b = halves(&uniform(k * n, 7));
                b[if transposed { k - 1 } else { (k - 1) * n }] = special; // element [k - 1][0]
                let a = vec![0.25; m * k];
                let mut got = vec![0.0; m * n];
                let mut scratch = vec![0.0; matmul_scratch_len(m, n, k)];
                let c = MatMut::new(&mut got, m, n).unwrap();
                let (a, b) = (Mat::new(&a, m, k).unwrap(), view(&b, k, n, transposed, 0));
                matmul_with(isa, c, a, b, Epilogue::default(), &mut scratch).unwrap();
                for (i, x) in got.iter().enumerate() {
                    assert_eq!(x.is_finite(), i % n != 0, "{isa} {m}x{n}x{k} {transposed} at {i}: {x}");
                }
            }
        }
    }
}

#[test]
fn buffers_that_do_not_fit_are_refused() {
    let (a, b) = ([f16::ONE; 5], [f16::ONE; 6]);
    let (mut c, mut scratch) = ([0.0; 4], [0.0; 5]);
    let b = Mat::new(&b, 3, 2).unwrap();
    let mut product = |a: &[f16], scratch: &mut [f32]| {
        matmul_halves_with(Isa::SCALAR, MatMut::new(&mut c, 2, 2).unwrap(), a, b, Epilogue::default(), scratch)
    };
    let error = product(&a, &mut scratch).unwrap_err();
    assert_eq!(error, ShapeError::Length { what: "the activations", expected: 6, got: 5 });
    assert!(matches!(product(&[f16::ONE; 6], &mut scratch), Err(ShapeError::TooShort { got: 5, .. })));
}

/// The bits of every shape are the same for any number of threads.
#[cfg(feature = "train")]
#[test]
fn threads_do_not_change_a_bit() {
    use crate::kernels::parallel;
    for isa in Isa::available() {
        for [m, n, k] in
            [[1, 900, 700], [200, 512, 784], [100, 784, 16], [900, 33, 650], [7, 1100, 410], [12, 11, 8000]]
        {
            for transposed in [false, true] {
                let (a, b) = (uniform(m * k, 8), halves(&uniform(k * n, 9)));
                let (a, b) = (Mat::new(&a, m, k).unwrap(), view(&b, k, n, transposed, 0));
                let mut alone = vec![f32::NAN; m * n];
                let mut scratch = vec![f32::NAN; parallel::matmul_scratch_len(m, n, k)];
                let c = MatMut::new(&mut alone, m, n).unwrap();
                matmul_with(isa, c, a, b, Epilogue::default(), &mut scratch).unwrap();
                for threads in [1, 2, 5] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let mut together = vec![f32::NAN; m * n];
                    pool.install(|| {
                        let c = MatMut::new(&mut together, m, n).unwrap();
                        parallel::matmul_f16(isa, c, a, b, Epilogue::default(), &mut scratch).unwrap();
                    });
                    let equal = alone.iter().zip(&together).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(equal, "{isa} {m}x{n}x{k} {transposed} on {threads} threads");
                }
            }
        }
    }
}

#[test]
fn a_length_of_scratch_that_no_word_holds_is_the_largest() {
    assert_eq!(halves_scratch_len(usize::MAX, 1, 2), usize::MAX);
    assert_eq!(halves_scratch_len(2, 3, 5), 10 + matmul_scratch_len(2, 3, 5));
}

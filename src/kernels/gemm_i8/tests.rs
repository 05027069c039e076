//! Every instruction set against plain loops, at sizes around registers, tiles and groups.

extern crate std;
use super::*;
use crate::kernels::requantize::Multiplier;
use crate::kernels::testing::bytes;
use std::{println, vec, vec::Vec};

fn reference(x: &[i8], w: &[i8], [m, n, k]: [usize; 3], stride: usize) -> Vec<i32> {
    let mut c = vec![0; m * n];
    let (x, w) = (Mat::with_row_stride(x, m, k, stride).unwrap(), Mat::new(w, n, k).unwrap());
    crate::reference::matmul_i8(MatMut::new(&mut c, m, n).unwrap(), x, w).unwrap();
    c
}

const SIZES: [[usize; 3]; 38] = [
    [0, 5, 3],
    [5, 0, 3],
    [5, 3, 0],
    [1, 1, 1],
    [1, 4, 32],
    [1, 5, 31],
    [1, 65, 33],
    [1, 130, 784],
    [2, 3, 64],
    [3, 7, 63],
    [8, 64, 65],
    [9, 4, 1],
    [9, 15, 2],
    [9, 16, 3],
    [9, 17, 4],
    [9, 8, 15],
    [10, 9, 16],
    [11, 24, 17],
    [12, 33, 31],
    [13, 16, 32],
    [14, 32, 33],
    [15, 31, 100],
    [16, 100, 784],
    [25, 5, 7],
    [40, 3, 50],
    [61, 48, 129],
    [100, 10, 128],
    [130, 70, 257],
    [370, 40, 900],
    // Dots of few weights, on sets of four, eight and sixteen lanes, and what is packed.
    [30, 4, 127],
    [30, 4, 128],
    [30, 5, 128],
    [13, 2, 512],
    [25, 3, 512],
    [25, 11, 256],
    [25, 12, 256],
    [40, 11, 784],
    [31, 1100, 2100],
];

#[test]
fn sums_are_exact_on_every_isa_at_every_edge() {
    for isa in Isa::available() {
        println!("isa {isa}");
        for [m, n, k] in SIZES {
            let stride = k + 3;
            let (x, w) = (bytes(m * stride, 1), bytes(n * k, 2));
            let want = reference(&x, &w, [m, n, k], stride);
            let mut got = vec![i32::MIN; m * n];
            let mut scratch = vec![i32::MIN; scratch_len(isa, m, n, k)];
            let a = Mat::with_row_stride(&x, m, k, stride).unwrap();
            let w = Mat::new(&w, n, k).unwrap();
            matmul_i32(isa, MatMut::new(&mut got, m, n).unwrap(), a, w, &mut scratch).unwrap();
            assert!(got == want, "{isa} {m}x{n}x{k}");
        }
    }
}

/// Rows of nothing may be any distance apart, and need no elements.
#[test]
fn sums_of_nothing_are_zero_however_far_their_rows_are_apart() {
    for (m, stride) in [(1, 3), (5, 3), (13, 3), (40, usize::MAX)] {
        let nothing = |rows| Mat::with_row_stride(&[], rows, 0, stride).unwrap();
        let mut c = vec![7; m * 20];
        let mut scratch = vec![0; scratch_len(Isa::best(), m, 20, 0)];
        matmul_i32(Isa::best(), MatMut::new(&mut c, m, 20).unwrap(), nothing(m), nothing(20), &mut scratch).unwrap();
        assert_eq!(c, vec![0; m * 20], "{m} {stride}");
    }
    let none = Weights::pack(Isa::best(), Mat::new(&[], 0, 0).unwrap(), &mut []).unwrap();
    let rows = Mat::new(&[], usize::MAX, 0).unwrap();
    none.matmul_i32(MatMut::new(&mut [], usize::MAX, 0).unwrap(), rows, &mut [0; 64]).unwrap();
    let empty = Mat::new(&[], 0, 0).unwrap();
    let far = Mat::new(&[], usize::MAX, 0).unwrap();
    matmul_i32(Isa::best(), MatMut::new(&mut [], 0, usize::MAX).unwrap(), empty, far, &mut []).unwrap();
}

#[test]
fn the_largest_products_of_the_longest_sums_do_not_overflow() {
    let k = MAX_K;
    for isa in Isa::available() {
        for (x, w) in [(-128, -128), (-128, 127), (127, -128), (127, 127)] {
            for m in [1, 9] {
                let (xs, ws) = (vec![x; m * k], vec![w; 4 * k]);
                let mut c = vec![0; m * 4];
                let mut scratch = vec![0; scratch_len(isa, m, 4, k)];
                let (xs, ws) = (Mat::new(&xs, m, k).unwrap(), Mat::new(&ws, 4, k).unwrap());
                matmul_i32(isa, MatMut::new(&mut c, m, 4).unwrap(), xs, ws, &mut scratch).unwrap();
                assert_eq!(c, vec![i32::from(x) * i32::from(w) * k as i32; m * 4], "{isa} {m} {x} {w}");
            }
        }
    }
}

#[test]
fn requantized_outputs_are_those_of_requantizing_the_sums() {
    for isa in Isa::available() {
        for [m, n, k] in SIZES {
            let (x, w) = (bytes(m * k, 3), bytes(n * k, 4));
            let bias: Vec<i32> = (0..n).map(|j| 1000 * j as i32 - 9000).collect();
            let factors: Vec<Multiplier> =
                (0..n).map(|j| Multiplier::of(0.3 / (j + 30) as f64 / (k + 1) as f64).unwrap()).collect();
            let multiplier: Vec<i32> = factors.iter().map(|factor| factor.multiplier).collect();
            let shift: Vec<i32> = factors.iter().map(|factor| factor.shift.into()).collect();
            let by = Requantize::new(&bias, &multiplier, &shift, -5, (-100, 90)).unwrap();
            let mut want = vec![0; m * n];
            by.rows(Isa::SCALAR, &reference(&x, &w, [m, n, k], k), &mut want).unwrap();
            let mut got = vec![i8::MIN; m * n];
            let mut scratch = vec![i32::MIN; scratch_len(isa, m, n, k)];
            let (x, w) = (Mat::new(&x, m, k).unwrap(), Mat::new(&w, n, k).unwrap());
            matmul(isa, MatMut::new(&mut got, m, n).unwrap(), x, w, by, &mut scratch).unwrap();
            assert!(got == want, "{isa} {m}x{n}x{k}");
        }
    }
}

/// What images are laid out by must be the same on the machine that writes them and on every chip.
#[test]
fn few_rows_on_one_lane_need_one_row_of_scratch_whatever_the_machine() {
    for m in [1, FEW] {
        assert_eq!(scratch_len(Isa::SCALAR, m, 128, 784), 784 / 2);
        assert_eq!(scratch_len(Isa::SCALAR, m, 10, 1), 2);
    }
    assert_eq!([scratch_len(Isa::SCALAR, 0, 10, 784), scratch_len(Isa::SCALAR, 1, 10, MAX_K + 1)], [0, 0]);
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let (x, w) = ([1; 12], [1; 12]);
    let w = Mat::new(&w, 4, 3).unwrap();
    let mut scratch = [0; 512];
    let product = |x: Mat<'_, i8>, rows: usize, scratch: &mut [i32]| {
        let mut c = [0; 64];
        matmul_i32(Isa::best(), MatMut::new(&mut c, rows, 4).unwrap(), x, w, scratch)
    };
    let x = Mat::new(&x, 4, 3).unwrap();
    product(x, 4, &mut scratch).unwrap();
    assert_eq!(product(x, 3, &mut scratch).unwrap_err(), ShapeError::OutputDim { expected: [4, 4], got: [3, 4] });
    assert_eq!(product(x.t(), 3, &mut scratch).unwrap_err(), ShapeError::InnerDim { a_cols: 4, b_rows: 3 });
    assert!(matches!(product(x.rows_range(0, 3).t(), 3, &mut scratch), Err(ShapeError::Stride { .. })));
    assert!(matches!(product(x, 4, &mut []), Err(ShapeError::TooShort { .. })));
    let mut c = [0; 16];
    let by = Requantize::new(&[0; 3], &[0; 3], &[0; 3], 0, (-128, 127)).unwrap();
    let error = matmul(Isa::best(), MatMut::new(&mut c, 4, 4).unwrap(), x, w, by, &mut scratch).unwrap_err();
    assert_eq!(error, ShapeError::Length { what: "the channels of requantization", expected: 4, got: 3 });
    let long = vec![0; MAX_K + 1];
    let w = Mat::new(&long, 1, MAX_K + 1).unwrap();
    let x = Mat::new(&long, 1, MAX_K + 1).unwrap();
    let mut c = [0];
    let error = matmul_i32(Isa::best(), MatMut::new(&mut c, 1, 1).unwrap(), x, w, &mut scratch).unwrap_err();
    assert!(matches!(error, ShapeError::Range { got: 131_072, .. }));
}

/// Weights of several kinds: with pairs that exceed 16 bits everywhere, in few places, and nowhere.
fn kinds(len: usize) -> [Vec<i8>; 4] {
    let small: Vec<i8> = bytes(len, 3).iter().map(|w| w / 2).collect();
    let mut few = small.clone();
    for (i, w) in few.iter_mut().enumerate().filter(|(i, _)| i % 97 < 2) {
        *w = if i % 5 == 0 { 127 } else { -128 };
    }
    [small, few, bytes(len, 4), vec![-128; len]]
}

#[test]
fn products_with_packed_weights_are_exact_on_every_isa() {
    let mut forms: Vec<(Isa, [u32; 2])> = Isa::available().map(|isa| (isa, [0; 2])).collect();
    for [m, n, k] in SIZES {
        let stride = k + 3;
        for (kind, weights) in kinds(n * k).into_iter().enumerate() {
            let x = if kind == 3 { vec![-128; m * stride] } else { bytes(m * stride, 1) };
            let want = reference(&x, &weights, [m, n, k], stride);
            for (isa, forms) in &mut forms {
                let isa = *isa;
                let mut got = vec![i32::MIN; m * n];
                let mut words = vec![i32::MIN; Weights::packed_len(isa, n, k)];
                let w = Weights::pack(isa, Mat::new(&weights, n, k).unwrap(), &mut words).unwrap();
                forms[usize::from(w.is_wide())] += 1;
                let mut scratch = vec![i32::MIN; w.scratch_len(m)];
                let a = Mat::with_row_stride(&x, m, k, stride).unwrap();
                w.matmul_i32(MatMut::new(&mut got, m, n).unwrap(), a, &mut scratch).unwrap();
                assert!(got == want, "{isa} {m}x{n}x{k} of kind {kind}");
                if n > 0 {
                    let multipliers = vec![1 << 30; n];
                    let (bias, shifts) = (vec![5; n], vec![9; n]);
                    let by = Requantize::new(&bias, &multipliers, &shifts, 3, (-100, 120)).unwrap();
                    let (mut out, mut want) = (vec![77; m * n], vec![0; m * n]);
                    w.matmul(MatMut::new(&mut out, m, n).unwrap(), a, by, &mut scratch).unwrap();
                    by.rows(isa, &got, &mut want).unwrap();
                    assert!(out == want, "{isa} {m}x{n}x{k} of kind {kind}, requantized");
                }
            }
        }
    }
    for (isa, forms) in forms {
        println!("isa {isa}: {} products of bytes, {} of pairs of 16 bits", forms[0], forms[1]);
        assert!(forms[0] > 0);
    }
}

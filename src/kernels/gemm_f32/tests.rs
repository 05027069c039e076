//! Every instruction set here, at sizes around a register, a tile and a block, against plain loops.

extern crate std;
use super::*;
use crate::kernels::Activation;
use crate::kernels::testing::uniform;
use crate::reference;
use std::{println, vec, vec::Vec};

/// An operand stored one way or the other, in rows that may be further apart than they are long.
struct Operand {
    data: Vec<f32>,
    rows: usize,
    cols: usize,
    transposed: bool,
    gap: usize,
}

impl Operand {
    fn new(rows: usize, cols: usize, transposed: bool, gap: usize, seed: u64) -> Self {
        let (r, c) = if transposed { (cols, rows) } else { (rows, cols) };
        Self { data: uniform(r * (c + gap), seed), rows, cols, transposed, gap }
    }

    fn view(&self) -> Mat<'_> {
        if self.transposed {
            Mat::with_row_stride(&self.data, self.cols, self.rows, self.rows + self.gap).unwrap().t()
        } else {
            Mat::with_row_stride(&self.data, self.rows, self.cols, self.cols + self.gap).unwrap()
        }
    }
}

/// What becomes of the products: whether they are added to what is there and to a bias, and the activation.
const ENDS: [(bool, bool, Activation); 4] = [
    (false, false, Activation::Identity),
    (true, true, Activation::Tanh),
    (true, false, Activation::Identity),
    (false, true, Activation::Relu),
];

/// Guard elements before, after and between the rows of C must survive; NaN in C must not (unless it is added to).
fn check_product([m, n, k]: [usize; 3], transposed: [bool; 2], gap: usize, ends: &[(bool, bool, Activation)]) {
    const GUARD: f32 = 777.0;
    let a = Operand::new(m, k, transposed[0], gap, 1);
    let b = Operand::new(k, n, transposed[1], gap, 2);
    let bias = uniform(n, 3);
    let old = uniform(m * n, 4);
    let (mut want, mut magnitude) = (vec![0.0f64; m * n], vec![0.0f64; m * n]);
    reference::matmul_f64(a.view(), b.view(), &mut want, &mut magnitude).unwrap();
    for isa in Isa::available() {
        let mut scratch = vec![f32::NAN; matmul_scratch_len(m, n, k)];
        for &(accumulate, biased, activation) in ends {
            let bias = biased.then_some(&bias[..]);
            let stride = n + 3;
            let mut c = vec![GUARD; m * stride + 16];
            for i in 0..m {
                for j in 0..n {
                    c[8 + i * stride + j] = if accumulate { old[i * n + j] } else { f32::NAN };
                }
            }
            let epilogue = Epilogue { accumulate, bias, activation };
            let out = MatMut::with_row_stride(&mut c[8..], m, n, stride).unwrap();
            matmul_with(isa, out, a.view(), b.view(), epilogue, &mut scratch).unwrap();
            for (at, got) in c.iter().enumerate() {
                let inside = at >= 8 && (at - 8) / stride < m && (at - 8) % stride < n;
                if !inside {
                    assert_eq!(*got, GUARD, "{isa} {m}x{n}x{k} {transposed:?} guard {at}");
                    continue;
                }
                let (i, j) = ((at - 8) / stride, (at - 8) % stride);
                let old = if accumulate { f64::from(old[i * n + j]) } else { 0.0 };
                let shift = bias.map_or(0.0, |bias| f64::from(bias[j]));
                let sum = want[i * n + j] + old + shift;
                let bound = reference::gamma(k + 2) * (magnitude[i * n + j] + old.abs() + shift.abs());
                let (want, bound) = match activation {
                    Activation::Relu => (sum.max(0.0), bound),
                    Activation::Tanh => (sum.tanh(), bound + 4.0 * f64::from(f32::EPSILON)),
                    _ => (sum, bound),
                };
                let error = (f64::from(*got) - want).abs();
                assert!(
                    error <= bound,
                    "{isa} {m}x{n}x{k} {transposed:?} {activation:?} at {i},{j}: {got} {want} {bound}"
                );
            }
        }
    }
}

const LAYOUTS: [[bool; 2]; 4] = [[false, false], [false, true], [true, false], [true, true]];

#[test]
fn small_products_match_the_reference_on_every_isa() {
    for isa in Isa::available() {
        println!("isa {isa}");
    }
    for m in [0, 1, 2, 3, 5, 6, 7, 13] {
        for n in [0, 1, 2, 4, 7, 8, 9, 16, 17, 33] {
            for k in [0, 1, 3, 7, 8, 9, 16, 17] {
                for layout in LAYOUTS {
                    check_product([m, n, k], layout, 0, &ENDS);
                }
            }
        }
    }
}

#[test]
fn products_around_the_blocks_match_the_reference_on_every_isa() {
    for shape in [
        [191, 33, 40],
        [192, 16, 400],
        [193, 17, 400],
        [205, 15, 639],
        [128, 20, 640],
        [129, 401, 641], // A packed, in two groups
        [150, 30, 700],  // of two registers of sixteen, the second nearly full
        [26, 63, 270],   // strips of four registers of sixteen, around their ends
        [26, 64, 270],
        [26, 65, 270],
        [31, 112, 270],
        [37, 57, 300],
        [33, 100, 1281],
        [24, 256, 257],
        [25, 256, 257],
        [1, 70, 600],
        [2, 65, 500],
        [3, 1025, 30],
        [20, 1030, 65],
        [40, 257, 70],
        [65, 300, 257],
    ] {
        for layout in LAYOUTS {
            check_product(shape, layout, 5, &ENDS[..2]);
        }
    }
}

#[test]
fn nan_and_infinity_propagate_as_in_the_reference() {
    for isa in Isa::available() {
        for [m, n, k] in [[3, 5, 4], [1, 40, 9], [7, 9, 33], [40, 40, 40], [70, 300, 300]] {
            for layout in LAYOUTS {
                for (special, of_a) in [f32::NAN, f32::INFINITY].into_iter().flat_map(|x| [(x, true), (x, false)]) {
                    let (mut a, mut b) = (Operand::new(m, k, layout[0], 0, 5), Operand::new(k, n, layout[1], 0, 6));
                    if of_a {
                        let at = if layout[0] { (k - 1) * m } else { k - 1 };
                        a.data[at] = special; // element [0][k - 1]: exactly the first row of C is affected
                    } else {
                        let at = if layout[1] { (n - 1) * k + k - 1 } else { (k - 1) * n + n - 1 };
                        b.data[at] = special; // element [k - 1][n - 1]: exactly the last column
                    }
                    let (mut got, mut want) = (vec![0.0; m * n], vec![0.0; m * n]);
                    let mut scratch = vec![f32::NAN; matmul_scratch_len(m, n, k)];
                    let c = MatMut::new(&mut got, m, n).unwrap();
                    matmul_with(isa, c, a.view(), b.view(), Epilogue::default(), &mut scratch).unwrap();
                    let c = MatMut::new(&mut want, m, n).unwrap();
                    reference::matmul_f32(c, a.view(), b.view(), Epilogue::default()).unwrap();
                    for (got, want) in got.iter().zip(&want) {
                        let alike = got.is_nan() == want.is_nan() && got.is_infinite() == want.is_infinite();
                        assert!(alike, "{isa} {m}x{n}x{k} {layout:?} in A: {of_a}: {got} {want}");
                    }
                }
            }
        }
    }
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let (a, b, mut c) = ([0.0; 6], [0.0; 6], [0.0; 4]);
    let (a, b) = (Mat::new(&a, 2, 3).unwrap(), Mat::new(&b, 2, 3).unwrap());
    let mut product =
        |a, b, rows| matmul(MatMut::new(&mut c, rows, 2).unwrap(), a, b, Epilogue::default(), &mut []).unwrap_err();
    assert_eq!(product(a, b, 2), ShapeError::InnerDim { a_cols: 3, b_rows: 2 });
    assert_eq!(product(a, b.t(), 1), ShapeError::OutputDim { expected: [2, 2], got: [1, 2] });
    let bias = Epilogue { bias: Some(&[0.0]), ..Epilogue::default() };
    let error = matmul(MatMut::new(&mut c, 2, 2).unwrap(), a, b.t(), bias, &mut []).unwrap_err();
    assert_eq!(error, ShapeError::Length { what: "the bias", expected: 2, got: 1 });
    let big = vec![0.0; 300 * 300];
    let (big, mut out) = (Mat::new(&big, 300, 300).unwrap(), vec![0.0; 300 * 300]);
    let error = matmul(MatMut::new(&mut out, 300, 300).unwrap(), big, big, Epilogue::default(), &mut []).unwrap_err();
    assert!(matches!(error, ShapeError::TooShort { what: "the scratch of matmul", got: 0, .. }));
}

/// The bits of every shape and layout are the same for any number of threads.
#[cfg(feature = "train")]
#[test]
fn threads_do_not_change_a_bit() {
    use crate::kernels::parallel;
    /// `k` in two groups.
    const LARGEST: [usize; 3] = [900, 880, 1300];
    for isa in Isa::available() {
        for [m, n, k] in [
            [1, 900, 700],
            [200, 512, 784],
            [16, 100, 784],
            [100, 784, 16],
            [2100, 33, 650],
            [7, 2100, 650],
            [70, 900, 90],
            [97, 96, 90],
            // In place, by rows: parts of a single tile's height sum as the whole does.
            [12, 11, 8000],
            [24, 23, 3000],
            LARGEST,
        ] {
            // Of the largest, two ways of storing and numbers of threads: four of each would take half the time of all tests here.
            let (layouts, pools): (&[_], &[_]) =
                if [m, n, k] == LARGEST { (&LAYOUTS[1..3], &[2, 3]) } else { (&LAYOUTS, &[1, 2, 3, 5]) };
            for &layout in layouts {
                let (a, b) = (Operand::new(m, k, layout[0], 0, 7), Operand::new(k, n, layout[1], 0, 8));
                let bias = uniform(n, 9);
                let epilogue = Epilogue { accumulate: true, bias: Some(&bias), activation: Activation::Sigmoid };
                let mut alone = uniform(m * n, 10);
                let mut scratch = vec![f32::NAN; matmul_scratch_len(m, n, k)];
                matmul_with(isa, MatMut::new(&mut alone, m, n).unwrap(), a.view(), b.view(), epilogue, &mut scratch)
                    .unwrap();
                for &threads in pools {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let mut together = uniform(m * n, 10);
                    let mut scratch = vec![f32::NAN; parallel::matmul_scratch_len(m, n, k)];
                    pool.install(|| {
                        let c = MatMut::new(&mut together, m, n).unwrap();
                        parallel::matmul(isa, c, a.view(), b.view(), epilogue, &mut scratch).unwrap();
                    });
                    let equal = alone.iter().zip(&together).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(equal, "{isa} {m}x{n}x{k} {layout:?} on {threads} threads");
                }
            }
        }
    }
}

/// One row may be any stride long, up to the end of what a word holds; kernels that skip to the next one, or ask for it, do not overflow.
#[test]
fn a_stride_that_no_row_follows_changes_nothing() {
    for isa in Isa::available() {
        for [m, n] in [[1, 3], [9, 20], [1, 40_000], [16_500, 33]] {
            let (column, row) = (uniform(m, 1), uniform(n, 2));
            let mut scratch = vec![0.0; matmul_scratch_len(m, n, 1)];
            for stride in [n, usize::MAX / 2, usize::MAX] {
                let a = Mat::with_row_stride(&column, 1, m, stride.max(m)).unwrap().t();
                let b = Mat::with_row_stride(&row, 1, n, stride).unwrap();
                let mut got = vec![f32::NAN; m * n];
                let c = MatMut::new(&mut got, m, n).unwrap();
                matmul_with(isa, c, a, b, Epilogue::default(), &mut scratch).unwrap();
                assert!(
                    got.iter().enumerate().all(|(i, x)| *x == column[i / n] * row[i % n]),
                    "{isa} {m} {n} {stride}"
                );
            }
        }
    }
}

/// Of rows of nothing there may be as many as a word can count: they are done at once. Empty sums too may be any stride apart.
#[test]
fn rows_of_nothing_are_done_at_once() {
    let far = usize::MAX;
    for (isa, activation) in Isa::available().flat_map(|isa| [Activation::Relu, Activation::Tanh].map(|a| (isa, a))) {
        let epilogue = Epilogue { accumulate: false, bias: Some(&[]), activation };
        let a = Mat::with_row_stride(&[], far, 0, far).unwrap();
        let b = Mat::new(&[], 0, 0).unwrap();
        let c = MatMut::with_row_stride(&mut [], far, 0, far).unwrap();
        matmul_with(isa, c, a, b, epilogue, &mut []).unwrap();
        let mut sums = [f32::NAN; 12];
        let a = Mat::with_row_stride(&[], 3, 0, far).unwrap();
        let b = Mat::new(&[], 0, 4).unwrap();
        let epilogue = Epilogue { bias: Some(&[1.0; 4]), ..epilogue };
        matmul_with(isa, MatMut::new(&mut sums, 3, 4).unwrap(), a, b, epilogue, &mut []).unwrap();
        assert!(sums.iter().all(|sum| *sum > 0.7));
    }
}

/// A product whose scratch is as long as `linear_scratch_len` says is not refused, whatever the way.
#[test]
fn layers_need_no_more_scratch_than_they_say() {
    for m in [0, 1, 2, 12, 13, 32, 33] {
        for n in [0, 1, 2, 10, 15, 16, 40] {
            for k in [0, 1, 2, 7, 8, 16, 99, 100] {
                let (x, w, mut y) = (uniform(m * k, 1), uniform(n * k, 2), vec![f32::NAN; m * n]);
                let mut scratch = vec![f32::NAN; linear_scratch_len(m, n, k)];
                let (x, w) = (Mat::new(&x, m, k).unwrap(), Mat::new(&w, n, k).unwrap());
                let y = MatMut::new(&mut y, m, n).unwrap();
                matmul_with(Isa::BASELINE, y, x, w.t(), Epilogue::default(), &mut scratch).unwrap();
            }
        }
    }
}

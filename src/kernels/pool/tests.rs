//! Poolings against windows gone through one pixel at a time, on every instruction set.

extern crate std;
use super::*;
use crate::kernels::testing::uniform;
use crate::reference::gamma;
use std::{println, vec, vec::Vec};

/// Input, window, stride, padding.
const SIZES: [([usize; 4], [usize; 2], usize, usize); 14] = [
    ([0, 2, 4, 4], [2, 2], 2, 0),
    ([1, 1, 1, 1], [1, 1], 1, 0),
    ([2, 3, 28, 28], [2, 2], 2, 0),
    ([1, 2, 14, 14], [2, 2], 2, 0),
    ([1, 2, 7, 7], [2, 2], 2, 0),
    ([2, 1, 9, 35], [2, 2], 2, 1),
    ([1, 3, 8, 8], [3, 3], 2, 1),
    ([1, 2, 12, 19], [3, 3], 1, 1),
    ([1, 2, 13, 40], [3, 3], 3, 0),
    ([1, 1, 10, 10], [5, 4], 3, 2),
    ([1, 4, 6, 6], [6, 6], 1, 0),
    ([1, 1, 5, 64], [1, 2], 5, 0),
    ([1, 1, 2, 17], [2, 1], 2, 0),
    ([3, 2, 3, 3], [3, 3], 7, 1),
];

/// The pixels of every window that lie in the plane, as `(plane, row · w + column)`.
fn windows(input: [usize; 4], kernel: [usize; 2], stride: usize, padding: usize) -> Vec<(usize, Vec<usize>)> {
    let [n, c, h, w] = input;
    let [_, _, oh, ow] = Pool::new(input, kernel, stride, padding).unwrap().output();
    let mut windows = Vec::new();
    for (plane, y, x) in (0..n * c).flat_map(|plane| (0..oh).flat_map(move |y| (0..ow).map(move |x| (plane, y, x)))) {
        let mut pixels = Vec::new();
        for (dy, dx) in (0..kernel[0]).flat_map(|dy| (0..kernel[1]).map(move |dx| (dy, dx))) {
            let (row, col) = (y * stride + dy, x * stride + dx);
            if (padding..h + padding).contains(&row) && (padding..w + padding).contains(&col) {
                pixels.push((row - padding) * w + col - padding);
            }
        }
        windows.push((plane, pixels));
    }
    windows
}

#[test]
fn maxima_are_the_first_of_the_largest_on_every_isa() {
    for isa in Isa::available() {
        println!("isa {isa}");
        for (input, kernel, stride, padding) in SIZES {
            let pool = Pool::new(input, kernel, stride, padding).unwrap();
            let plane = input[2] * input[3];
            // Few values, so that many are equal; some NaN and infinities.
            let x: Vec<f32> = uniform(pool.input_len(), 1)
                .iter()
                .map(|x| match (x * 40.0) as i32 {
                    19 => f32::NAN,
                    18 => f32::INFINITY,
                    -19..-16 => f32::NEG_INFINITY,
                    x => (x / 5) as f32,
                })
                .collect();
            let (mut out, mut argmax) = (vec![-7.0; pool.output_len()], vec![u32::MAX; pool.output_len()]);
            max_pool2d(isa, &pool, &x, &mut out, &mut argmax).unwrap();
            for (i, (at, pixels)) in windows(input, kernel, stride, padding).into_iter().enumerate() {
                let value = |place: usize| x[at * plane + place];
                let mut best = pixels[0];
                for &pixel in &pixels {
                    if value(pixel) > value(best) || value(pixel).is_nan() {
                        best = pixel;
                    }
                }
                assert_eq!(argmax[i], best as u32, "{isa} {input:?} {kernel:?} at {i}");
                assert_eq!(out[i].to_bits(), value(best).to_bits(), "{isa} {input:?} {kernel:?} at {i}");
            }
            let d_out = uniform(pool.output_len(), 2);
            let mut want = vec![0.0; pool.input_len()];
            let out_plane = pool.output()[2] * pool.output()[3];
            for (i, d_out) in d_out.iter().enumerate() {
                want[i / out_plane * plane + argmax[i] as usize] += d_out;
            }
            let mut got = vec![f32::NAN; pool.input_len()];
            max_pool2d_backward(&pool, &d_out, &argmax, &mut got).unwrap();
            assert_eq!(got, want, "{input:?} {kernel:?}");
        }
    }
}

#[test]
fn means_and_their_gradients_match_f64_on_every_isa() {
    for isa in Isa::available() {
        for (input, kernel, stride, padding) in SIZES {
            let pool = Pool::new(input, kernel, stride, padding).unwrap();
            let (plane, count) = (input[2] * input[3], (kernel[0] * kernel[1]) as f64);
            let (x, d_out) = (uniform(pool.input_len(), 3), uniform(pool.output_len(), 4));
            let mut out = vec![f32::NAN; pool.output_len()];
            avg_pool2d(isa, &pool, &x, &mut out).unwrap();
            let mut got = vec![f32::NAN; pool.input_len()];
            avg_pool2d_backward(isa, &pool, &d_out, &mut got).unwrap();
            let (mut want, mut magnitude) = (vec![0.0; pool.input_len()], vec![0.0; pool.input_len()]);
            let bound = gamma(kernel[0] * kernel[1] + 3);
            for (i, (at, pixels)) in windows(input, kernel, stride, padding).into_iter().enumerate() {
                let values = || pixels.iter().map(|place| f64::from(x[at * plane + place]) / count);
                let (mean, size): (f64, f64) = (values().sum(), values().map(f64::abs).sum());
                let error = (f64::from(out[i]) - mean).abs();
                assert!(error <= bound * size, "{isa} {input:?} {kernel:?} at {i}: {} {mean}", out[i]);
                for place in &pixels {
                    want[at * plane + place] += f64::from(d_out[i]) / count;
                    magnitude[at * plane + place] += f64::from(d_out[i]).abs() / count;
                }
            }
            for (i, got) in got.iter().enumerate() {
                let error = (f64::from(*got) - want[i]).abs();
                assert!(error <= bound * magnitude[i], "{isa} {input:?} {kernel:?} gradient at {i}: {got} {}", want[i]);
            }
        }
        for len in [1, 7, 8, 9, 49, 784] {
            let x = uniform(5 * len, 5);
            let mut out = [f32::NAN; 5];
            global_avg_pool(isa, len, &x, &mut out).unwrap();
            for (out, plane) in out.iter().zip(x.chunks_exact(len)) {
                let mean = plane.iter().map(|x| f64::from(*x)).sum::<f64>() / len as f64;
                let size = plane.iter().map(|x| f64::from(x.abs())).sum::<f64>() / len as f64;
                assert!((f64::from(*out) - mean).abs() <= gamma(len + 2) * size, "{isa} {len}: {out} {mean}");
            }
            let mut d_x = vec![f32::NAN; 5 * len];
            global_avg_pool_backward(len, &out, &mut d_x).unwrap();
            assert!(d_x.iter().enumerate().all(|(i, d)| *d == out[i / len] / len as f32));
        }
    }
}

#[test]
fn nan_and_infinity_reach_the_means_of_their_windows_and_no_other() {
    for isa in Isa::available() {
        for (input, kernel, stride, padding) in SIZES.into_iter().filter(|(input, ..)| input[0] > 0) {
            let pool = Pool::new(input, kernel, stride, padding).unwrap();
            for special in [f32::NAN, f32::INFINITY] {
                let (mut x, mut d_out) = (uniform(pool.input_len(), 3), uniform(pool.output_len(), 4));
                let (of_x, of_d_out) = (pool.input_len() / 2, pool.output_len() / 2);
                (x[of_x], d_out[of_d_out]) = (special, special);
                let (mut out, mut d_x) = (vec![0.0; pool.output_len()], vec![0.0; pool.input_len()]);
                avg_pool2d(isa, &pool, &x, &mut out).unwrap();
                avg_pool2d_backward(isa, &pool, &d_out, &mut d_x).unwrap();
                let mut seen = vec![false; pool.input_len()];
                let plane = input[2] * input[3];
                for (i, (at, pixels)) in windows(input, kernel, stride, padding).into_iter().enumerate() {
                    let sees = pixels.iter().any(|place| at * plane + place == of_x);
                    assert_eq!(out[i].is_finite(), !sees, "{isa} {input:?} {kernel:?} at {i}: {}", out[i]);
                    assert_eq!(out[i].is_nan(), sees && special.is_nan());
                    pixels.iter().for_each(|place| seen[at * plane + place] |= i == of_d_out);
                }
                for (i, (d_x, seen)) in d_x.iter().zip(&seen).enumerate() {
                    assert_eq!(d_x.is_finite(), !seen, "{isa} {input:?} {kernel:?} gradient at {i}: {d_x}");
                }
            }
        }
    }
}

#[test]
fn shapes_and_buffers_that_do_not_fit_are_refused() {
    let refused = |input, kernel, stride, padding| Pool::new(input, kernel, stride, padding).unwrap_err();
    assert!(matches!(refused([1, 0, 4, 4], [2, 2], 2, 0), ShapeError::Range { got: 0, .. }));
    assert!(matches!(refused([1, 1, 4, 4], [2, 2], 0, 0), ShapeError::Range { got: 0, .. }));
    assert!(matches!(refused([1, 1, 4, 4], [5, 2], 1, 0), ShapeError::Range { max: 4, got: 5, .. }));
    assert!(matches!(refused([1, 1, 4, 4], [2, 2], 1, 2), ShapeError::Range { max: 1, got: 2, .. }));
    assert_eq!(refused([1, 1, 1 << 20, 1 << 20], [2, 2], 2, 0), ShapeError::Overflow);
    assert_eq!(refused([usize::MAX, 2, 4, 4], [2, 2], 2, 0), ShapeError::Overflow);
    assert_eq!(refused([1, 1, 1, 1], [1 << 16, 1 << 16], 1, 1 << 15), ShapeError::Overflow);
    let far = Pool::new([1, 1, 2, 2], [2, 2], 1 << 30, 0).unwrap();
    let (mut out, mut argmax) = ([0.0], [0]);
    max_pool2d(Isa::best(), &far, &[1.0, 4.0, 3.0, 2.0], &mut out, &mut argmax).unwrap();
    assert_eq!((out, argmax), ([4.0], [1]));
    // A window that reaches far beyond the plane on all sides.
    let wide = Pool::new([1, 1, 1, 1], [1 << 14, 1 << 14], 1, 1 << 13).unwrap();
    let mut d_x = [f32::NAN];
    avg_pool2d_backward(Isa::best(), &wide, &[1.0; 4], &mut d_x).unwrap();
    assert_eq!(d_x, [4.0 / (1_u32 << 28) as f32]);
    let pool = Pool::new([1, 1, 4, 4], [2, 2], 2, 0).unwrap();
    let (x, mut out, mut argmax) = ([0.0; 16], [0.0; 4], [0; 4]);
    assert!(max_pool2d(Isa::best(), &pool, &x[1..], &mut out, &mut argmax).is_err());
    assert!(max_pool2d(Isa::best(), &pool, &x, &mut out, &mut argmax[1..]).is_err());
    assert!(avg_pool2d(Isa::best(), &pool, &x, &mut out[1..]).is_err());
    let error = max_pool2d_backward(&pool, &out, &[0, 0, 16, 0], &mut [0.0; 16]).unwrap_err();
    assert!(matches!(error, ShapeError::Range { max: 15, got: 16, .. }));
    assert!(global_avg_pool(Isa::best(), 0, &[], &mut []).is_err());
    assert!(global_avg_pool(Isa::best(), 3, &x, &mut out).is_err());
}

//! Resampling against places looked up one by one in f64, on every instruction set.

extern crate std;
use super::*;
use crate::kernels::testing::uniform;
use crate::reference::{UNIT_ROUNDOFF, bilinear_f64, gamma};
use std::{println, vec, vec::Vec};

/// Sides of images in and out: rows around a register of `lanes`, single rows and columns, a digit.
fn sizes(lanes: usize) -> Vec<[[usize; 2]; 2]> {
    let mut sizes = vec![[[28, 28], [28, 28]], [[1, 1], [3, 5]], [[1, 9], [4, 9]], [[9, 1], [9, 4]], [[2, 2], [7, 33]]];
    for side in [1, lanes - 1, lanes, lanes + 1, 3 * lanes + 2] {
        if side > 0 {
            sizes.extend([[[6, side], [6, side]], [[10, 12], [3, side]]]);
        }
    }
    sizes
}

/// Turns, mirrors, shears, shrinks and moves about the middle of `[h, w]`; maps to one place, and to places beyond any image.
fn maps([h, w]: [usize; 2]) -> Vec<[[f32; 3]; 2]> {
    let (x, y) = (w as f32 / 2.0 - 0.5, h as f32 / 2.0 - 0.5);
    let about = |[[a, b], [c, d]]: [[f32; 2]; 2]| [[a, b, x - a * x - b * y], [c, d, y - c * x - d * y]];
    let mut maps: Vec<_> = [0.1f32, -0.4, 1.57, 3.0]
        .iter()
        .map(|angle| about([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]]))
        .collect();
    maps.extend([
        about([[-1.0, 0.0], [0.0, 1.0]]),
        about([[1.0, 0.3], [0.0, 1.0]]),
        about([[0.2, 0.0], [0.0, 0.3]]),
        about([[9.0, 1.0], [0.0, 11.0]]),
        [[1.0, 0.0, 0.25], [0.0, 1.0, -1.5]],
        [[1.0, 0.0, -0.75], [0.0, 1.0, 0.0]],
        [[0.0; 3]; 2],
        [[1e-30, 0.0, 0.5], [0.0, 1e-40, -1e-10]],
        [[1e30, 0.0, 0.0], [0.0, 1.0, 0.0]],
        [[f32::MAX, f32::MIN, f32::MAX], [f32::MIN, f32::MAX, f32::MAX]],
        [[f32::MAX, f32::MAX, f32::MAX], [f32::MIN, f32::MIN, f32::MIN]],
    ]);
    maps
}

/// The largest magnitude of a pixel, and the largest difference of neighbours, zeros around the image included.
fn steepness(image: &[f32], [h, w]: [usize; 2]) -> [f64; 2] {
    let at = |row: usize, col: usize| {
        let inside = (1..=h).contains(&row) && (1..=w).contains(&col);
        if inside { f64::from(image[(row - 1) * w + col - 1]) } else { 0.0 }
    };
    let (mut size, mut difference) = (0.0f64, 0.0f64);
    for (row, col) in (0..=h).flat_map(|row| (0..=w).map(move |col| (row, col))) {
        size = size.max(at(row, col).abs());
        difference = difference.max((at(row, col + 1) - at(row, col)).abs());
        difference = difference.max((at(row + 1, col) - at(row, col)).abs());
    }
    [size, difference]
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// An image of bytes, the same in floats.
fn picture([h, w]: [usize; 2]) -> (Vec<u8>, Vec<f32>) {
    let bytes: Vec<u8> = uniform(h * w, 3).iter().map(|x| ((x + 0.5) * 256.0) as u8).collect();
    let floats = bytes.iter().map(|x| f32::from(*x)).collect();
    (bytes, floats)
}

#[test]
fn affine_maps_stay_within_their_bound_on_every_isa() {
    for isa in Isa::available() {
        println!("isa {isa}");
        for [input, output] in sizes(isa.lanes()) {
            let warp = Warp::new(input, output).unwrap();
            let (bytes, floats) = picture(input);
            let signed = uniform(warp.input_len(), 4);
            for matrix in maps(input) {
                let map = Affine::new(matrix).unwrap();
                let images = [(Pixels::U8(&bytes), &floats), (Pixels::F32(&floats), &floats)];
                for (image, values) in images.into_iter().chain([(Pixels::F32(&signed), &signed)]) {
                    let mut out = vec![f32::NAN; warp.output_len()];
                    affine(isa, &warp, &map, image, &mut out).unwrap();
                    let [size, difference] = steepness(values, input);
                    for (i, got) in out.iter().enumerate() {
                        let (row, col) = ((i / output[1]) as f64, (i % output[1]) as f64);
                        let terms = matrix.map(|[a, b, c]| [f64::from(a) * col, f64::from(b) * row, f64::from(c)]);
                        let [x, y] = terms.map(|terms| terms.iter().sum::<f64>());
                        let [e_x, e_y] = terms.map(|terms| gamma(3) * terms.iter().map(|x| x.abs()).sum::<f64>());
                        let want = bilinear_f64(values, input, x, y);
                        let bound = (e_x + e_y) * difference + gamma(14) * size;
                        let error = (f64::from(*got) - want).abs();
                        assert!(error <= bound, "{isa} {input:?} {output:?} {matrix:?} at {i}: {got} {want} {bound}");
                        assert!(got.abs() <= 256.0, "{isa} {matrix:?}: {got} is no mean of pixels");
                    }
                }
            }
        }
    }
}

#[test]
fn whole_moves_are_exact_and_far_places_are_zero() {
    for isa in Isa::available() {
        for [input, _] in sizes(isa.lanes()) {
            let [h, w] = input;
            let warp = Warp::new(input, input).unwrap();
            let (bytes, floats) = picture(input);
            for (down, right) in [(0, 0), (1, 0), (0, 2), (-3, 1), (0, -1), (2, -4), (40, 0), (0, -50)] {
                let map = Affine::new([[1.0, 0.0, right as f32], [0.0, 1.0, down as f32]]).unwrap();
                let mut want = vec![0.0; h * w];
                for (row, col) in (0..h).flat_map(|row| (0..w).map(move |col| (row, col))) {
                    let (from_row, from_col) = (row as i32 + down, col as i32 + right);
                    if (0..h as i32).contains(&from_row) && (0..w as i32).contains(&from_col) {
                        want[row * w + col] = floats[from_row as usize * w + from_col as usize];
                    }
                }
                for image in [Pixels::from(&bytes[..]), Pixels::from(&floats[..])] {
                    let mut out = vec![f32::NAN; h * w];
                    affine(isa, &warp, &map, image, &mut out).unwrap();
                    assert_eq!(out, want, "{isa} {input:?} by {down} and {right}");
                }
            }
            for far in [1e9, -1e9, 1e30, -1e30, f32::MAX, f32::MIN] {
                let map = Affine::new([[1.0, 0.0, 0.0], [0.0, 1.0, far]]).unwrap();
                let mut out = vec![f32::NAN; h * w];
                affine(isa, &warp, &map, Pixels::F32(&floats), &mut out).unwrap();
                assert_eq!(out, vec![0.0; h * w], "{isa} {far}");
            }
        }
    }
}

#[test]
fn batches_are_images_one_by_one() {
    for isa in Isa::available() {
        let warp = Warp::new([11, 13], [9, 19]).unwrap();
        let matrices = maps([11, 13]);
        let maps: Vec<Affine> = matrices.iter().map(|matrix| Affine::new(*matrix).unwrap()).collect();
        let images = uniform(warp.input_len() * maps.len(), 5);
        let mut out = vec![f32::NAN; warp.output_len() * maps.len()];
        affine_batch(isa, &warp, &maps, Pixels::F32(&images), &mut out).unwrap();
        for (i, map) in maps.iter().enumerate() {
            let image = &images[i * warp.input_len()..(i + 1) * warp.input_len()];
            let mut alone = vec![f32::NAN; warp.output_len()];
            affine(isa, &warp, map, Pixels::F32(image), &mut alone).unwrap();
            let here = &out[i * warp.output_len()..(i + 1) * warp.output_len()];
            assert_eq!(bits(here), bits(&alone), "{isa} image {i}");
        }
        affine_batch(isa, &warp, &[], Pixels::U8(&[]), &mut []).unwrap();
    }
}

#[test]
fn displacements_stay_within_their_bound_and_only_nan_gives_nan_on_every_isa() {
    for isa in Isa::available() {
        for [input, output] in sizes(isa.lanes()) {
            let warp = Warp::new(input, output).unwrap();
            let (bytes, floats) = picture(input);
            let field = |seed| uniform(warp.output_len(), seed).iter().map(|x| x * 7.0).collect::<Vec<_>>();
            let (mut dx, mut dy) = (field(6), field(7));
            let odd = [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e12, f32::NAN, 0.0];
            for (i, (dx, dy)) in dx.iter_mut().zip(&mut dy).enumerate() {
                match i % 7 {
                    0 => *dx = odd[i / 7 % 6],
                    3 => *dy = odd[i / 7 % 6],
                    _ => {}
                }
            }
            let [size, difference] = steepness(&floats, input);
            for image in [Pixels::U8(&bytes), Pixels::F32(&floats)] {
                let mut out = vec![f32::NEG_INFINITY; warp.output_len()];
                displace(isa, &warp, image, [&dx, &dy], &mut out).unwrap();
                for (i, got) in out.iter().enumerate() {
                    let (row, col) = ((i / output[1]) as f64, (i % output[1]) as f64);
                    let (x, y) = (col + f64::from(dx[i]), row + f64::from(dy[i]));
                    if x.is_nan() || y.is_nan() {
                        assert!(got.is_nan(), "{isa} {input:?} {output:?} at {i}: {got}");
                        continue;
                    }
                    if x.is_infinite() || y.is_infinite() {
                        assert_eq!(*got, 0.0, "{isa} {input:?} {output:?} at {i}");
                        continue;
                    }
                    let want = bilinear_f64(&floats, input, x, y);
                    let bound = UNIT_ROUNDOFF * (x.abs() + y.abs()) * difference + gamma(14) * size;
                    let error = (f64::from(*got) - want).abs();
                    assert!(error <= bound, "{isa} {input:?} {output:?} at {i}: {got} {want}");
                    assert!(got.is_finite(), "{isa} {input:?} {output:?} at {i}: {got}");
                }
            }
        }
    }
}

#[test]
fn sizes_numbers_and_buffers_that_do_not_fit_are_refused() {
    assert!(matches!(Warp::new([0, 4], [4, 4]), Err(ShapeError::Range { got: 0, .. })));
    assert!(matches!(Warp::new([4, 4], [4, 0]), Err(ShapeError::Range { got: 0, .. })));
    assert!(matches!(Warp::new([4, MAX_SIDE + 1], [4, 4]), Err(ShapeError::Range { got: 1_048_577, .. })));
    assert_eq!(Warp::new([MAX_SIDE, MAX_SIDE], [4, 4]), Err(ShapeError::Overflow));
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in 0..6 {
            let mut matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
            matrix[at / 3][at % 3] = odd;
            let error = Affine::new(matrix).unwrap_err();
            assert!(matches!(error, ShapeError::Number { got, .. } if got == odd.to_bits()), "{error}");
        }
    }
    let (isa, warp, map) = (Isa::best(), Warp::new([4, 5], [3, 2]).unwrap(), Affine::IDENTITY);
    let (image, mut out) = ([1.0; 20], [0.0; 6]);
    assert!(affine(isa, &warp, &map, Pixels::F32(&image[1..]), &mut out).is_err());
    assert!(affine(isa, &warp, &map, Pixels::F32(&image), &mut out[1..]).is_err());
    assert!(affine_batch(isa, &warp, &[map; 2], Pixels::U8(&[0; 20]), &mut out).is_err());
    assert!(displace(isa, &warp, Pixels::F32(&image), [&[0.0; 5], &[0.0; 6]], &mut out).is_err());
    assert!(displace(isa, &warp, Pixels::F32(&image), [&[0.0; 6], &[0.0; 7]], &mut out).is_err());
    affine(isa, &warp, &map, Pixels::F32(&image), &mut out).unwrap();
    assert_eq!(out, [1.0; 6]);
}

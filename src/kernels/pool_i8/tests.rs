//! Every instruction set at the edges of a register of channels, against the definition window by window.

extern crate std;
use super::*;
use crate::kernels::requantize::Multiplier;
use crate::kernels::testing::bytes;
use std::{vec, vec::Vec};

/// Planes, window, stride and padding, at the edges of a register of channels.
const SIZES: [([usize; 4], [usize; 2], usize, usize); 9] = [
    ([1, 1, 2, 2], [2, 2], 2, 0),
    ([2, 8, 6, 7], [2, 2], 2, 0),
    ([1, 17, 5, 4], [2, 2], 2, 0),
    ([1, 33, 7, 7], [7, 7], 1, 0),
    ([1, 16, 5, 6], [3, 3], 2, 1),
    ([2, 15, 6, 5], [3, 2], 1, 1),
    ([1, 3, 9, 8], [4, 5], 3, 2),
    ([1, 64, 4, 4], [1, 1], 1, 0),
    ([0, 3, 4, 4], [2, 2], 2, 0),
];

/// The bytes under each window, `None` in the padding, in the order of the output.
fn windows(
    pool: &Pool,
    [_, c, h, w]: [usize; 4],
    [kh, kw]: [usize; 2],
    stride: usize,
    padding: usize,
    x: &[i8],
) -> Vec<Vec<Option<i8>>> {
    let [n, _, oh, ow] = pool.output();
    let mut all = Vec::new();
    for (image, y, column, channel) in
        (0..n).flat_map(|i| (0..oh).flat_map(move |y| (0..ow).flat_map(move |x| (0..c).map(move |c| (i, y, x, c)))))
    {
        let mut window = Vec::new();
        for (dy, dx) in (0..kh).flat_map(|dy| (0..kw).map(move |dx| (dy, dx))) {
            let (row, col) = ((y * stride + dy).checked_sub(padding), (column * stride + dx).checked_sub(padding));
            window.push(match (row, col) {
                (Some(row), Some(col)) if row < h && col < w => Some(x[((image * h + row) * w + col) * c + channel]),
                _ => None,
            });
        }
        all.push(window);
    }
    all
}

#[test]
fn pools_are_those_of_the_definition_on_every_isa() {
    for isa in Isa::available() {
        for (input, kernel, stride, padding) in SIZES {
            let pool = Pool::new(input, kernel, stride, padding).unwrap();
            let x = bytes(pool.input_len(), 3);
            let windows = windows(&pool, input, kernel, stride, padding, &x);
            let mut got = vec![77; pool.output_len()];
            max_pool2d(isa, &pool, &x, &mut got).unwrap();
            let want: Vec<i8> = windows.iter().map(|w| w.iter().flatten().copied().max().unwrap()).collect();
            assert_eq!(got, want, "{isa} {input:?} {kernel:?}");

            let by = Multiplier::of(0.73 / (kernel[0] * kernel[1]) as f64).unwrap();
            let (multiplier, shift) = (by.multiplier, i32::from(by.shift));
            let by = Mean { multiplier, shift, zero_in: -5, zero_out: 9, clamp: (-100, 101) };
            let mut got = vec![77; pool.output_len()];
            avg_pool2d(isa, &pool, &x, by, &mut got).unwrap();
            let mean = |w: &Vec<Option<i8>>| {
                let sum: i64 = w.iter().flatten().map(|x| i64::from(*x) + 5).sum();
                let half = 1i128 << (30 + shift);
                let scaled = (i128::from(sum) * i128::from(multiplier) + half) >> (31 + shift);
                (scaled + 9).clamp(-100, 101) as i8
            };
            assert_eq!(got, windows.iter().map(mean).collect::<Vec<_>>(), "{isa} {input:?} {kernel:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let pool = Pool::new([1, 2, 4, 4], [2, 2], 2, 0).unwrap();
    let (mut out, x) = ([0; 8], [0; 32]);
    let by = Mean { multiplier: 1 << 30, shift: 2, zero_in: 0, zero_out: 0, clamp: (-128, 127) };
    assert!(max_pool2d(Isa::SCALAR, &pool, &x[1..], &mut out).is_err());
    assert!(max_pool2d(Isa::SCALAR, &pool, &x, &mut out[1..]).is_err());
    assert!(avg_pool2d(Isa::SCALAR, &pool, &x, by, &mut out[1..]).is_err());
    for wrong in [
        Mean { multiplier: -1, ..by },
        Mean { shift: 32, ..by },
        Mean { shift: -1, ..by },
        Mean { clamp: (1, 0), ..by },
    ] {
        assert!(wrong.check().is_err() && avg_pool2d(Isa::SCALAR, &pool, &x, wrong, &mut out).is_err());
    }
    let large = Pool::new([1, 1, 2049, 2048], [2049, 2048], 1, 0).unwrap();
    let x = vec![0; large.input_len()];
    assert!(avg_pool2d(Isa::SCALAR, &large, &x, by, &mut [0]).is_err());
}

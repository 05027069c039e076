//! Every instruction set, by either way, against the definition: the integers must be equal.

extern crate std;
use super::*;
use crate::kernels::pool::Pool;
use crate::kernels::pool_i8::max_pool2d;
use crate::kernels::requantize::Multiplier;
use crate::kernels::testing::bytes;
use crate::reference;
use std::{println, vec, vec::Vec};

/// `n, c_in, h, w; c_out, kh, kw; stride, padding, groups`.
const SIZES: [([usize; 4], [usize; 3], [usize; 3]); 48] = [
    ([0, 3, 5, 5], [4, 3, 3], [1, 1, 1]),
    ([1, 1, 1, 1], [1, 1, 1], [1, 0, 1]),
    ([2, 1, 28, 28], [8, 3, 3], [1, 1, 1]),
    ([1, 3, 7, 9], [5, 3, 3], [1, 1, 1]),
    ([2, 16, 14, 14], [16, 3, 3], [1, 1, 1]),
    ([1, 17, 9, 7], [33, 3, 3], [1, 1, 1]),
    ([2, 32, 5, 6], [24, 3, 3], [1, 0, 1]),
    ([1, 40, 3, 3], [17, 3, 3], [1, 0, 1]),
    ([1, 16, 1, 1], [16, 3, 3], [1, 1, 1]),
    ([1, 16, 4, 30], [64, 3, 3], [1, 2, 1]),
    ([1, 24, 40, 3], [16, 3, 3], [1, 3, 1]),
    ([2, 20, 8, 8], [10, 1, 1], [2, 0, 1]),
    ([2, 2, 11, 10], [7, 5, 5], [1, 2, 1]),
    ([2, 3, 13, 12], [6, 3, 3], [2, 1, 1]),
    ([1, 4, 16, 20], [8, 5, 3], [3, 2, 1]),
    ([2, 5, 9, 31], [3, 1, 7], [2, 3, 1]),
    ([1, 1, 4, 4], [2, 4, 4], [1, 0, 1]),
    ([2, 8, 9, 9], [8, 3, 3], [1, 1, 8]),
    ([2, 6, 10, 11], [12, 3, 3], [2, 1, 3]),
    ([1, 32, 12, 12], [34, 3, 3], [1, 1, 2]),
    ([2, 14, 20, 19], [21, 3, 3], [1, 1, 1]),
    ([1, 1, 30, 5], [18, 9, 2], [1, 4, 1]),
    ([1, 3, 40, 70], [5, 5, 3], [2, 2, 1]),
    ([2, 144, 3, 4], [6, 1, 1], [1, 1, 1]),
    ([1, 12, 9, 10], [7, 3, 4], [3, 1, 1]),
    ([1, 145, 3, 4], [6, 1, 1], [1, 0, 1]),
    // One channel or few, at widths of registers and round them: odd rows of weights end in half a pair.
    ([2, 1, 28, 28], [32, 3, 3], [1, 1, 1]),
    ([1, 1, 9, 10], [17, 5, 5], [2, 2, 1]),
    ([1, 1, 6, 5], [16, 1, 1], [1, 0, 1]),
    ([1, 3, 28, 28], [16, 3, 3], [1, 1, 1]),
    ([1, 3, 11, 13], [31, 7, 7], [2, 3, 1]),
    ([1, 5, 8, 9], [15, 1, 3], [3, 0, 1]),
    ([1, 1, 1, 40], [9, 1, 40], [1, 0, 1]),
    // Groups of one channel, and of few.
    ([2, 32, 28, 28], [32, 3, 3], [1, 1, 32]),
    ([1, 32, 14, 15], [32, 3, 3], [2, 1, 32]),
    ([1, 33, 9, 8], [33, 5, 5], [1, 2, 33]),
    ([2, 15, 8, 7], [15, 3, 3], [3, 2, 15]),
    ([1, 70, 6, 6], [70, 1, 1], [1, 1, 70]),
    ([1, 2, 5, 9], [2, 2, 7], [1, 3, 2]),
    ([1, 17, 9, 9], [34, 3, 3], [1, 1, 17]),
    ([1, 9, 9, 9], [36, 4, 4], [5, 4, 9]),
    ([2, 8, 7, 7], [40, 3, 3], [1, 1, 8]),
    ([1, 18, 8, 9], [9, 3, 3], [1, 1, 9]),
    ([2, 20, 8, 9], [30, 3, 2], [2, 1, 10]),
    ([1, 33, 7, 10], [11, 3, 3], [1, 1, 11]),
    ([1, 15, 10, 7], [20, 5, 3], [2, 2, 5]),
    ([1, 64, 6, 7], [8, 3, 3], [1, 1, 4]),
    ([1, 66, 5, 5], [2, 3, 3], [1, 1, 2]),
];

fn conv((input, [c_out, kh, kw], [stride, padding, groups]): ([usize; 4], [usize; 3], [usize; 3])) -> Conv {
    Conv::new(input, [c_out, input[1] / groups, kh, kw], stride, padding, groups).unwrap()
}

#[test]
fn sums_are_those_of_the_definition_on_every_isa() {
    for isa in Isa::available() {
        println!("isa {isa}");
        for sizes in SIZES {
            let conv = conv(sizes);
            let (x, w) = (bytes(conv.input_len(), 1), bytes(conv.weight_len(), 2));
            for zero_point in [-128, 3] {
                let input = Input { bytes: &x, zero_point };
                let mut want = vec![0; conv.output_len()];
                reference::conv2d_i8(&conv, &x, zero_point, &w, &mut want).unwrap();
                let mut got = vec![i32::MIN; conv.output_len()];
                let mut scratch = vec![i32::MIN; scratch_len(isa, &conv)];
                conv2d_i32(isa, &conv, input, &w, &mut got, &mut scratch).unwrap();
                assert!(got == want, "{isa} {sizes:?} {zero_point}");

                let bias: Vec<i32> = (0..conv.c_out).map(|c| 700 * c as i32 - 9000).collect();
                let by = Multiplier::of(0.02 / conv.taps() as f64).unwrap();
                let (multiplier, shift) = (vec![by.multiplier; conv.c_out], vec![by.shift.into(); conv.c_out]);
                let by = Requantize::new(&bias, &multiplier, &shift, 7, (-110, 120)).unwrap();
                let mut bytes = vec![0; conv.output_len()];
                by.rows(Isa::SCALAR, &want, &mut bytes).unwrap();
                let mut got = vec![i8::MIN; conv.output_len()];
                conv2d(isa, &conv, input, &w, by, &mut got, &mut scratch).unwrap();
                assert!(got == bytes, "{isa} {sizes:?} {zero_point}, requantized");

                let mut scratch = vec![i32::MIN; pooled_scratch_len(isa, &conv)];
                let Ok(pool) = Pool::new([conv.n, conv.c_out, conv.oh, conv.ow], [2, 2], 2, 0) else {
                    assert!(conv2d_max_pool2(isa, &conv, input, &w, by, &mut [], &mut scratch).is_err());
                    continue;
                };
                let (mut pooled, mut got) = (vec![0; pool.output_len()], vec![i8::MIN; pool.output_len()]);
                max_pool2d(Isa::SCALAR, &pool, &bytes, &mut pooled).unwrap();
                conv2d_max_pool2(isa, &conv, input, &w, by, &mut got, &mut scratch).unwrap();
                assert!(got == pooled, "{isa} {sizes:?} {zero_point}, pooled");
            }
        }
    }
}

#[test]
fn one_lane_needs_two_kilobytes_or_a_patch() {
    for sizes in SIZES {
        let conv = conv(sizes);
        let most = if conv.taps() <= 72 { 512 } else { 2 * conv.taps().div_ceil(4) };
        assert!(scratch_len(Isa::SCALAR, &conv) <= most, "{sizes:?}");
    }
    // Tall strides and tall kernels leave no window.
    for (side, kernel, stride) in [(300, 2, 150), (60, 12, 1), (140, 1, 139)] {
        let conv = conv(([1, 1, side, side], [4, kernel, kernel], [stride, 0, 1]));
        assert!(scratch_len(Isa::SCALAR, &conv) <= 512, "{side} {kernel} {stride}");
    }
}

/// The longest sums that each way takes, of the largest products, and one channel more, which goes the next way.
#[test]
fn the_largest_sums_are_exact_either_way() {
    for isa in Isa::available() {
        for (c_in, way) in [(227, "four"), (228, "two"), (3_640, "two"), (3_641, "direct")] {
            let conv = Conv::new([1, c_in, 6, 6], [20, c_in, 3, 3], 1, 0, 1).unwrap();
            let chosen = match Way::of(&conv, isa.lanes()) {
                Way::Four(_) => "four",
                Way::Two(_) => "two",
                Way::Direct(_) => "direct",
                Way::Lanes(_) => "lanes",
            };
            assert_eq!(chosen, way, "{c_in}");
            for (x, w) in [(-128, -128), (-128, 127), (127, 127)] {
                let (xs, ws) = (vec![x; conv.input_len()], vec![w; conv.weight_len()]);
                let mut got = vec![0; 320];
                let mut scratch = vec![0; scratch_len(isa, &conv)];
                conv2d_i32(isa, &conv, Input { bytes: &xs, zero_point: 0 }, &ws, &mut got, &mut scratch).unwrap();
                assert_eq!(got, [9 * c_in as i32 * i32::from(x) * i32::from(w); 320], "{isa} {c_in} {x} {w}");
            }
        }
    }
}

/// Lanes are channels of many groups where those of one would leave most of a register empty.
#[test]
fn groups_of_few_channels_share_registers() {
    for ([c_in, c_out, groups], shared) in [
        ([1, 32, 1], false),
        ([2, 2, 2], true),
        ([32, 32, 32], true),
        ([32, 128, 32], true),
        ([32, 160, 32], false),
        ([64, 2, 2], true),
        ([66, 2, 2], false),
        ([64, 32, 8], true),
        ([72, 32, 8], false),
    ] {
        let conv = Conv::new([1, c_in, 5, 5], [c_out, c_in / groups, 3, 3], 1, 1, groups).unwrap();
        assert_eq!(matches!(Way::of(&conv, 8), Way::Lanes(_)), shared, "{c_in} {c_out} {groups}");
    }
}

/// Where an address has 32 bits, the length of a row times this stride has more.
#[test]
fn strides_as_long_as_the_image_may_be_as_long_as_it_gets() {
    let conv = Conv::new([1, 1, 1, 1 << 16], [1, 1, 1, 1], 1 << 16, 0, 1).unwrap();
    let input = Input { bytes: &bytes(1 << 16, 1), zero_point: 0 };
    for isa in Isa::available() {
        let (mut out, mut scratch) = ([0], vec![0; scratch_len(isa, &conv)]);
        conv2d_i32(isa, &conv, input, &[3], &mut out, &mut scratch).unwrap();
        assert_eq!(out, [3 * i32::from(input.bytes[0])], "{isa}");
    }
}

/// Every output that a byte may become, and more on either side, between any clamps.
#[test]
fn requantized_outputs_stop_at_the_clamp() {
    let conv = Conv::new([1, 1, 1, 256], [16, 1, 1, 1], 1, 0, 1).unwrap();
    let x: Vec<i8> = (-128..=127).collect();
    let weight: Vec<i8> = (0..16).map(|c| [127, -128, 1, -3][c % 4]).collect();
    let bias: Vec<i32> = (0..16).map(|c| [0, i32::MAX - 20_000, i32::MIN + 20_000, 33_000][c / 4]).collect();
    let mut sums = vec![0; conv.output_len()];
    reference::conv2d_i8(&conv, &x, 0, &weight, &mut sums).unwrap();
    let clamps = [(0, (-128, 127)), (-128, (-128, 127)), (127, (-128, 127)), (-5, (-5, 30)), (9, (40, 40))];
    for ((zero_point, clamp), factor) in clamps.into_iter().flat_map(|clamp| [(clamp, 0.4999), (clamp, 0.9)]) {
        let by = Multiplier::of(factor).unwrap();
        let (multiplier, shift) = (vec![by.multiplier; 16], vec![by.shift.into(); 16]);
        let by = Requantize::new(&bias, &multiplier, &shift, zero_point, clamp).unwrap();
        let mut want = vec![0; conv.output_len()];
        by.rows(Isa::SCALAR, &sums, &mut want).unwrap();
        for isa in Isa::available() {
            let (mut got, mut scratch) = (vec![i8::MIN; conv.output_len()], vec![i32::MIN; scratch_len(isa, &conv)]);
            conv2d(isa, &conv, Input { bytes: &x, zero_point: 0 }, &weight, by, &mut got, &mut scratch).unwrap();
            assert!(got == want, "{isa} {zero_point} {clamp:?} {factor}");
        }
    }
}

/// Signs as the transforms weigh them, so that every place of some tile reaches the most that 16 bits have to hold.
#[test]
fn the_largest_transformed_values_fit() {
    /// Rows of `Bᵀ` and of `G` in whole numbers, by sign.
    const INPUT: [[i8; 6]; 6] = [
        [1, 0, -1, 0, 1, 0],
        [0, -1, -1, 1, 1, 0],
        [0, 1, -1, -1, 1, 0],
        [0, -1, -1, 1, 1, 0],
        [0, 1, -1, -1, 1, 0],
        [0, 1, 0, -1, 0, 1],
    ];
    const FILTER: [[i8; 3]; 4] = [[1, 1, 1], [1, -1, 1], [1, 0, 0], [0, 0, 1]];
    for isa in Isa::available() {
        let conv = Conv::new([36, 20, 6, 6], [20, 20, 3, 3], 1, 0, 1).unwrap();
        assert!(matches!(Way::of(&conv, isa.lanes()), Way::Four(_)));
        let x: Vec<i8> = (0..conv.input_len())
            .map(|i| {
                let (place, y, x) = (i / (36 * 20), i / (6 * 20) % 6, i / 20 % 6);
                if INPUT[place / 6][y] * INPUT[place % 6][x] < 0 { 127 } else { -128 }
            })
            .collect();
        let w: Vec<i8> = (0..conv.weight_len())
            .map(|i| {
                let (place, y, x) = (i / (9 * 20) % 16, i / (3 * 20) % 3, i / 20 % 3);
                if FILTER[place / 4][y] * FILTER[place % 4][x] < 0 { 127 } else { -128 }
            })
            .collect();
        let (mut want, mut got) = (vec![0; conv.output_len()], vec![i32::MIN; conv.output_len()]);
        reference::conv2d_i8(&conv, &x, 0, &w, &mut want).unwrap();
        let mut scratch = vec![i32::MIN; scratch_len(isa, &conv)];
        conv2d_i32(isa, &conv, Input { bytes: &x, zero_point: 0 }, &w, &mut got, &mut scratch).unwrap();
        assert!(got == want, "{isa}");
    }
}

/// Every way that a shape has, the chosen one or not.
#[cfg(feature = "train")]
#[test]
fn every_way_has_the_sums_of_the_definition() {
    for isa in Isa::available().filter(|isa| isa.lanes() > 1) {
        for sizes in SIZES {
            let conv = conv(sizes);
            let (x, weight) = (bytes(conv.input_len(), 1), bytes(conv.weight_len(), 2));
            let mut want = vec![0; conv.output_len()];
            reference::conv2d_i8(&conv, &x, 5, &weight, &mut want).unwrap();
            for (name, way) in Forced::all(&conv) {
                let (mut got, mut scratch) = (vec![i32::MIN; want.len()], vec![i32::MIN; way.scratch_len()]);
                let input = Input { bytes: &x, zero_point: 5 };
                way.run(isa, &conv, input, &weight, &mut got, &mut scratch).unwrap();
                assert!(got == want, "{isa} {name} {sizes:?}");
            }
        }
    }
}

#[test]
fn buffers_that_do_not_fit_are_refused() {
    let conv = Conv::new([1, 2, 4, 4], [3, 2, 3, 3], 1, 1, 1).unwrap();
    let (x, w, mut out) = (vec![0; 32], vec![0; 54], vec![0; 48]);
    let mut scratch = vec![0; scratch_len(Isa::best(), &conv)];
    let mut run = |x: &[i8], w: &[i8], scratch: &mut [i32]| {
        conv2d_i32(Isa::best(), &conv, Input { bytes: x, zero_point: 0 }, w, &mut out, scratch)
    };
    run(&x, &w, &mut scratch).unwrap();
    assert!(matches!(run(&x[1..], &w, &mut scratch), Err(ShapeError::Length { got: 31, .. })));
    assert!(matches!(run(&x, &w[1..], &mut scratch), Err(ShapeError::Length { got: 53, .. })));
    assert!(matches!(run(&x, &w, &mut scratch[1..]), Err(ShapeError::TooShort { .. })));
    let by = Requantize::new(&[0; 2], &[0; 2], &[0; 2], 0, (-128, 127)).unwrap();
    let input = Input { bytes: &x, zero_point: 0 };
    let error = conv2d(Isa::best(), &conv, input, &w, by, &mut [0; 48], &mut scratch).unwrap_err();
    assert_eq!(error, ShapeError::Length { what: "the channels of requantization", expected: 3, got: 2 });
    let conv = Conv::new([1, 20_000, 3, 3], [1, 20_000, 3, 3], 1, 0, 1).unwrap();
    let (x, w) = (vec![0; conv.input_len()], vec![0; conv.weight_len()]);
    let mut scratch = vec![0; scratch_len(Isa::best(), &conv)];
    let error = conv2d_i32(Isa::best(), &conv, Input { bytes: &x, zero_point: 0 }, &w, &mut [0], &mut scratch);
    assert!(matches!(error, Err(ShapeError::Range { got: 180_000, .. })));
}

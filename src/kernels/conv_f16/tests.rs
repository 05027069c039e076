//! Half-precision weights against the same numbers in single precision: on one instruction set the bits are equal.

extern crate std;
use super::*;
use crate::kernels::Activation;
use crate::kernels::testing::uniform;
use crate::reference;
use std::{println, vec, vec::Vec};

/// `n, c_in, h, w; c_out, kh, kw; stride, padding, groups`.
type Sizes = ([usize; 4], [usize; 3], [usize; 3]);

fn conv((input, [c_out, kh, kw], [stride, padding, groups]): Sizes) -> Conv {
    Conv::new(input, [c_out, input[1] / groups, kh, kw], stride, padding, groups).unwrap()
}

/// Straight from the weights: taps and channels around registers and panels, stride 2, 1x1, one channel, groups, depthwise.
const DIRECT: [Sizes; 16] = [
    ([0, 3, 5, 5], [4, 3, 3], [1, 1, 1]),
    ([1, 1, 1, 1], [1, 1, 1], [1, 0, 1]),
    ([2, 1, 28, 28], [32, 3, 3], [1, 1, 1]),
    ([1, 3, 7, 9], [5, 3, 3], [1, 1, 1]),
    ([2, 3, 12, 12], [6, 1, 1], [1, 0, 1]),
    ([2, 7, 8, 8], [13, 1, 1], [1, 0, 1]),
    ([1, 8, 6, 6], [9, 1, 1], [1, 0, 1]),
    ([1, 17, 5, 5], [7, 1, 1], [2, 0, 1]),
    ([1, 16, 5, 6], [11, 2, 2], [1, 0, 1]),
    ([2, 2, 11, 10], [7, 5, 5], [1, 2, 1]),
    ([2, 8, 13, 12], [16, 3, 3], [2, 1, 1]),
    ([2, 5, 9, 31], [3, 1, 7], [2, 3, 1]),
    ([2, 8, 9, 9], [8, 3, 3], [1, 1, 8]),
    ([1, 32, 14, 14], [32, 3, 3], [1, 1, 32]),
    ([2, 6, 10, 11], [12, 3, 3], [2, 1, 3]),
    ([2, 4, 8, 40], [4, 5, 5], [2, 2, 4]),
];

/// By F(2x2, 3x3): outputs so low or narrow that tiles of four would be mostly outside.
const TWO: [Sizes; 5] = [
    ([1, 16, 2, 2], [16, 3, 3], [1, 1, 1]),
    ([2, 17, 6, 2], [19, 3, 3], [1, 1, 1]),
    ([1, 17, 4, 12], [33, 3, 3], [1, 0, 1]),
    ([7, 16, 1, 9], [24, 3, 3], [1, 1, 1]),
    ([1, 40, 3, 3], [17, 3, 3], [1, 0, 1]),
];

/// By F(4x4, 3x3).
const FOUR: [Sizes; 6] = [
    ([3, 16, 14, 14], [16, 3, 3], [1, 1, 1]),
    ([2, 17, 15, 17], [19, 3, 3], [1, 1, 1]),
    ([2, 16, 6, 33], [18, 3, 3], [1, 0, 1]),
    ([1, 17, 10, 8], [33, 3, 3], [1, 2, 1]),
    ([1, 64, 14, 14], [64, 3, 3], [1, 1, 1]),
    ([1, 24, 30, 18], [40, 3, 3], [1, 1, 1]),
];

fn all() -> impl Iterator<Item = Sizes> {
    DIRECT.into_iter().chain(TWO).chain(FOUR)
}

fn singles(numbers: &[f16]) -> Vec<f32> {
    numbers.iter().map(|x| x.to_f32_const()).collect()
}

/// Uniform in [-0.5, 0.5), every seventh of them subnormal or zero.
fn halves(len: usize, seed: u64) -> Vec<f16> {
    let half = |(i, x): (usize, &f32)| match i % 7 {
        3 => f16::from_bits((x.to_bits() & 0x83ff) as u16),
        _ => f16::from_f32_const(*x),
    };
    uniform(len, seed).iter().enumerate().map(half).collect()
}

/// Equal bits, or not a number on both sides: which payload remains of two, the compiler chooses.
fn assert_same(got: &[f32], want: &[f32], what: impl std::fmt::Debug) {
    assert_eq!(got.len(), want.len());
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{what:?} at {i}: {got} {want}");
    }
}

/// The output for weights in half precision, and for the same numbers in single precision: both start from `before`, or from NaN.
fn both(isa: Isa, conv: &Conv, [x, before]: [&[f32]; 2], weight: &[f16], epilogue: Epilogue<'_>) -> [Vec<f32>; 2] {
    let fresh = if epilogue.accumulate { before.to_vec() } else { vec![f32::NAN; conv.output_len()] };
    let (mut got, mut want) = (fresh.clone(), fresh);
    let mut scratch = vec![f32::NAN; conv.scratch_len()];
    conv::conv2d(isa, conv, x, &singles(weight), epilogue, &mut want, &mut scratch).unwrap();
    scratch.fill(f32::NAN);
    conv2d(isa, conv, x, weight, epilogue, &mut got, &mut scratch).unwrap();
    [got, want]
}

#[test]
fn the_shapes_take_every_way() {
    // What errors grow by in the transforms of tiles of two and of four.
    for (sizes, growth) in [(&DIRECT[..], None), (&TWO[..], Some(64.0)), (&FOUR[..], Some(2304.0))] {
        for sizes in sizes {
            let conv = conv(*sizes);
            assert_eq!(conv.is_transformed(false), growth.is_some(), "{sizes:?}");
            if let Some(growth) = growth {
                let found: f64 = conv.error_factor(false) / reference::gamma(sizes.0[1] + 26);
                assert!((found - growth).abs() < 1e-6, "{sizes:?}: {found}");
            }
        }
    }
}

#[test]
fn weights_in_f16_give_the_bits_of_the_same_weights_in_f32_on_every_isa() {
    for isa in Isa::available() {
        println!("isa {isa}");
        for sizes in all() {
            let conv = conv(sizes);
            let (x, weight) = (uniform(conv.input_len(), 1), halves(conv.weight_len(), 2));
            let (bias, before) = (uniform(sizes.1[0], 3), uniform(conv.output_len(), 4));
            let biased = Epilogue { bias: Some(&bias), activation: Activation::Relu, accumulate: false };
            for epilogue in [Epilogue::default(), biased, Epilogue { accumulate: true, ..biased }] {
                let [got, want] = both(isa, &conv, [&x, &before], &weight, epilogue);
                assert!(got.iter().all(|x| x.is_finite()), "{isa} {sizes:?}: an element was not written");
                assert_same(&got, &want, (isa, sizes));
            }
        }
    }
}

#[test]
fn outputs_match_f64_within_the_rounding_bound() {
    for sizes in all() {
        let conv = conv(sizes);
        let (x, weight) = (uniform(conv.input_len(), 5), halves(conv.weight_len(), 6));
        let mut want = vec![reference::Exact::default(); conv.output_len()];
        reference::conv2d_f64(&conv, &x, &singles(&weight), &mut want);
        // A transformed sum is bounded by the largest products of its channels.
        let least = if conv.is_transformed(false) { 0.25 * sizes.0[1] as f64 } else { 0.0 };
        for isa in Isa::available() {
            let [got, _] = both(isa, &conv, [&x, &[]], &weight, Epilogue::default());
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                let error = (f64::from(*got) - want.sum).abs();
                let bound = conv.error_factor(false) * want.magnitude.max(least) + 1e-40;
                assert!(error <= bound, "{isa} {sizes:?} at {i}: {got} for {want:?}");
            }
        }
    }
}

/// Weights of which none is normal: nothing on the way takes them for zero.
#[test]
fn subnormal_weights_count() {
    for sizes in all() {
        let conv = conv(sizes);
        let weight: Vec<f16> = (0..conv.weight_len()).map(|i| f16::from_bits(1 + (i * 37 % 0x3ff) as u16)).collect();
        let x = vec![1.0; conv.input_len()];
        let mut want = vec![reference::Exact::default(); conv.output_len()];
        reference::conv2d_f64(&conv, &x, &singles(&weight), &mut want);
        let largest = f64::from(f16::from_bits(0x3ff).to_f32_const());
        let least = if conv.is_transformed(false) { largest * sizes.0[1] as f64 } else { 0.0 };
        for isa in Isa::available() {
            let [got, single] = both(isa, &conv, [&x, &[]], &weight, Epilogue::default());
            assert_same(&got, &single, (isa, sizes));
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                let error = (f64::from(*got) - want.sum).abs();
                assert!(error <= conv.error_factor(false) * want.magnitude.max(least), "{isa} {sizes:?} at {i}: {got}");
            }
        }
    }
}

/// Without padding, where no product with a zero outside the image can turn infinity to NaN.
#[test]
fn infinity_and_nan_among_direct_weights_are_those_of_the_plain_loops() {
    for (at, special) in [(0, f16::NAN), (3, f16::INFINITY), (5, f16::NEG_INFINITY)] {
        for (input, channels, [stride, _, groups]) in DIRECT {
            let conv = Conv::new(input, [channels[0], input[1] / groups, channels[1], channels[2]], stride, 0, groups);
            let Ok(conv) = conv else { continue }; // the kernel is larger than the image without its padding
            if conv.is_transformed(false) {
                continue;
            }
            let x: Vec<f32> = uniform(conv.input_len(), 7).iter().map(|x| x + 1.0).collect();
            let mut weight = halves(conv.weight_len(), 8);
            let at = at % weight.len();
            weight[at] = special;
            let last = weight.len() - 1;
            weight[last] = special;
            let mut plain = vec![f32::NAN; conv.output_len()];
            reference::conv2d_f32(&conv, &x, &singles(&weight), None, &mut plain).unwrap();
            for isa in Isa::available() {
                let [got, want] = both(isa, &conv, [&x, &[]], &weight, Epilogue::default());
                assert_same(&got, &want, (isa, conv));
                for (i, (got, plain)) in got.iter().zip(&plain).enumerate() {
                    let same = got.is_nan() && plain.is_nan() || got == plain || got.is_finite() && plain.is_finite();
                    assert!(same, "{isa} {conv:?} at {i}: {got} {plain}");
                }
            }
        }
    }
}

#[test]
fn infinity_and_nan_among_the_weights_reach_their_channels_alone() {
    for sizes in all() {
        let conv = conv(sizes);
        let [_, c_out, oh, ow] = conv.output();
        let channel = c_out / 2;
        for special in [f16::NAN, f16::INFINITY, f16::NEG_INFINITY] {
            let mut weight = halves(conv.weight_len(), 9);
            // The middle of the first kernel: a tap that meets the image wherever it lies.
            let middle = sizes.1[1] / 2 * sizes.1[2] + sizes.1[2] / 2;
            weight[channel * (conv.weight_len() / c_out) + middle] = special;
            let x = vec![0.5; conv.input_len()];
            for isa in Isa::available() {
                let [got, want] = both(isa, &conv, [&x, &[]], &weight, Epilogue::default());
                assert_same(&got, &want, (isa, sizes));
                for (image, planes) in got.chunks_exact(c_out * oh * ow).enumerate() {
                    for (c, plane) in planes.chunks_exact(oh * ow).enumerate() {
                        let finite = plane.iter().all(|x| x.is_finite());
                        assert_eq!(finite, c != channel, "{isa} {sizes:?} {special} in image {image}, channel {c}");
                    }
                }
            }
        }
    }
}

#[test]
fn buffers_that_do_not_fit_are_refused() {
    for c_in in [2, 16] {
        let conv = Conv::new([1, c_in, 5, 5], [16, c_in, 3, 3], 1, 1, 1).unwrap();
        let right = [conv.input_len(), conv.weight_len(), 16, conv.output_len(), conv.scratch_len()];
        let run = |[x, weight, bias, out, scratch]: [usize; 5]| {
            let (x, weight, bias) = (vec![0.0; x], vec![f16::ONE; weight], vec![0.0; bias]);
            let (mut out, mut scratch) = (vec![0.0; out], vec![0.0; scratch]);
            let epilogue = Epilogue { bias: Some(&bias), ..Epilogue::default() };
            conv2d(Isa::best(), &conv, &x, &weight, epilogue, &mut out, &mut scratch)
        };
        run(right).unwrap();
        for buffer in 0..4 {
            for wrong in [right[buffer] - 1, right[buffer] + 1, 0] {
                let mut lens = right;
                lens[buffer] = wrong;
                let error = run(lens).unwrap_err();
                assert!(
                    matches!(error, ShapeError::Length { expected, got, .. } if (expected, got) == (right[buffer], wrong)),
                    "{c_in} channels, buffer {buffer}: {error:?}"
                );
            }
        }
        let mut lens = right;
        lens[4] -= 1;
        let needed = right[4];
        let got = needed - 1;
        let what = "the scratch of a convolution";
        assert_eq!(run(lens), Err(ShapeError::TooShort { what, needed, got }));
        lens[4] += 2;
        run(lens).unwrap();
    }
}

#[test]
fn no_images_are_no_work() {
    for c_in in [2, 16] {
        let conv = Conv::new([0, c_in, 5, 5], [16, c_in, 3, 3], 1, 1, 1).unwrap();
        let weight = halves(conv.weight_len(), 10);
        for isa in Isa::available() {
            let [got, _] = both(isa, &conv, [&[], &[]], &weight, Epilogue::default());
            assert!(got.is_empty());
        }
    }
}

/// The bits of every shape are the same for any number of threads.
#[cfg(feature = "train")]
#[test]
fn threads_do_not_change_a_bit() {
    use crate::kernels::parallel;
    let relu = Epilogue { activation: Activation::Relu, ..Epilogue::default() };
    let sizes: [Sizes; 4] = [
        ([19, 16, 28, 28], [16, 3, 3], [1, 1, 1]),
        ([5, 1, 28, 28], [32, 3, 3], [1, 1, 1]),
        ([33, 6, 16, 16], [12, 5, 5], [2, 2, 3]),
        ([30, 64, 4, 20], [48, 3, 3], [1, 0, 1]),
    ];
    for isa in Isa::available() {
        for sizes in sizes {
            let conv = conv(sizes);
            let (x, weight) = (uniform(conv.input_len(), 1), halves(conv.weight_len(), 2));
            let [alone, _] = both(isa, &conv, [&x, &[]], &weight, relu);
            for threads in [1, 2, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let together = pool.install(|| {
                    let mut out = vec![f32::NAN; conv.output_len()];
                    let mut scratch = vec![f32::NAN; parallel::conv2d_scratch_len(&conv, threads)];
                    parallel::conv2d_f16(isa, &conv, &x, &weight, relu, &mut out, &mut scratch).unwrap();
                    let short = scratch.len() - 1;
                    let refused =
                        parallel::conv2d_f16(isa, &conv, &x, &weight, relu, &mut out.clone(), &mut scratch[..short]);
                    assert!(matches!(refused, Err(ShapeError::TooShort { .. })), "{refused:?}");
                    out
                });
                let equal = alone.iter().zip(&together).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(equal, "{isa} {sizes:?} on {threads} threads");
            }
        }
    }
}

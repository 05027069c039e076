//! Every shape around an edge, on every instruction set, against f64.

extern crate std;
use super::*;
use crate::kernels::Activation;
use crate::kernels::testing::uniform;
use crate::reference::{self, Exact};
use std::{vec, vec::Vec};

/// `n, c_in, h, w; c_out, kh, kw; stride, padding, groups`.
type Sizes = ([usize; 4], [usize; 3], [usize; 3]);

fn conv((input, [c_out, kh, kw], [stride, padding, groups]): Sizes) -> Conv {
    Conv::new(input, [c_out, input[1] / groups, kh, kw], stride, padding, groups).unwrap()
}

const SIZES: [Sizes; 31] = [
    ([0, 3, 5, 5], [4, 3, 3], [1, 1, 1]),
    ([1, 1, 1, 1], [1, 1, 1], [1, 0, 1]),
    ([2, 1, 1, 1], [3, 3, 3], [1, 1, 1]),
    ([1, 1, 3, 3], [1, 3, 3], [1, 0, 1]),
    ([2, 1, 28, 28], [8, 3, 3], [1, 1, 1]),
    ([1, 3, 7, 9], [5, 3, 3], [1, 1, 1]),
    ([1, 8, 14, 14], [16, 3, 3], [1, 1, 1]),
    ([3, 16, 14, 14], [16, 3, 3], [1, 1, 1]),
    ([2, 17, 15, 17], [19, 3, 3], [1, 1, 1]),
    ([2, 16, 6, 33], [18, 3, 3], [1, 0, 1]),
    ([1, 17, 10, 8], [33, 3, 3], [1, 2, 1]),
    ([1, 64, 7, 7], [24, 3, 3], [1, 1, 1]),
    ([4, 16, 4, 4], [16, 3, 3], [1, 1, 1]),
    ([7, 16, 5, 5], [21, 3, 3], [1, 1, 1]),
    ([2, 3, 12, 12], [6, 1, 1], [1, 0, 1]),
    ([2, 20, 8, 8], [10, 1, 1], [2, 0, 1]),
    ([1, 2, 9, 9], [4, 2, 2], [1, 0, 1]),
    ([2, 2, 11, 10], [7, 5, 5], [1, 2, 1]),
    ([2, 3, 13, 12], [6, 3, 3], [2, 1, 1]),
    ([1, 4, 16, 20], [8, 5, 3], [3, 2, 1]),
    ([2, 5, 9, 31], [3, 1, 7], [2, 3, 1]),
    ([1, 2, 6, 6], [3, 3, 3], [5, 0, 1]),
    ([1, 1, 4, 4], [2, 4, 4], [1, 0, 1]),
    ([1, 2, 3, 3], [2, 2, 2], [1, 3, 1]),
    ([1, 2, 4, 5], [2, 1, 2], [2, 3, 1]),
    ([2, 8, 9, 9], [8, 3, 3], [1, 1, 8]),
    ([2, 6, 10, 11], [12, 3, 3], [2, 1, 3]),
    ([1, 16, 12, 12], [16, 3, 3], [1, 1, 2]),
    ([2, 4, 8, 40], [4, 5, 5], [2, 2, 4]),
    ([18, 2, 6, 6], [4, 3, 3], [1, 1, 1]),
    ([1, 24, 30, 18], [40, 3, 3], [1, 1, 1]),
];

fn within(got: &[f32], want: &[Exact], gamma: f64, what: impl std::fmt::Debug) {
    assert_eq!(got.len(), want.len());
    let mut worst = 0.0;
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(*got) - want.sum).abs();
        assert!(error <= gamma * want.magnitude + 1e-40, "{what:?} at {i}: {got} for {want:?}");
        worst = f64::max(worst, error / want.magnitude);
    }
    // The bounds are those of the worst case; such operands come nowhere near, transformed ones to some 50.
    assert!(worst <= 100.0 * reference::UNIT_ROUNDOFF, "{what:?}: {} roundings", worst / reference::UNIT_ROUNDOFF);
}

/// What bounds a transformed sum: the largest products of `channels` channels, instead of its own.
fn of_maxima(want: &mut [Exact], x: &[f32], w: &[f32], channels: usize) {
    let max = |x: &[f32]| x.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let magnitude = channels as f64 * f64::from(max(x)) * f64::from(max(w));
    want.iter_mut().for_each(|want| want.magnitude = magnitude);
}

/// Buffers between guards, which must be left alone.
struct Guarded(Vec<f32>);

const GUARD: usize = 9;

impl Guarded {
    fn new(len: usize) -> Self {
        let mut all = vec![f32::NAN; len + 2 * GUARD];
        all[..GUARD].fill(12345.0);
        all[GUARD + len..].fill(12345.0);
        Self(all)
    }

    fn inner(&mut self) -> &mut [f32] {
        let len = self.0.len();
        &mut self.0[GUARD..len - GUARD]
    }

    fn check(mut self) -> Vec<f32> {
        let len = self.0.len();
        assert!(self.0[..GUARD].iter().chain(&self.0[len - GUARD..]).all(|x| *x == 12345.0), "a guard was written to");
        self.inner().to_vec()
    }
}

/// The sums of `conv2d` without bias, and what bounds their errors.
fn sums(conv: &Conv, x: &[f32], w: &[f32]) -> Vec<Exact> {
    let mut want = vec![Exact::default(); conv.output_len()];
    reference::conv2d_f64(conv, x, w, &mut want);
    if conv.is_transformed(false) {
        of_maxima(&mut want, x, w, conv.c_in);
    }
    want
}

/// `want` with `bias` of each channel added.
fn with_bias(conv: &Conv, want: &[Exact], bias: &[f32]) -> Vec<Exact> {
    let bias = |i: usize| f64::from(bias[i / (conv.oh * conv.ow) % conv.c_out]);
    let sum = |(i, want): (usize, &Exact)| Exact { sum: want.sum + bias(i), magnitude: want.magnitude + bias(i).abs() };
    want.iter().enumerate().map(sum).collect()
}

#[test]
fn convolutions_match_f64_on_every_isa() {
    for sizes in SIZES {
        let conv = conv(sizes);
        let (x, w, bias) = (uniform(conv.input_len(), 1), uniform(conv.weight_len(), 2), uniform(conv.c_out, 3));
        let plain_sums = sums(&conv, &x, &w);
        let biased = with_bias(&conv, &plain_sums, &bias);
        for isa in Isa::available() {
            for (bias, want) in [(None, &plain_sums), (Some(&bias[..]), &biased)] {
                let run = |activation| {
                    let mut out = Guarded::new(conv.output_len());
                    let mut scratch = Guarded::new(conv.scratch_len());
                    let epilogue = Epilogue { bias, activation, accumulate: false };
                    conv2d(isa, &conv, &x, &w, epilogue, out.inner(), scratch.inner()).unwrap();
                    scratch.check();
                    out.check()
                };
                let plain = run(Activation::Identity);
                within(&plain, want, conv.error_factor(false), (isa, sizes));
                for activation in [Activation::Relu, Activation::Tanh] {
                    for (got, plain) in run(activation).iter().zip(&plain) {
                        let want = if activation == Activation::Relu { plain.max(0.0) } else { plain.tanh() };
                        let error = (got - want).abs();
                        assert!(error <= 3e-7 * want.abs(), "{isa} {sizes:?} {activation:?}: {got} {want}");
                    }
                }
            }
        }
    }
}

#[test]
fn sums_are_added_to_what_is_there_before_the_activation() {
    for sizes in SIZES {
        let conv = conv(sizes);
        let (x, w, bias) = (uniform(conv.input_len(), 1), uniform(conv.weight_len(), 2), uniform(conv.c_out, 3));
        let before = uniform(conv.output_len(), 4);
        let mut want = with_bias(&conv, &sums(&conv, &x, &w), &bias);
        for (want, before) in want.iter_mut().zip(&before) {
            want.sum += f64::from(*before);
            want.magnitude += f64::from(before.abs());
        }
        for isa in Isa::available() {
            let run = |activation| {
                let mut out = Guarded::new(conv.output_len());
                out.inner().copy_from_slice(&before);
                let mut scratch = vec![f32::NAN; conv.scratch_len()];
                let epilogue = Epilogue { bias: Some(&bias), activation, accumulate: true };
                conv2d(isa, &conv, &x, &w, epilogue, out.inner(), &mut scratch).unwrap();
                out.check()
            };
            let plain = run(Activation::Identity);
            // Two roundings more than the product alone.
            within(&plain, &want, conv.error_factor(false) + reference::gamma(2), (isa, "accumulate", sizes));
            for (plain, relu) in plain.iter().zip(&run(Activation::Relu)) {
                assert_eq!(plain.max(0.0), *relu, "{isa} {sizes:?}");
            }
        }
    }
}

#[test]
fn gradients_match_f64_on_every_isa() {
    for sizes in SIZES {
        let conv = conv(sizes);
        let (x, w) = (uniform(conv.input_len(), 4), uniform(conv.weight_len(), 5));
        let d_out = uniform(conv.output_len(), 6);
        let mut d_x = vec![Exact::default(); conv.input_len()];
        reference::conv2d_d_input_f64(&conv, &d_out, &w, &mut d_x);
        if conv.is_transformed(true) {
            of_maxima(&mut d_x, &d_out, &w, conv.c_out);
        }
        let mut d_w = vec![Exact::default(); conv.weight_len()];
        reference::conv2d_d_weight_f64(&conv, &x, &d_out, &mut d_w);
        let mut d_bias = vec![Exact::default(); conv.c_out];
        for (i, x) in d_out.iter().enumerate() {
            let want = &mut d_bias[i / (conv.oh * conv.ow) % conv.c_out];
            want.sum += f64::from(*x);
            want.magnitude += f64::from(x.abs());
        }
        let gamma = reference::gamma(conv.n * conv.oh * conv.ow + 1);
        for isa in Isa::available() {
            let mut got = Guarded::new(conv.input_len());
            let mut scratch = Guarded::new(conv.d_input_scratch_len());
            conv2d_d_input(isa, &conv, &d_out, &w, got.inner(), scratch.inner()).unwrap();
            scratch.check();
            within(&got.check(), &d_x, conv.error_factor(true), (isa, "d_input", sizes));

            let mut got = Guarded::new(conv.weight_len());
            let mut scratch = Guarded::new(conv.d_weight_scratch_len());
            conv2d_d_weight(isa, &conv, &x, &d_out, got.inner(), scratch.inner()).unwrap();
            scratch.check();
            within(&got.check(), &d_w, gamma, (isa, "d_weight", sizes));

            let mut got = Guarded::new(conv.c_out);
            conv2d_d_bias(isa, &conv, &d_out, got.inner()).unwrap();
            within(&got.check(), &d_bias, gamma, (isa, "d_bias", sizes));
        }
    }
}

#[test]
fn the_naive_loops_match_f64() {
    for sizes in SIZES {
        let conv = conv(sizes);
        let (x, w, d_out) =
            (uniform(conv.input_len(), 7), uniform(conv.weight_len(), 8), uniform(conv.output_len(), 9));
        let mut want = vec![Exact::default(); conv.output_len()];
        reference::conv2d_f64(&conv, &x, &w, &mut want);
        let mut got = vec![f32::NAN; conv.output_len()];
        reference::conv2d_f32(&conv, &x, &w, None, &mut got).unwrap();
        within(&got, &want, reference::gamma(conv.taps() + 1), sizes);
        let mut want = vec![Exact::default(); conv.input_len()];
        reference::conv2d_d_input_f64(&conv, &d_out, &w, &mut want);
        let mut got = vec![f32::NAN; conv.input_len()];
        reference::conv2d_d_input_f32(&conv, &d_out, &w, &mut got).unwrap();
        within(&got, &want, reference::gamma(conv.c_out * conv.kh * conv.kw + 1), sizes);
        let mut want = vec![Exact::default(); conv.weight_len()];
        reference::conv2d_d_weight_f64(&conv, &x, &d_out, &mut want);
        let mut got = vec![f32::NAN; conv.weight_len()];
        reference::conv2d_d_weight_f32(&conv, &x, &d_out, &mut got).unwrap();
        within(&got, &want, reference::gamma(conv.n * conv.oh * conv.ow + 1), sizes);
    }
}

/// A result by the plain loops and one by the kernels are numbers at the same places. Of sums that are transformed, `[channels, height, width]` for
/// each image, one that is none may turn others of its tile into NaN: those of its image less than four rows and columns away.
fn alike(got: &[f32], want: &[f32], transformed: Option<[usize; 3]>, what: impl std::fmt::Debug) {
    let place = |i: usize| transformed.map(|[c, h, w]| (i / (c * h * w), i / w % h, i % w));
    let odd: Vec<_> = (0..want.len()).filter(|i| !want[*i].is_finite()).filter_map(place).collect();
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let same = got.is_nan() == want.is_nan() && got.is_infinite() == want.is_infinite();
        let is_near = |(image, y, x): (usize, usize, usize)| {
            let near = |odd: &(usize, usize, usize)| odd.0 == image && odd.1.abs_diff(y) < 4 && odd.2.abs_diff(x) < 4;
            odd.iter().any(near)
        };
        assert!(same || got.is_nan() && place(i).is_some_and(is_near), "{what:?} at {i}: {got} for {want}");
    }
}

/// The same convolution of a larger image, whose border of zeros is no padding: they take part in products.
fn with_its_padding((input, kernel, [stride, padding, groups]): Sizes, x: &[f32]) -> (Conv, Vec<f32>) {
    let [n, c, h, w] = input;
    let larger = [n, c, h + 2 * padding, w + 2 * padding];
    let mut padded = vec![0.0; larger.iter().product()];
    for (row, pixels) in x.chunks_exact(w).enumerate() {
        let (plane, y) = (row / h, row % h);
        padded[(plane * larger[2] + y + padding) * larger[3] + padding..][..w].copy_from_slice(pixels);
    }
    (conv((larger, kernel, [stride, 0, groups])), padded)
}

#[test]
fn nan_and_infinity_reach_all_that_see_them_and_nothing_else() {
    for sizes in SIZES.into_iter().filter(|(input, ..)| input[0] > 0) {
        let conv = conv(sizes);
        for special in [f32::NAN, f32::INFINITY] {
            for place in [0.0, 0.4, 0.999] {
                let at = |len: usize| (place * len as f64) as usize;
                let (mut x, w) = (uniform(conv.input_len(), 1), uniform(conv.weight_len(), 2));
                let mut d_out = uniform(conv.output_len(), 3);
                x[at(conv.input_len())] = special;
                let plain = d_out.clone();
                d_out[at(conv.output_len())] = special;
                let mut y = vec![0.0; conv.output_len()];
                reference::conv2d_f32(&conv, &x, &w, None, &mut y).unwrap();
                let mut d_x = vec![0.0; conv.input_len()];
                reference::conv2d_d_input_f32(&conv, &d_out, &w, &mut d_x).unwrap();
                let mut d_w = [vec![0.0; conv.weight_len()], vec![0.0; conv.weight_len()]];
                reference::conv2d_d_weight_f32(&conv, &x, &plain, &mut d_w[0]).unwrap();
                x[at(conv.input_len())] = 0.5;
                let (larger, padded) = with_its_padding(sizes, &x);
                reference::conv2d_d_weight_f32(&larger, &padded, &d_out, &mut d_w[1]).unwrap();
                for isa in Isa::available() {
                    let what = |pass| (isa, sizes, special, place, pass);
                    let mut got = vec![0.0; conv.weight_len()];
                    let mut scratch = vec![f32::NAN; conv.d_weight_scratch_len()];
                    conv2d_d_weight(isa, &conv, &x, &d_out, &mut got, &mut scratch).unwrap();
                    alike(&got, &d_w[1], None, what("d_weight of d_out"));
                    x[at(conv.input_len())] = special;
                    conv2d_d_weight(isa, &conv, &x, &plain, &mut got, &mut scratch).unwrap();
                    alike(&got, &d_w[0], None, what("d_weight of x"));
                    let mut got = vec![0.0; conv.output_len()];
                    let mut scratch = vec![f32::NAN; conv.scratch_len()];
                    conv2d(isa, &conv, &x, &w, Epilogue::default(), &mut got, &mut scratch).unwrap();
                    let sides = [conv.c_out, conv.oh, conv.ow];
                    alike(&got, &y, conv.is_transformed(false).then_some(sides), what("forward"));
                    let mut got = vec![0.0; conv.input_len()];
                    let mut scratch = vec![f32::NAN; conv.d_input_scratch_len()];
                    conv2d_d_input(isa, &conv, &d_out, &w, &mut got, &mut scratch).unwrap();
                    let sides = [conv.c_in, conv.h, conv.w];
                    alike(&got, &d_x, conv.is_transformed(true).then_some(sides), what("d_input"));
                    x[at(conv.input_len())] = 0.5;
                }
            }
        }
    }
}

#[test]
fn shapes_and_buffers_that_do_not_fit_are_refused() {
    let new = |input, weight, stride, padding, groups| Conv::new(input, weight, stride, padding, groups).unwrap_err();
    assert!(matches!(new([1, 0, 5, 5], [1, 0, 3, 3], 1, 0, 1), ShapeError::Range { .. }));
    assert!(matches!(new([1, 1, 5, 5], [1, 1, 3, 3], 0, 0, 1), ShapeError::Range { .. }));
    assert!(matches!(new([1, 1, 5, 5], [1, 1, 3, 3], 1, 0, 0), ShapeError::Range { .. }));
    assert!(matches!(new([1, 1, 5, 5], [1, 1, 8, 3], 1, 1, 1), ShapeError::Range { max: 7, got: 8, .. }));
    assert!(matches!(new([1, 1, 5, 5], [1, 1, 3, 8], 1, 1, 1), ShapeError::Range { max: 7, got: 8, .. }));
    assert!(matches!(new([1, 3, 5, 5], [4, 1, 3, 3], 1, 1, 2), ShapeError::Range { got: 2, .. }));
    assert_eq!(new([1, 4, 5, 5], [4, 4, 3, 3], 1, 1, 2), ShapeError::InnerDim { a_cols: 2, b_rows: 4 });
    assert_eq!(new([usize::MAX, 4, 5, 5], [4, 4, 3, 3], 1, 1, 1), ShapeError::Overflow);
    assert_eq!(new([1, 1, 5, 5], [1, 1, 3, 3], 1, usize::MAX / 2 + 1, 1), ShapeError::Overflow);
    assert_eq!(new([1, 1, 1 << 20, 1 << 20], [1, 1, 3, 3], 1, 0, 1), ShapeError::Overflow);
    assert_eq!(new([0, 1, 1, usize::MAX - 2], [1, 1, 1, 1], 1, 0, 1), ShapeError::Overflow);
    let (side, padding) = (usize::MAX / 2 + 2, usize::MAX / 2);
    assert_eq!(new([1, 1, 1, 1], [1, 1, side, 1], 1, padding, 1), ShapeError::Overflow);
    // 121 million weights, 36 numbers each if they were transformed: too many for addresses of 32 bits.
    let large = Conv::new([1, 11_000, 1, 1], [11_000, 11_000, 1, 1], 1, 0, 1);
    assert_eq!(large.is_ok(), usize::BITS == 64);
    // As many channels, each with nine weights of its own: few numbers, however they are packed.
    let depthwise = Conv::new([1, 11_000, 7, 7], [11_000, 1, 3, 3], 1, 1, 11_000).unwrap();
    assert!(
        [depthwise.scratch_len(), depthwise.d_input_scratch_len(), depthwise.d_weight_scratch_len()] < [1 << 24; 3]
    );
    let far = Conv::new([1, 1, 4, 4], [1, 1, 3, 3], usize::MAX, 1, 1).unwrap();
    assert_eq!(far.output(), [1, 1, 1, 1]);
    let conv = Conv::new([1, 2, 5, 5], [3, 2, 3, 3], 1, 1, 1).unwrap();
    assert_eq!(conv.output(), [1, 3, 5, 5]);
    let (x, w, mut out) = ([0.0; 50], [0.0; 54], [0.0; 75]);
    let mut scratch = vec![0.0; conv.scratch_len()];
    let mut run = |x: &[f32], w: &[f32], bias: Option<&[f32]>, scratch: &mut [f32]| {
        conv2d(Isa::best(), &conv, x, w, Epilogue { bias, ..Epilogue::default() }, &mut out, scratch)
    };
    run(&x, &w, None, &mut scratch).unwrap();
    assert!(matches!(run(&x[1..], &w, None, &mut scratch), Err(ShapeError::Length { got: 49, .. })));
    assert!(matches!(run(&x, &w[1..], None, &mut scratch), Err(ShapeError::Length { got: 53, .. })));
    assert!(matches!(run(&x, &w, Some(&[0.0; 2]), &mut scratch), Err(ShapeError::Length { got: 2, .. })));
    let short = conv.scratch_len() - 1;
    assert!(matches!(run(&x, &w, None, &mut scratch[..short]), Err(ShapeError::TooShort { .. })));
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
        ([2, 16, 14, 14], [16, 3, 3], [1, 1, 1]),
    ];
    for isa in Isa::available() {
        for sizes in sizes {
            let conv = conv(sizes);
            let (x, w) = (uniform(conv.input_len(), 1), uniform(conv.weight_len(), 2));
            let d_out = uniform(conv.output_len(), 3);
            let (mut out, mut d_x, mut d_w) =
                (vec![0.0; conv.output_len()], vec![0.0; conv.input_len()], vec![0.0; conv.weight_len()]);
            let mut scratch = vec![f32::NAN; conv.scratch_len()];
            conv2d(isa, &conv, &x, &w, relu, &mut out, &mut scratch).unwrap();
            let mut scratch = vec![f32::NAN; conv.d_input_scratch_len()];
            conv2d_d_input(isa, &conv, &d_out, &w, &mut d_x, &mut scratch).unwrap();
            let mut scratch = vec![f32::NAN; conv.d_weight_scratch_len()];
            conv2d_d_weight(isa, &conv, &x, &d_out, &mut d_w, &mut scratch).unwrap();
            let alone = [out, d_x, d_w];
            for threads in [1, 2, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let together = pool.install(|| {
                    let mut all = alone.clone().map(|buffer| vec![f32::NAN; buffer.len()]);
                    let [out, d_x, d_w] = &mut all;
                    let mut scratch = vec![f32::NAN; parallel::conv2d_scratch_len(&conv, threads)];
                    parallel::conv2d(isa, &conv, &x, &w, relu, out, &mut scratch).unwrap();
                    let mut scratch = vec![f32::NAN; parallel::conv2d_d_input_scratch_len(&conv, threads)];
                    parallel::conv2d_d_input(isa, &conv, &d_out, &w, d_x, &mut scratch).unwrap();
                    let mut scratch = vec![f32::NAN; parallel::conv2d_d_weight_scratch_len(&conv)];
                    parallel::conv2d_d_weight(isa, &conv, &x, &d_out, d_w, &mut scratch).unwrap();
                    all
                });
                for (alone, together) in alone.iter().zip(&together) {
                    let equal = alone.iter().zip(together).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(equal, "{isa} {sizes:?} on {threads} threads");
                }
            }
        }
    }
}

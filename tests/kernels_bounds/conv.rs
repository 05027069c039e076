//! Convolutions of floats and of bytes, and the gradients of the former, on one thread and on several.

use crate::frame::{Element, Fit, Plan, Role, cases, on_every_isa, plans};
use crate::gemm_i8::Constants;
use crate::size::{activations, wild};
use inkstone::error::ShapeError;
use inkstone::kernels::conv::{self, Conv};
use inkstone::kernels::{Activation, Epilogue, Isa, conv_f16, conv_i8};
use proptest::prelude::*;

/// Shapes that [`Conv::new`] takes, of every way: direct ones, transformed ones, tiles and dot products.
pub(crate) fn shapes() -> impl Strategy<Value = Conv> {
    let any = ([0..3usize, 1..6usize, 1..12usize, 1..20usize], [1..6usize, 1..6usize, 1..6usize], 1..5usize)
        .prop_flat_map(|(input, kernel, stride)| (Just((input, kernel, stride)), 0..5usize, 1..4usize))
        .prop_map(|(([n, c_in, h, w], [c_out, kh, kw], stride), padding, groups)| {
            // Larger than the image it could only be refused.
            let kernel = [c_out * groups, c_in, kh.min(h + 2 * padding), kw.min(w + 2 * padding)];
            Conv::new([n, c_in * groups, h, w], kernel, stride, padding, groups)
        });
    let transformed = ([0..3usize, 14..40usize, 1..12usize, 1..12usize], 14..40usize, 0..4usize).prop_map(
        |([n, c_in, h, w], c_out, padding)| {
            let kernel = [3.min(h + 2 * padding), 3.min(w + 2 * padding)];
            Conv::new([n, c_in, h, w], [c_out, c_in, kernel[0], kernel[1]], 1, padding, 1)
        },
    );
    let channels = ([1..3usize, 5..40usize, 1..9usize, 1..9usize], 1..40usize, 1..3usize, 1..3usize, 0..2usize);
    let tiles = channels.prop_map(|([n, c_in, h, w], c_out, side, stride, padding)| {
        let kernel = [side.min(h + 2 * padding), side.min(w + 2 * padding)];
        Conv::new([n, c_in, h, w], [c_out, c_in, kernel[0], kernel[1]], stride, padding, 1)
    });
    prop_oneof![2 => any, 2 => transformed, 1 => tiles].prop_map(|shape| shape.expect("made to fit"))
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) accumulate: bool,
    pub(crate) bias: bool,
    activation: Activation,
}

pub(crate) fn endings() -> impl Strategy<Value = Ending> {
    (any::<[bool; 2]>(), activations()).prop_map(|([accumulate, bias], activation)| Ending {
        accumulate,
        bias,
        activation,
    })
}

/// By weights of either kind.
fn forward<E: Element>(
    plan: &Plan,
    shape: &Conv,
    ending: Ending,
    conv2d: impl Fn(Isa, &Conv, &[f32], &[E], Epilogue<'_>, &mut [f32], &mut [f32]) -> Result<(), ShapeError>,
) {
    on_every_isa(plan, |isa, mut frame| {
        let (input, weight) = (frame.input(shape.input_len()), frame.input(shape.weight_len()));
        let role = if ending.accumulate { Role::InOut } else { Role::Out };
        let mut out = frame.buffer(role, Fit::Exact, shape.output_len());
        let bias = frame.buffer(Role::In, if ending.bias { Fit::Exact } else { Fit::Any }, channels(shape));
        let mut scratch = frame.scratch(shape.scratch_len());
        let epilogue = epilogue(ending, &bias);
        let result = conv2d(isa, shape, &input, &weight, epilogue, &mut out, &mut scratch);
        frame.close(result, &[&input, &weight, &out, &bias, &scratch])
    });
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn convolutions_stay_within_their_slices(plan in plans(), shape in shapes(), ending in endings()) {
        forward(&plan, &shape, ending, conv::conv2d);
        forward(&plan, &shape, ending, conv_f16::conv2d);
    }

    #[test]
    fn gradients_by_the_input_stay_within_their_slices(plan in plans(), shape in shapes()) {
        on_every_isa(&plan, |isa, mut frame| {
            let (d_out, weight) = (frame.input(shape.output_len()), frame.input(shape.weight_len()));
            let mut d_input = frame.output(shape.input_len());
            let mut scratch = frame.scratch(shape.d_input_scratch_len());
            let result = conv::conv2d_d_input(isa, &shape, &d_out, &weight, &mut d_input, &mut scratch);
            frame.close(result, &[&d_out, &weight, &d_input, &scratch])
        });
    }

    #[test]
    fn gradients_by_weights_and_bias_stay_within_their_slices(plan in plans(), shape in shapes()) {
        on_every_isa(&plan, |isa, mut frame| {
            let (input, d_out) = (frame.input(shape.input_len()), frame.input(shape.output_len()));
            let mut d_weight = frame.output(shape.weight_len());
            let mut scratch = frame.scratch(shape.d_weight_scratch_len());
            let result = conv::conv2d_d_weight(isa, &shape, &input, &d_out, &mut d_weight, &mut scratch);
            frame.close(result, &[&input, &d_out, &d_weight, &scratch])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (d_out, mut d_bias) = (frame.input(shape.output_len()), frame.output(channels(&shape)));
            let result = conv::conv2d_d_bias(isa, &shape, &d_out, &mut d_bias);
            frame.close(result, &[&d_out, &d_bias])
        });
    }

    #[test]
    fn convolutions_of_bytes_stay_within_their_slices(plan in plans(), shape in shapes(), zero_point in any::<i8>()) {
        on_every_isa(&plan, |isa, mut frame| {
            let (bytes, weight) = (frame.input(shape.input_len()), frame.input(shape.weight_len()));
            let (mut out, mut scratch) = (frame.output(shape.output_len()), frame.scratch(conv_i8::scratch_len(isa, &shape)));
            let input = conv_i8::Input { bytes: &bytes, zero_point };
            let result = conv_i8::conv2d_i32(isa, &shape, input, &weight, &mut out, &mut scratch);
            frame.close(result, &[&bytes, &weight, &out, &scratch])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (bytes, weight) = (frame.input(shape.input_len()), frame.input(shape.weight_len()));
            let by = Constants::new(&mut frame, channels(&shape));
            let (mut out, mut scratch) = (frame.output(shape.output_len()), frame.scratch(conv_i8::scratch_len(isa, &shape)));
            let result = by.requantize().and_then(|by| {
                let input = conv_i8::Input { bytes: &bytes, zero_point };
                conv_i8::conv2d(isa, &shape, input, &weight, by, &mut out, &mut scratch)
            });
            frame.close(result, &[&bytes, &weight, &by.bias, &by.multiplier, &by.shift, &out, &scratch])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (bytes, weight) = (frame.input(shape.input_len()), frame.input(shape.weight_len()));
            let by = Constants::new(&mut frame, channels(&shape));
            let [n, c_out, rows, cols] = shape.output();
            let mut out = frame.output(n * c_out * (rows / 2) * (cols / 2));
            let mut scratch = frame.scratch(conv_i8::pooled_scratch_len(isa, &shape));
            frame.refuse_if(rows < 2 || cols < 2);
            let result = by.requantize().and_then(|by| {
                let input = conv_i8::Input { bytes: &bytes, zero_point };
                conv_i8::conv2d_max_pool2(isa, &shape, input, &weight, by, &mut out, &mut scratch)
            });
            frame.close(result, &[&bytes, &weight, &by.bias, &by.multiplier, &by.shift, &out, &scratch])
        });
    }
}

proptest! {
    #![proptest_config(cases(4000))]

    /// Kernels larger than the padded image, groups that do not divide, sizes whose product overflows: a shape is refused, or all of its
    /// lengths are told and buffers that are too short are refused.
    #[test]
    fn shapes_of_any_size_are_refused_or_lead_to_refusals(
        [n, groups, h, w] in [wild(), wild(), wild(), wild()],
        [c_in, c_out, kh, kw] in [wild(), wild(), wild(), wild()],
        [stride, padding] in [wild(), wild()],
        fits in prop::bool::weighted(0.8),
        side in 0..6usize,
    ) {
        // Half of the time sizes that fit together, as otherwise hardly any shape would.
        let (c_in, c_out) = if fits { (c_in.saturating_mul(groups), c_out.saturating_mul(groups)) } else { (c_in, c_out) };
        let group = if fits { c_in.checked_div(groups).unwrap_or(0) } else { kw };
        let (kh, kw) = if fits { (kh.min(h).min(side), kw.min(w).min(side)) } else { (kh, kw) };
        let Ok(shape) = Conv::new([n, c_in, h, w], [c_out, group, kh, kw], stride, padding, groups) else { return Ok(()) };
        let (input, output) = (shape.input_len(), shape.output_len());
        let _ = (shape.macs(), shape.error_factor(false), shape.error_factor(true), shape.is_transformed(true));
        let needed = [shape.scratch_len(), shape.d_input_scratch_len(), shape.d_weight_scratch_len()];
        prop_assert!(needed.iter().all(|needed| *needed > 0));
        const ROOM: usize = 1 << 16;
        let fits = [input, output, shape.weight_len()].iter().chain(&needed).all(|len| *len <= ROOM);
        if !fits || shape.macs() > 1 << 22 {
            let (isa, none, end) = (Isa::best(), Epilogue::default(), &mut [][..]);
            prop_assert!(input + output + shape.weight_len() == 0 || conv::conv2d(isa, &shape, &[], &[], none, &mut [], end).is_err());
            return Ok(());
        }
        let (x, weight, mut out) = (vec![1.0; input], vec![1.0; shape.weight_len()], vec![f32::NAN; output]);
        let (mut d_x, mut d_weight, mut scratch) = (x.clone(), weight.clone(), vec![f32::NAN; ROOM]);
        let isa = Isa::best();
        prop_assert_eq!(conv::conv2d(isa, &shape, &x, &weight, Epilogue::default(), &mut out, &mut scratch), Ok(()));
        prop_assert_eq!(conv::conv2d_d_input(isa, &shape, &out, &weight, &mut d_x, &mut scratch), Ok(()));
        prop_assert_eq!(conv::conv2d_d_weight(isa, &shape, &x, &out, &mut d_weight, &mut scratch), Ok(()));
        for isa in Isa::available() {
            let needed = conv_i8::scratch_len(isa, &shape);
            if needed <= ROOM {
                let (bytes, weight, mut sums) = (vec![1; input], vec![1; shape.weight_len()], vec![0; output]);
                let input = conv_i8::Input { bytes: &bytes, zero_point: 3 };
                let result = conv_i8::conv2d_i32(isa, &shape, input, &weight, &mut sums, &mut vec![0; needed]);
                prop_assert_eq!(result, Ok(()));
            }
        }
    }
}

pub(crate) fn channels(shape: &Conv) -> usize {
    shape.output()[1]
}

pub(crate) fn epilogue(Ending { accumulate, bias, activation }: Ending, values: &[f32]) -> Epilogue<'_> {
    Epilogue { accumulate, bias: bias.then_some(values), activation }
}

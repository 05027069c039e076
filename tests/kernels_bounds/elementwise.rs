//! Kernels that go through their slices once: activations, sums, dropout, conversions, softmax, requantization and optimizers.

use crate::frame::{Fit, Role, cases, on_every_isa, plans};
use crate::gemm_i8::Constants;
use crate::size::{activations, lengths};
use inkstone::kernels::requantize::{MAX_SHIFT, Multiplier, Requantize};
use inkstone::kernels::{Isa, convert, dropout, elementwise, f16, peak, softmax};
use proptest::prelude::*;

proptest! {
    #![proptest_config(cases(384))]

    #[test]
    fn activations_stay_within_their_slices(plan in plans(), len in lengths(), activation in activations()) {
        on_every_isa(&plan, |isa, mut frame| {
            let mut x = frame.buffer(Role::InOut, Fit::Any, len);
            elementwise::activate(isa, activation, &mut x);
            frame.close(Ok(()), &[&x])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (y, mut dy) = (frame.input(len), frame.in_out(len));
            let result = elementwise::activate_backward(isa, activation, &y, &mut dy);
            frame.close(result, &[&y, &dy])
        });
    }

    #[test]
    fn sums_and_multiples_stay_within_their_slices(plan in plans(), len in lengths(), activation in activations()) {
        on_every_isa(&plan, |isa, mut frame| {
            let (a, b, mut out) = (frame.input(len), frame.input(len), frame.output(len));
            let result = elementwise::add(isa, activation, &a, &b, &mut out);
            frame.close(result, &[&a, &b, &out])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (mut a, b) = (frame.in_out(len), frame.input(len));
            let result = elementwise::add_assign(isa, activation, &mut a, &b);
            frame.close(result, &[&a, &b])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let mut x = frame.buffer(Role::InOut, Fit::Any, len);
            elementwise::scale(isa, 0.75, &mut x);
            frame.close(Ok(()), &[&x])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (x, mut mean) = (frame.input(len), frame.in_out(len));
            let result = elementwise::blend(isa, 0.25, &x, &mut mean);
            frame.close(result, &[&x, &mean])
        });
    }

    #[test]
    fn sums_of_columns_stay_within_their_slices(plan in plans(), rows in 0..9usize, cols in lengths()) {
        on_every_isa(&plan, |isa, mut frame| {
            let (x, mut sums) = (frame.input(rows * cols), frame.output(cols));
            frame.expect(Some(x.len().is_multiple_of(sums.len())));
            let result = elementwise::column_sums(isa, &x, &mut sums);
            frame.close(result, &[&x, &sums])
        });
    }

    #[test]
    fn conversions_stay_within_their_slices(plan in plans(), len in lengths()) {
        on_every_isa(&plan, |isa, mut frame| {
            let (pixels, mut out) = (frame.input(len), frame.output(len));
            let result = elementwise::pixels_to_f32(isa, &pixels, 1.0 / 255.0, -0.5, &mut out);
            frame.close(result, &[&pixels, &out])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (src, mut dst) = (frame.input(len), frame.output(len));
            let result = convert::to_f32(isa, &src, &mut dst);
            frame.close(result, &[&src, &dst])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (src, mut dst) = (frame.input(len), frame.output::<f16>(len));
            let result = convert::to_f16(isa, &src, &mut dst);
            frame.close(result, &[&src, &dst])
        });
    }

    #[test]
    fn dropout_stays_within_its_slices(
        plan in plans(),
        len in lengths(),
        [seed, step, layer] in any::<[u64; 3]>(),
        offset in prop_oneof![any::<u64>(), 0..100u64, (0..400u64).prop_map(|less| u64::MAX - less)],
        keep in prop_oneof![3 => 0.0..=1.0f32, 1 => any::<f32>(), 1 => Just(f32::NAN), 1 => Just(1e-44)],
    ) {
        let key = dropout::Key::new(seed, step).layer(layer);
        let refused = |len: usize| !(keep > 0.0 && keep <= 1.0) || offset.checked_add(len as u64).is_none();
        on_every_isa(&plan, |isa, mut frame| {
            let (x, mut out) = (frame.input(len), frame.output(len));
            frame.refuse_if(refused(out.len()));
            let result = dropout::apply(isa, key, offset, keep, &x, &mut out);
            frame.close(result, &[&x, &out])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let mut x = frame.buffer(Role::InOut, Fit::Any, len);
            frame.refuse_if(refused(x.len()));
            let result = dropout::apply_in_place(isa, key, offset, keep, &mut x);
            frame.close(result, &[&x])
        });
    }

    #[test]
    fn softmax_stays_within_its_slices(plan in plans(), rows in 0..9usize, cols in lengths(), label in any::<u8>()) {
        let whole = |len: usize| if cols == 0 { len == 0 } else { len.is_multiple_of(cols) };
        on_every_isa(&plan, |isa, mut frame| {
            let mut x = frame.in_out(rows * cols);
            frame.expect(Some(whole(x.len())));
            let result = softmax::softmax(isa, &mut x, cols);
            frame.close(result, &[&x])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let mut x = frame.in_out(rows * cols);
            frame.expect(Some(whole(x.len())));
            let result = softmax::log_softmax(isa, &mut x, cols);
            frame.close(result, &[&x])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (mut logits, labels) = (frame.in_out(rows * cols), frame.input::<u8>(rows));
            // One may have no column.
            let labels = labels.map(|i, any| if i == 0 { label } else { (usize::from(any) % cols.max(1)) as u8 });
            let mut losses = frame.output(rows);
            let columns = logits.len().checked_div(labels.len()).unwrap_or(0);
            let whole = logits.len() == columns * labels.len() && losses.len() == labels.len();
            frame.expect(Some(whole && labels.iter().all(|label| usize::from(*label) < columns)));
            let result = softmax::cross_entropy(isa, &mut logits, &labels, 0.5, &mut losses);
            frame.close(result, &[&logits, &labels, &losses])
        });
    }

    #[test]
    fn requantization_stays_within_its_slices(plan in plans(), rows in 0..5usize, channels in lengths()) {
        on_every_isa(&plan, |isa, mut frame| {
            let by = Constants::new(&mut frame, channels);
            let (sums, mut out) = (frame.input(rows * channels), frame.output(rows * channels));
            let given = by.bias.len();
            let whole = sums.is_empty() || given > 0 && sums.len().is_multiple_of(given);
            let agree = given == by.multiplier.len() && given == by.shift.len() && sums.len() == out.len();
            frame.expect(Some(whole && agree));
            let result = by.requantize().and_then(|by| by.rows(isa, &sums, &mut out));
            frame.close(result, &[&by.bias, &by.multiplier, &by.shift, &sums, &out])
        });
    }

    #[test]
    fn limits_are_read_within_their_slices(plan in plans(), len in 0..400usize, rounds in any::<usize>()) {
        on_every_isa(&plan, |isa, mut frame| {
            let data = frame.buffer(Role::In, Fit::Any, len);
            let mut sum = frame.buffer(Role::Out, Fit::AtLeast, 1);
            if let Some(sum) = sum.first_mut() {
                *sum = peak::read(isa, &data);
            }
            frame.expect(None);
            frame.close(Ok(()), &[&data, &sum])
        });
        for isa in Isa::available() {
            let _ = (peak::multiply_adds_flops(isa, rounds), peak::pair_products_ops(isa, rounds));
        }
    }
}

proptest! {
    #![proptest_config(cases(4000))]

    /// Numbers out of their ranges are refused, and all others can be computed with.
    #[test]
    fn constants_of_any_size_are_refused_or_serve(
        bias in any::<[i32; 3]>(),
        multiplier in [anything(), anything(), anything()],
        shift in [shifts(), shifts(), shifts()],
        lens in [2..=3usize, 2..=3usize, 2..=3usize],
        zero_point in any::<i8>(),
        clamp in any::<(i8, i8)>(),
        sums in any::<[i32; 6]>(),
    ) {
        let (bias, multiplier, shift) = (&bias[..lens[0]], &multiplier[..lens[1]], &shift[..lens[2]]);
        let legal = lens[0] == lens[1]
            && lens[0] == lens[2]
            && multiplier.iter().all(|m| *m >= 0)
            && shift.iter().all(|s| (0..=i32::from(MAX_SHIFT)).contains(s))
            && clamp.0 <= clamp.1;
        let requantize = Requantize::new(bias, multiplier, shift, zero_point, clamp);
        prop_assert_eq!(requantize.is_ok(), legal);
        let Ok(requantize) = requantize else { return Ok(()) };
        let mut want = None;
        for isa in Isa::available() {
            let mut out = [0x5a; 6];
            prop_assert_eq!(requantize.rows(isa, &sums, &mut out), Ok(()));
            prop_assert!(out.iter().all(|x| (clamp.0..=clamp.1).contains(x)));
            prop_assert_eq!(*want.get_or_insert(out), out, "{}", isa);
        }
    }

    #[test]
    fn factors_of_any_bits_have_a_multiplier_or_none(bits in any::<u64>(), exponent in 0..1100u64) {
        for factor in [f64::from_bits(bits), f64::from_bits(bits >> 12 | exponent << 52)] {
            let found = Multiplier::of(factor);
            prop_assert_eq!(found.is_some(), factor > 0.0 && factor < 1.0, "{:e}", factor);
            if let Some(Multiplier { multiplier, shift }) = found {
                prop_assert!(multiplier >= 0 && shift <= MAX_SHIFT);
            }
        }
    }
}

fn anything() -> impl Strategy<Value = i32> {
    prop_oneof![8 => 0..=i32::MAX, 1 => any::<i32>(), 1 => prop::sample::select(vec![0, -1, i32::MIN, i32::MAX])]
}

fn shifts() -> impl Strategy<Value = i32> {
    prop_oneof![8 => 0..=31i32, 1 => any::<i32>(), 1 => prop::sample::select(vec![-1, 32, i32::MIN, i32::MAX])]
}

//! Passes over the bytes of quantized networks: sums of two tensors, functions of one byte, poolings, images normalised one by one.

use crate::frame::{Fit, Role, cases, on_every_isa, plans, twice};
use crate::pool::shapes;
use crate::size::{edges, wild};
use inkstone::error::ShapeError;
use inkstone::kernels::elementwise_i8::{self, MAX_SUM_MULTIPLIER, MAX_SUM_SHIFT, Sum};
use inkstone::kernels::pool_i8::{self, Mean};
use inkstone::kernels::requantize;
use inkstone::kernels::standardize_i8::{MAX_PIXELS, MAX_REACH, MAX_SHIFT, Standardize, standardize};
use proptest::prelude::*;

/// A factor on both sides of what is legal, its ends more often than not.
fn factor(most: i64) -> impl Strategy<Value = i32> {
    prop_oneof![
        2 => 0..=most as i32,
        1 => Just(most as i32),
        1 => any::<i32>(),
    ]
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn sums_stay_within_their_slices(
        plan in plans(),
        len in edges(),
        multipliers in [factor(MAX_SUM_MULTIPLIER.into()), factor(MAX_SUM_MULTIPLIER.into())],
        shift in 0..=MAX_SUM_SHIFT + 1,
        (zeros, zero_out, clamp) in any::<([i8; 2], i8, (i8, i8))>(),
    ) {
        let rule = Sum::new(multipliers, zeros, shift, zero_out, clamp);
        let legal = multipliers.iter().all(|m| (0..=MAX_SUM_MULTIPLIER).contains(m)) && shift <= MAX_SUM_SHIFT && clamp.0 <= clamp.1;
        prop_assert_eq!(rule.is_ok(), legal);
        let Ok(rule) = rule else { return Ok(()) };
        on_every_isa(&plan, |isa, mut frame| {
            let (mut a, b) = (frame.buffer(Role::InOut, Fit::Exact, len), frame.input::<i8>(len));
            let result = elementwise_i8::add(isa, &rule, &mut a, &b);
            frame.close(result, &[&a, &b])
        });
    }

    #[test]
    fn functions_of_a_byte_stay_within_their_slices(plan in plans(), len in edges(), seed in any::<u8>()) {
        let mut table = [0; 256];
        for (i, byte) in table.iter_mut().enumerate() {
            *byte = (i as u8).wrapping_mul(101).wrapping_add(seed) as i8;
        }
        twice(&plan, |mut frame| {
            let mut x = frame.buffer(Role::InOut, Fit::Any, len);
            frame.expect(Some(true));
            elementwise_i8::look_up(&table, &mut x);
            frame.close(Ok(()), &[&x])
        });
        twice(&plan, |mut frame| {
            let mut x = frame.buffer(Role::InOut, Fit::Any, len);
            frame.expect(Some(true));
            elementwise_i8::from_pixels(&mut x);
            frame.close(Ok(()), &[&x])
        });
    }

    #[test]
    fn poolings_of_bytes_stay_within_their_slices(
        plan in plans(),
        (_, shape) in shapes(),
        (multiplier, shift) in (any::<i32>(), -1..=i32::from(requantize::MAX_SHIFT) + 1),
        (zero_in, zero_out, clamp) in any::<(i8, i8, (i8, i8))>(),
    ) {
        on_every_isa(&plan, |isa, mut frame| {
            let (x, mut out) = (frame.input::<i8>(shape.input_len()), frame.output(shape.output_len()));
            let result = pool_i8::max_pool2d(isa, &shape, &x, &mut out);
            frame.close(result, &[&x, &out])
        });
        let by = Mean { multiplier, shift, zero_in, zero_out, clamp };
        let legal = multiplier >= 0 && (0..=i32::from(requantize::MAX_SHIFT)).contains(&shift) && clamp.0 <= clamp.1;
        prop_assert_eq!(by.check().is_ok(), legal);
        on_every_isa(&plan, |isa, mut frame| {
            let (x, mut out) = (frame.input::<i8>(shape.input_len()), frame.output(shape.output_len()));
            let lengths = x.len() == shape.input_len() && out.len() == shape.output_len();
            frame.expect(Some(legal && lengths));
            let result = pool_i8::avg_pool2d(isa, &shape, &x, by, &mut out);
            frame.close(result, &[&x, &out])
        });
    }

    #[test]
    fn images_normalised_one_by_one_stay_within_their_slices(
        plan in plans(),
        (images, pixels) in (0..5usize, edges()),
        multiplier in factor(i32::MAX.into()),
        shift in 0..=MAX_SHIFT + 1,
        zero_out in any::<i8>(),
    ) {
        let rule = Standardize::new(pixels, multiplier, shift, zero_out);
        let reach = (multiplier.unsigned_abs() as u64).pow(2).saturating_mul(pixels as u64);
        prop_assert_eq!(rule.is_ok(), pixels > 0 && multiplier > 0 && reach <= MAX_REACH && shift <= MAX_SHIFT);
        let Ok(rule) = rule else { return Ok(()) };
        on_every_isa(&plan, |isa, mut frame| {
            let mut bytes = frame.buffer(Role::InOut, Fit::Any, images * pixels);
            frame.expect(Some(bytes.len().is_multiple_of(pixels)));
            let result = standardize(isa, &rule, &mut bytes);
            frame.close(result, &[&bytes])
        });
    }

    #[test]
    fn images_too_large_for_whole_numbers_are_refused(pixels in wild(), multiplier in 1..i32::MAX) {
        let rule = Standardize::new(pixels, multiplier, 0, 0);
        if pixels > MAX_PIXELS {
            let refused = matches!(rule, Err(ShapeError::Range { .. }));
            prop_assert!(refused);
        }
    }
}

//! What reads bytes of images, and what moves some columns of a matrix.

use crate::conv::{endings, epilogue};
use crate::frame::{Fit, Role, cases, on_every_isa, plans};
use inkstone::kernels::Epilogue;
use inkstone::kernels::columns::{self, Columns};
use inkstone::kernels::pixels::{self, Pixels};
use proptest::prelude::*;
use std::ops::Range;

/// Runs of neighbours that are chosen, of a row of as many columns as there are choices: one at least.
fn runs() -> impl Strategy<Value = (Vec<Range<usize>>, usize)> {
    (prop::collection::vec(prop::bool::weighted(0.7), 1..90), any::<prop::sample::Index>()).prop_map(
        |(mut chosen, one)| {
            let width = chosen.len();
            chosen[one.index(width)] = true;
            let mut runs: Vec<Range<usize>> = Vec::new();
            for at in (0..width).filter(|at| chosen[*at]) {
                match runs.last_mut() {
                    Some(last) if last.end == at => last.end = at + 1,
                    _ => runs.push(at..at + 1),
                }
            }
            (runs, width)
        },
    )
}

proptest! {
    #![proptest_config(cases(384))]

    #[test]
    fn columns_stay_within_their_slices(plan in plans(), (runs, width) in runs(), rows in 0..6usize) {
        let columns = Columns::new(&runs, width).unwrap();
        let count = columns.count();
        on_every_isa(&plan, |isa, mut frame| {
            let (x, mut out) = (frame.input(rows * width), frame.output(rows * count));
            let result = columns::take(isa, columns, &x, &mut out);
            frame.close(result, &[&x, &out])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (x, mut out) = (frame.input(rows * count), frame.output(rows * width));
            let result = columns::put(isa, columns, &x, &mut out);
            frame.close(result, &[&x, &out])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (bytes, mut out) = (frame.input(width), frame.output(count));
            let result = columns::pixels_to_f32(isa, columns, &bytes, 1.0 / 255.0, -0.5, &mut out);
            frame.close(result, &[&bytes, &out])
        });
    }

    #[test]
    fn layers_over_pixels_stay_within_their_slices(
        plan in plans(),
        [rows, width, outputs] in [1..70usize, 1..90usize, 1..24usize],
        ending in endings(),
    ) {
        on_every_isa(&plan, |isa, mut frame| {
            let (bytes, weight) = (frame.input(rows * width), frame.input(outputs * width));
            let role = if ending.accumulate { Role::InOut } else { Role::Out };
            let mut y = frame.buffer(role, Fit::Exact, rows * outputs);
            let bias = frame.buffer(Role::In, if ending.bias { Fit::Exact } else { Fit::Any }, outputs);
            let x = Pixels::new(&bytes, rows, width, 1.0 / 255.0, -0.5);
            let result = x.and_then(|x| pixels::linear(isa, x, &weight, epilogue(ending, &bias), &mut y));
            frame.close(result, &[&bytes, &weight, &y, &bias])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (bytes, d_y) = (frame.input(rows * width), frame.input(rows * outputs));
            let mut d_weight = frame.output(outputs * width);
            let x = Pixels::new(&bytes, rows, width, 1.0 / 255.0, -0.5);
            let result = x.and_then(|x| pixels::linear_d_weight(isa, x, &d_y, &mut d_weight));
            frame.close(result, &[&bytes, &d_y, &d_weight])
        });
        // Mostly dark, with a note of what is not.
        let page: Vec<u8> = (0..rows * width).map(|at| if at / 40 % 4 == 0 { at as u8 } else { 0 }).collect();
        on_every_isa(&plan, |isa, mut frame| {
            let (weight, mut bits) = (frame.input(outputs * width), frame.scratch(Pixels::ink_len(rows, width)));
            let mut y = frame.output(rows * outputs);
            let x = Pixels::new(&page, rows, width, 1.0 / 255.0, 0.0).and_then(|x| x.with_ink(isa, &mut bits));
            let result = x.and_then(|x| pixels::linear(isa, x, &weight, Epilogue::default(), &mut y));
            frame.close(result, &[&weight, &bits, &y])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (d_y, mut bits) = (frame.input(rows * outputs), frame.scratch(Pixels::ink_len(rows, width)));
            let mut d_weight = frame.output(outputs * width);
            let x = Pixels::new(&page, rows, width, 1.0 / 255.0, 0.0).and_then(|x| x.with_ink(isa, &mut bits));
            let result = x.and_then(|x| pixels::linear_d_weight(isa, x, &d_y, &mut d_weight));
            frame.close(result, &[&d_y, &bits, &d_weight])
        });
    }
}

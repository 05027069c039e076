//! Poolings and their gradients.

use crate::frame::{Fit, Role, cases, on_every_isa, plans, twice};
use crate::size::{edges, wild};
use inkstone::error::ShapeError;
use inkstone::kernels::Isa;
use inkstone::kernels::pool::{self, Pool};
use proptest::prelude::*;

pub(crate) fn shapes() -> impl Strategy<Value = ([usize; 4], Pool)> {
    let sides = prop_oneof![1 => Just((2, 2, 2, 0)), 2 => (1..6usize, 1..6usize, 1..5usize, 0..3usize)];
    ((0..3usize, 1..4usize, 1..20usize, edges()), sides).prop_map(|((n, c, h, w), (kh, kw, stride, padding))| {
        let (w, padding) = (w.max(1), padding.min(kh.min(kw) / 2));
        let kernel = [kh.min(h + 2 * padding), kw.min(w + 2 * padding)];
        let padding = padding.min(kernel[0].min(kernel[1]) / 2);
        let kernel = [kernel[0].min(h + 2 * padding), kernel[1].min(w + 2 * padding)];
        ([n, c, h, w], Pool::new([n, c, h, w], kernel, stride, padding.min(kernel[0].min(kernel[1]) / 2)).unwrap())
    })
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn maxima_stay_within_their_slices(plan in plans(), (input, shape) in shapes()) {
        on_every_isa(&plan, |isa, mut frame| {
            let (x, mut out) = (frame.input(shape.input_len()), frame.output(shape.output_len()));
            let mut argmax = frame.output(shape.output_len());
            let result = pool::max_pool2d(isa, &shape, &x, &mut out, &mut argmax);
            frame.close(result, &[&x, &out, &argmax])
        });
        let plane = (input[2] * input[3]) as u32;
        twice(&plan, |mut frame| {
            let (d_out, argmax) = (frame.input(shape.output_len()), frame.input::<u32>(shape.output_len()));
            let (argmax, mut d_x) = (argmax.map(|_, place| place % plane), frame.output(shape.input_len()));
            let result = pool::max_pool2d_backward(&shape, &d_out, &argmax, &mut d_x);
            frame.close(result, &[&d_out, &argmax, &d_x])
        });
    }

    #[test]
    fn means_stay_within_their_slices(plan in plans(), (_, shape) in shapes()) {
        on_every_isa(&plan, |isa, mut frame| {
            let (x, mut out) = (frame.input(shape.input_len()), frame.output(shape.output_len()));
            let result = pool::avg_pool2d(isa, &shape, &x, &mut out);
            frame.close(result, &[&x, &out])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (d_out, mut d_x) = (frame.input(shape.output_len()), frame.output(shape.input_len()));
            let result = pool::avg_pool2d_backward(isa, &shape, &d_out, &mut d_x);
            frame.close(result, &[&d_out, &d_x])
        });
    }

    #[test]
    fn means_of_planes_stay_within_their_slices(plan in plans(), planes in 0..20usize, len in edges()) {
        // Without pixels there is no mean; without planes any number of pixels is right, but input and planes must agree.
        on_every_isa(&plan, |isa, mut frame| {
            let (x, mut out) = (frame.input(planes * len), frame.output(planes));
            frame.expect(Some(len > 0 && x.len() == out.len() * len));
            let result = pool::global_avg_pool(isa, len, &x, &mut out);
            frame.close(result, &[&x, &out])
        });
        twice(&plan, |mut frame| {
            let (d_out, mut d_x) = (frame.input(planes), frame.output(planes * len));
            frame.expect(Some(len > 0 && d_x.len() == d_out.len() * len));
            let result = pool::global_avg_pool_backward(len, &d_out, &mut d_x);
            frame.close(result, &[&d_out, &d_x])
        });
    }

    /// The only error that finds an output begun: what lies around it is left alone even so.
    #[test]
    fn a_place_outside_of_its_plane_is_refused(plan in plans(), (input, shape) in shapes(), bad in any::<prop::sample::Index>()) {
        let plane = input[2] * input[3];
        twice(&plan, |mut frame| {
            let (d_out, places) = (frame.input(shape.output_len()), frame.buffer(Role::In, Fit::Exact, shape.output_len()));
            let wrong = bad.index(places.len().max(1));
            let argmax = places.map(|i, place: u32| if i == wrong { place.max(plane as u32) } else { place % plane as u32 });
            let mut d_x = frame.buffer::<f32>(Role::Scratch, Fit::Exact, shape.input_len());
            frame.refuse_if(!argmax.is_empty());
            let result = pool::max_pool2d_backward(&shape, &d_out, &argmax, &mut d_x);
            frame.close(result, &[&d_out, &argmax, &d_x])
        });
    }
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn shapes_of_any_size_are_refused_or_lead_to_refusals(
        input in [wild(), wild(), wild(), wild()],
        [kh, kw, stride, padding] in [wild(), wild(), wild(), wild()],
        fits in prop::bool::weighted(0.8),
    ) {
        let padding = if fits { padding.min(kh.min(kw) / 2) } else { padding };
        let Ok(shape) = Pool::new(input, [kh, kw], stride, padding) else { return Ok(()) };
        let (input, output) = (shape.input_len(), shape.output_len());
        let isa = Isa::best();
        if input > 1 << 14 || output > 1 << 14 {
            let refused = matches!(pool::avg_pool2d(isa, &shape, &[], &mut []), Err(ShapeError::Length { .. }));
            prop_assert!(refused);
            return Ok(());
        }
        let (x, mut out, mut argmax, mut d_x) = (vec![1.0; input], vec![f32::NAN; output], vec![0; output], vec![0.0; input]);
        prop_assert_eq!(pool::max_pool2d(isa, &shape, &x, &mut out, &mut argmax), Ok(()));
        prop_assert_eq!(pool::max_pool2d_backward(&shape, &out, &argmax, &mut d_x), Ok(()));
        prop_assert_eq!(pool::avg_pool2d(isa, &shape, &x, &mut out), Ok(()));
        prop_assert_eq!(pool::avg_pool2d_backward(isa, &shape, &out, &mut d_x), Ok(()));
    }

    #[test]
    fn planes_of_any_size_are_refused(len in wild(), planes in 0..5usize) {
        let (x, mut out) = ([1.0; 8], [7.0; 5]);
        let result = pool::global_avg_pool(Isa::best(), len, &x, &mut out[..planes]);
        prop_assert_eq!(result.is_ok(), planes.checked_mul(len) == Some(8));
    }
}

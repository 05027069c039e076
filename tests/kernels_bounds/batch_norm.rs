//! Batch normalisation, its statistics and its gradients.

use crate::frame::{cases, on_every_isa, plans, twice};
use crate::size::{activations, edges, three, wild};
use inkstone::kernels::Isa;
use inkstone::kernels::batch_norm::{self, Forward, Grads, Norm, Planes};
use proptest::prelude::*;

fn shapes() -> impl Strategy<Value = Planes> {
    let plane = prop_oneof![1 => Just(1), 3 => edges()];
    three(0..4usize, edges(), plane).prop_map(|[n, c, plane]| Planes::new([n, c.max(1), plane.max(1)]).unwrap())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn statistics_stay_within_their_slices(plan in plans(), shape in shapes()) {
        on_every_isa(&plan, |isa, mut frame| {
            let x = frame.input(shape.len());
            let (mut mean, mut variance) = (frame.output(shape.channels()), frame.output(shape.channels()));
            frame.refuse_if(shape.is_empty());
            let result = batch_norm::statistics(isa, &shape, &x, &mut mean, &mut variance);
            frame.close(result, &[&x, &mean, &variance])
        });
    }

    #[test]
    fn normalised_batches_stay_within_their_slices(plan in plans(), shape in shapes(), activation in activations()) {
        let c = shape.channels();
        on_every_isa(&plan, |isa, mut frame| {
            let (x, mut out) = (frame.input(shape.len()), frame.output(shape.len()));
            let (scale, shift) = (frame.input(c), frame.input(c));
            let result = batch_norm::apply(isa, &shape, &x, [&scale, &shift], activation, &mut out);
            frame.close(result, &[&x, &out, &scale, &shift])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (mut x, scale, shift) = (frame.in_out(shape.len()), frame.input(c), frame.input(c));
            let result = batch_norm::apply_in_place(isa, &shape, &mut x, [&scale, &shift], activation);
            frame.close(result, &[&x, &scale, &shift])
        });
    }

    #[test]
    fn gradients_stay_within_their_slices(plan in plans(), shape in shapes()) {
        let c = shape.channels();
        on_every_isa(&plan, |isa, mut frame| {
            let (x, d_out, mut d_x) = (frame.input(shape.len()), frame.input(shape.len()), frame.output(shape.len()));
            let (mean, inv_std, gamma) = (frame.input(c), frame.input(c), frame.input(c));
            let (mut d_gamma, mut d_beta) = (frame.output(c), frame.output(c));
            let forward = Forward { x: &x, mean: &mean, inv_std: &inv_std, gamma: &gamma };
            let grads = Grads { x: &mut d_x, gamma: &mut d_gamma, beta: &mut d_beta };
            let result = batch_norm::backward(isa, &shape, forward, &d_out, grads);
            frame.close(result, &[&x, &d_out, &d_x, &mean, &inv_std, &gamma, &d_gamma, &d_beta])
        });
    }

    #[test]
    fn halves_of_gradients_stay_within_their_slices(plan in plans(), shape in shapes(), count in 1usize..1000) {
        let c = shape.channels();
        on_every_isa(&plan, |isa, mut frame| {
            let (x, d_out) = (frame.input(shape.len()), frame.input(shape.len()));
            let (mean, inv_std, gamma) = (frame.input(c), frame.input(c), frame.input(c));
            let (mut d_gamma, mut d_beta) = (frame.output(c), frame.output(c));
            let forward = Forward { x: &x, mean: &mean, inv_std: &inv_std, gamma: &gamma };
            let result = batch_norm::backward_sums(isa, &shape, forward, &d_out, [&mut d_gamma, &mut d_beta]);
            frame.close(result, &[&x, &d_out, &mean, &inv_std, &gamma, &d_gamma, &d_beta])
        });
        on_every_isa(&plan, |isa, mut frame| {
            let (x, d_out, mut d_x) = (frame.input(shape.len()), frame.input(shape.len()), frame.output(shape.len()));
            let (mean, inv_std, gamma) = (frame.input(c), frame.input(c), frame.input(c));
            let (d_gamma, d_beta) = (frame.input(c), frame.input(c));
            let forward = Forward { x: &x, mean: &mean, inv_std: &inv_std, gamma: &gamma };
            let sums = [&*d_gamma, &*d_beta];
            let result = batch_norm::backward_input(isa, &shape, forward, &d_out, sums, count, &mut d_x);
            frame.close(result, &[&x, &d_out, &d_x, &mean, &inv_std, &gamma, &d_gamma, &d_beta])
        });
    }

    #[test]
    fn folded_norms_stay_within_their_slices(plan in plans(), c in edges(), eps in any::<f32>()) {
        twice(&plan, |mut frame| {
            let (mean, variance) = (frame.input(c), frame.input::<f32>(c).map(|_, x| x.abs()));
            let (gamma, beta) = (frame.input(c), frame.input(c));
            let (mut scale, mut shift) = (frame.output(c), frame.output(c));
            let norm = Norm { mean: &mean, variance: &variance, gamma: &gamma, beta: &beta, eps };
            let result = norm.fold(&mut scale, &mut shift);
            frame.close(result, &[&mean, &variance, &gamma, &beta, &scale, &shift])
        });
        twice(&plan, |mut frame| {
            let (variance, mut inv_std) = (frame.input(c), frame.output(c));
            let result = batch_norm::inverse_deviation(&variance, eps, &mut inv_std);
            frame.close(result, &[&variance, &inv_std])
        });
    }

    #[test]
    fn shapes_of_any_size_are_refused_or_lead_to_refusals(sizes in [wild(), wild(), wild()]) {
        let Ok(shape) = Planes::new(sizes) else { return Ok(()) };
        let [n, c, plane] = sizes;
        prop_assert_eq!([shape.samples(), shape.channels(), shape.plane()], sizes);
        prop_assert_eq!((shape.count(), shape.len(), shape.is_empty()), (n * plane, n * plane * c, n == 0));
        let result = batch_norm::statistics(Isa::best(), &shape, &[], &mut [], &mut []);
        prop_assert!(result.is_err());
    }
}

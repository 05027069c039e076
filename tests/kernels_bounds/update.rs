//! Steps of the optimizers.

use crate::frame::{Fit, Role, cases, on_every_isa, plans};
use crate::size::lengths;
use inkstone::kernels::update::{self, Penalty, Update};
use proptest::prelude::*;

proptest! {
    #![proptest_config(cases(384))]

    #[test]
    fn updates_stay_within_their_slices(
        plan in plans(),
        len in lengths(),
        rule in 0..5usize,
        penalty in prop_oneof![Just(Penalty::default()), Just(Penalty { l1: 0.01, l2: 0.1 })],
    ) {
        let (lr, mu) = (0.1, 0.9);
        let adam = Update::Adam { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8, bias1: 0.1, bias2: 0.001, decay: 0.01 };
        let rule = [
            Update::Sgd { lr },
            Update::Momentum { lr, mu },
            Update::Ema { lr, mu },
            Update::Nesterov { lr, mu },
            adam,
        ][rule];
        on_every_isa(&plan, |isa, mut frame| {
            let (mut w, g) = (frame.in_out(len), frame.input(len));
            // What a rule has no use for may be of any length, and stays as it was.
            let state = |used| if used { (Role::InOut, Fit::Exact) } else { (Role::In, Fit::Any) };
            let (role, fit) = state(rule == adam);
            let mut m = frame.buffer(role, fit, len);
            let (role, fit) = state(rule != Update::Sgd { lr });
            let mut v = frame.buffer(role, fit, len).map(|_, v: f32| v.abs());
            let result = update::update(isa, rule, penalty, &mut w, &g, &mut m, &mut v);
            frame.close(result, &[&w, &g, &m, &v])
        });
    }
}

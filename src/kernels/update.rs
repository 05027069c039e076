//! Optimizer updates over a run of parameters: weights, gradient and state in one pass.

use super::Isa;
use super::simd::{Kernel, Simd};
use crate::error::ShapeError;

/// What a penalty adds to the gradient before the update: `g + l1·sign(w) + l2·w`, `sign(0) = 0`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Penalty {
    /// Factor of `sign(w)`.
    pub l1: f32,
    /// Factor of `w`: twice the coefficient of a penalty `λ·Σw²`.
    pub l2: f32,
}

/// The rule of one update step with its coefficients; `g` is the gradient with its penalty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Update {
    /// `w -= lr·g`
    Sgd {
        /// Learning rate.
        lr: f32,
    },
    /// Heavy ball: `v = mu·v + g; w -= lr·v`
    Momentum {
        /// Learning rate.
        lr: f32,
        /// Share of the previous velocity.
        mu: f32,
    },
    /// Exponential moving average: `v = mu·v + (1 − mu)·g; w -= lr·v`
    Ema {
        /// Learning rate.
        lr: f32,
        /// Share of the previous average.
        mu: f32,
    },
    /// `v = mu·v + g; w -= lr·(g + mu·v)`
    Nesterov {
        /// Learning rate.
        lr: f32,
        /// Share of the previous velocity.
        mu: f32,
    },
    /// `m = β₁·m + (1 − β₁)·g; v = β₂·v + (1 − β₂)·g²; w = w·(1 − lr·decay) − lr·(m/bias1) / (√(v/bias2) + eps)`
    ///
    /// Moments that turned subnormal (the gradient of a pixel that is rarely lit, some 800 steps on) would cost a hundred times
    /// more: those under 1e-30 are flushed to zero, alike on every instruction set, as velocities are. With `eps` of 1e-8, as published, a flushed
    /// `m` would have moved a weight by under `lr·1e-22`, and a flushed `v` is under the root of 1e-15 beside `eps`: smaller `eps` are not meant.
    Adam {
        /// Learning rate.
        lr: f32,
        /// Decay of the first moment; in f64 because `1 − β` of a rounded β would be off by 1e-5.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root, so that nothing is divided by zero.
        eps: f32,
        /// `1 − β₁ᵗ` at step `t`, from 1.
        bias1: f32,
        /// `1 − β₂ᵗ`.
        bias2: f32,
        /// Decoupled weight decay (AdamW).
        decay: f32,
    },
}

/// Smallest moment that is kept.
const FLUSH: f32 = 1e-30;

/// Applies one step to parameters `w` with gradients `g`.
///
/// `v` is the velocity of momentum, ema and nesterov and the second moment of Adam, `m` Adam's first moment: as long as `w`, or
/// empty where the rule has none.
///
/// # Errors
/// [`ShapeError::Length`] if a slice that the rule uses is not as long as `w`.
pub fn update(
    isa: Isa,
    update: Update,
    penalty: Penalty,
    w: &mut [f32],
    g: &[f32],
    m: &mut [f32],
    v: &mut [f32],
) -> Result<(), ShapeError> {
    let uses = |what, used: bool, got| {
        if used && got != w.len() { Err(ShapeError::Length { what, expected: w.len(), got }) } else { Ok(()) }
    };
    uses("the gradient", true, g.len())?;
    uses("the velocity or second moment", !matches!(update, Update::Sgd { .. }), v.len())?;
    uses("the first moment", matches!(update, Update::Adam { .. }), m.len())?;
    match update {
        Update::Sgd { lr } => isa.run(Sgd { lr, penalty, w, g }),
        Update::Momentum { lr, mu } => isa.run(Velocity { lr, mu, fresh: 1.0, ahead: None, penalty, w, g, v }),
        Update::Ema { lr, mu } => isa.run(Velocity { lr, mu, fresh: 1.0 - mu, ahead: None, penalty, w, g, v }),
        Update::Nesterov { lr, mu } => isa.run(Velocity { lr, mu, fresh: 1.0, ahead: Some(mu), penalty, w, g, v }),
        Update::Adam { lr, beta1, beta2, eps, bias1, bias2, decay } => {
            // m/bias1 and the root of 1/bias2 go into two factors: lr·(m/bias1)/(√(v/bias2) + eps)
            //   = (lr·√bias2/bias1)·m / (√v + eps·√bias2)
            let root = bias2.sqrt();
            let step = lr * root / bias1;
            isa.run(Adam { step, beta1, beta2, eps: eps * root, keep: 1.0 - lr * decay, penalty, w, g, m, v });
        }
    }
    Ok(())
}

/// One register of parameters at a time; the last one is filled up with zeros, which every rule keeps finite.
macro_rules! for_each_register {
    ($simd:ident, $S:ident, $len:expr, |$at:ident, $load:ident, $store:ident| $full:block) => {{
        let len = $len;
        let mut from = 0;
        while from + $S::LANES <= len {
            let $at = from..from + $S::LANES;
            macro_rules! $load { ($slice:expr) => { $simd.load(&$slice[$at.clone()]) }; }
            macro_rules! $store { ($value:expr, $slice:expr) => { $simd.store($value, &mut $slice[$at.clone()]) }; }
            $full
            from += $S::LANES;
        }
        if from < len {
            let $at = from..len;
            macro_rules! $load { ($slice:expr) => { $simd.load_partial(&$slice[$at.clone()]) }; }
            macro_rules! $store { ($value:expr, $slice:expr) => { $simd.store_partial($value, &mut $slice[$at.clone()]) }; }
            $full
        }
    }};
}

/// `g + l1·sign(w) + l2·w`; `g` alone if not `ON`.
#[inline(always)]
fn penalised<S: Simd, const ON: bool>(simd: S, penalty: Penalty, w: S::F32, g: S::F32) -> S::F32 {
    if !ON {
        return g;
    }
    let zero = simd.splat(0.0);
    let g = simd.mul_add(simd.splat(penalty.l2), w, g);
    let pull = simd.splat(penalty.l1);
    let signed = simd.select_lt(zero, w, pull, simd.select_lt(w, zero, simd.splat(-penalty.l1), zero));
    simd.add(g, signed)
}

struct Sgd<'a> {
    lr: f32,
    penalty: Penalty,
    w: &'a mut [f32],
    g: &'a [f32],
}

impl Kernel for Sgd<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        // Most steps have no penalty, which would be half of the arithmetic.
        if self.penalty == Penalty::default() { self.run::<S, false>(simd) } else { self.run::<S, true>(simd) }
    }
}

impl Sgd<'_> {
    #[inline(always)]
    fn run<S: Simd, const ON: bool>(self, simd: S) {
        let Self { lr, penalty, w, g } = self;
        let (g, lr) = (&g[..w.len()], simd.splat(-lr));
        for_each_register!(simd, S, w.len(), |at, load, store| {
            let old = load!(w);
            let gradient = penalised::<S, ON>(simd, penalty, old, load!(g));
            store!(simd.mul_add(lr, gradient, old), w);
        });
    }
}

struct Velocity<'a> {
    lr: f32,
    mu: f32,
    /// Share of the gradient in the velocity.
    fresh: f32,
    /// Nesterov looks this far ahead along the velocity.
    ahead: Option<f32>,
    penalty: Penalty,
    w: &'a mut [f32],
    g: &'a [f32],
    v: &'a mut [f32],
}

impl Kernel for Velocity<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        // Most steps have no penalty, which would be half of the arithmetic.
        if self.penalty == Penalty::default() { self.run::<S, false>(simd) } else { self.run::<S, true>(simd) }
    }
}

impl Velocity<'_> {
    #[inline(always)]
    fn run<S: Simd, const ON: bool>(self, simd: S) {
        let Self { lr, mu, fresh, ahead, penalty, w, g, v } = self;
        let (g, v, lr) = (&g[..w.len()], &mut v[..w.len()], simd.splat(-lr));
        let (mu, fresh) = (simd.splat(mu), simd.splat(fresh));
        for_each_register!(simd, S, w.len(), |at, load, store| {
            let old = load!(w);
            let gradient = penalised::<S, ON>(simd, penalty, old, load!(g));
            let velocity = flushed(simd, simd.mul_add(mu, load!(v), simd.mul(fresh, gradient)));
            let step = match ahead {
                Some(mu) => simd.mul_add(simd.splat(mu), velocity, gradient),
                None => velocity,
            };
            store!(velocity, v);
            store!(simd.mul_add(lr, step, old), w);
        });
    }
}

struct Adam<'a> {
    step: f32,
    beta1: f64,
    beta2: f64,
    eps: f32,
    keep: f32,
    penalty: Penalty,
    w: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl Kernel for Adam<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        // Most steps have no penalty, which would be half of the arithmetic.
        if self.penalty == Penalty::default() { self.run::<S, false>(simd) } else { self.run::<S, true>(simd) }
    }
}

impl Adam<'_> {
    #[inline(always)]
    fn run<S: Simd, const ON: bool>(self, simd: S) {
        let Self { step, beta1, beta2, eps, keep, penalty, w, g, m, v } = self;
        let (g, m, v) = (&g[..w.len()], &mut m[..w.len()], &mut v[..w.len()]);
        let (new1, new2) = (simd.splat((1.0 - beta1) as f32), simd.splat((1.0 - beta2) as f32));
        let (beta1, beta2, eps) = (simd.splat(beta1 as f32), simd.splat(beta2 as f32), simd.splat(eps));
        let (step, keep) = (simd.splat(-step), simd.splat(keep));
        for_each_register!(simd, S, w.len(), |at, load, store| {
            let old = load!(w);
            let gradient = penalised::<S, ON>(simd, penalty, old, load!(g));
            let first = flushed(simd, simd.mul_add(beta1, load!(m), simd.mul(new1, gradient)));
            let second = simd.mul_add(beta2, load!(v), simd.mul(simd.mul(new2, gradient), gradient));
            let second = flushed(simd, second);
            let quotient = simd.div(first, simd.add(simd.sqrt(second), eps));
            store!(first, m);
            store!(second, v);
            store!(simd.mul_add(step, quotient, simd.mul(keep, old)), w);
        });
    }
}

/// Zero where the magnitude is under [`FLUSH`]; NaN stays.
#[inline(always)]
fn flushed<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let zero = simd.splat(0.0);
    let upper = simd.select_lt(x, simd.splat(FLUSH), zero, x);
    simd.select_lt(x, simd.splat(-FLUSH), x, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: [Update; 6] = [
        Update::Sgd { lr: 0.1 },
        Update::Momentum { lr: 0.1, mu: 0.9 },
        Update::Ema { lr: 0.1, mu: 0.9 },
        Update::Nesterov { lr: 0.1, mu: 0.9 },
        Update::Adam { lr: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, bias1: 0.1, bias2: 0.001, decay: 0.0 },
        Update::Adam { lr: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, bias1: 0.271, bias2: 0.003, decay: 0.05 },
    ];

    /// The rule as its documentation writes it, in f64.
    fn plain(rule: Update, penalty: Penalty, w: f64, g: f64, m: f64, v: f64) -> (f64, f64, f64) {
        let sign = if w > 0.0 {
            1.0
        } else if w < 0.0 {
            -1.0
        } else {
            0.0
        };
        let g = g + f64::from(penalty.l1) * sign + f64::from(penalty.l2) * w;
        match rule {
            Update::Sgd { lr } => (w - f64::from(lr) * g, m, v),
            Update::Momentum { lr, mu } => {
                let v = f64::from(mu) * v + g;
                (w - f64::from(lr) * v, m, v)
            }
            Update::Ema { lr, mu } => {
                let v = f64::from(mu) * v + (1.0 - f64::from(mu)) * g;
                (w - f64::from(lr) * v, m, v)
            }
            Update::Nesterov { lr, mu } => {
                let v = f64::from(mu) * v + g;
                (w - f64::from(lr) * (g + f64::from(mu) * v), m, v)
            }
            Update::Adam { lr, beta1, beta2, eps, bias1, bias2, decay } => {
                let [lr, eps, c1, c2, decay] = [lr, eps, bias1, bias2, decay].map(f64::from);
                let (b1, b2) = (beta1, beta2);
                let m = b1 * m + (1.0 - b1) * g;
                let v = b2 * v + (1.0 - b2) * g * g;
                (w * (1.0 - lr * decay) - lr * (m / c1) / ((v / c2).sqrt() + eps), m, v)
            }
        }
    }

    #[test]
    fn every_rule_matches_its_formula_on_every_isa() {
        for isa in Isa::available() {
            for rule in RULES {
                for penalty in [Penalty::default(), Penalty { l1: 0.01, l2: 0.02 }] {
                    for len in [0, 1, 3, 4, 5, 7, 8, 9, 16, 17, 31] {
                        let value = |i: usize, a: usize| ((i * a) % 13) as f32 * 0.1 - 0.6;
                        let mut w: Vec<f32> = (0..len).map(|i| value(i, 5)).collect();
                        let g: Vec<f32> = (0..len).map(|i| value(i, 7)).collect();
                        let mut m: Vec<f32> = (0..len).map(|i| value(i, 3)).collect();
                        let mut v: Vec<f32> = (0..len).map(|i| value(i, 11).abs()).collect();
                        let before: Vec<_> = (0..len).map(|i| (w[i], g[i], m[i], v[i])).collect();
                        update(isa, rule, penalty, &mut w, &g, &mut m, &mut v).unwrap();
                        for (i, (w0, g, m0, v0)) in before.into_iter().enumerate() {
                            let [w0, g, m0, v0] = [w0, g, m0, v0].map(f64::from);
                            let (w1, m1, v1) = plain(rule, penalty, w0, g, m0, v0);
                            for (got, want) in [(w[i], w1), (m[i], m1), (v[i], v1)] {
                                let near = (f64::from(got) - want).abs() <= 2e-6 * (1.0 + want.abs());
                                assert!(near, "{isa} {rule:?} {len} {i}: {got} {want}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn moments_never_turn_subnormal_and_nan_is_not_flushed() {
        for isa in Isa::available() {
            let mut w = [0.5; 9];
            let (mut m, mut v) = ([1e-20; 9], [1e-25; 9]);
            for _ in 0..2000 {
                update(isa, RULES[4], Penalty::default(), &mut w, &[0.0; 9], &mut m, &mut v).unwrap();
                assert!(m.iter().chain(&v).all(|x| *x == 0.0 || x.is_normal()), "{isa}");
            }
            assert_eq!(m, [0.0; 9]);
            update(isa, RULES[4], Penalty::default(), &mut w, &[f32::NAN; 9], &mut m, &mut v).unwrap();
            assert!(w.iter().chain(&m).chain(&v).all(|x| x.is_nan()), "{isa}");
        }
    }

    #[test]
    fn a_missing_moment_is_refused() {
        let error = update(Isa::SCALAR, RULES[4], Penalty::default(), &mut [0.0; 4], &[0.0; 4], &mut [], &mut [0.0; 4]);
        assert_eq!(error, Err(ShapeError::Length { what: "the first moment", expected: 4, got: 0 }));
    }
}

//! How gradients become updates. The arithmetic is in [`kernels::update`](crate::kernels::update), one pass over weights, gradient and state.

use super::config::{Config, ConfigError};
use super::regularize::{self, Segment};
use super::spread::{Cut, Workers, spread};
use crate::error::ShapeError;
use crate::graph::Graph;
use crate::kernels::Isa;
use crate::kernels::update::{Update, update};
use std::fmt;
use std::str::FromStr;

/// Parameters in a piece of the update: a smaller update costs less than waking a second thread.
const GRAIN: usize = 16 * 1024;

/// Adam's decay rates and guard, as published (Kingma and Ba, 2015) and as PyTorch has them.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPS: f32 = 1e-8;

/// How gradients become updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OptimizerKind {
    /// `w -= lr·g`
    Sgd,
    /// Heavy ball: `v = mu·v + g; w -= lr·v`
    Momentum,
    /// `v = mu·v + (1 - mu)·g; w -= lr·v`
    Ema,
    /// `v = mu·v + g; w -= lr·(g + mu·v)`
    Nesterov,
    /// Adam with bias correction; weight decay in the gradient.
    #[default]
    Adam,
    /// Adam with weight decay apart from the gradient: `w -= lr·weight_decay·w` before the step.
    Adamw,
}

impl OptimizerKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Sgd, Self::Momentum, Self::Ema, Self::Nesterov, Self::Adam, Self::Adamw];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Momentum => "momentum",
            Self::Ema => "ema",
            Self::Nesterov => "nesterov",
            Self::Adam => "adam",
            Self::Adamw => "adamw",
        }
    }

    /// Numbers that it remembers of each parameter.
    #[must_use]
    pub const fn moments(self) -> usize {
        self.has_m() as usize + self.has_v() as usize
    }

    /// Whether it has a velocity, which momentum carries from update to update.
    #[must_use]
    pub const fn has_velocity(self) -> bool {
        self.has_v() && !self.has_m()
    }

    /// Whether it has a first moment `m` beside `v`.
    const fn has_m(self) -> bool {
        matches!(self, Self::Adam | Self::Adamw)
    }

    /// Whether it has a velocity or second moment `v`.
    const fn has_v(self) -> bool {
        !matches!(self, Self::Sgd)
    }
}

impl fmt::Display for OptimizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for OptimizerKind {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| ConfigError::unknown("optimizer", "sgd, momentum, ema, nesterov, adam or adamw", text))
    }
}

/// An optimizer with its state.
#[derive(Clone, Debug)]
pub struct Optimizer {
    kind: OptimizerKind,
    mu: f32,
    decay: f32,
    segments: Vec<Segment>,
    m: Vec<f32>,
    v: Vec<f32>,
}

impl Optimizer {
    /// The optimizer of `config` for the parameters of `graph`, its state zero.
    #[must_use]
    pub fn new(config: &Config, graph: &Graph) -> Self {
        let kind = config.optimizer;
        let zeros = |wanted| vec![0.0; if wanted { graph.param_count() } else { 0 }];
        Self {
            kind,
            mu: config.momentum as f32,
            decay: if kind == OptimizerKind::Adamw { config.weight_decay as f32 } else { 0.0 },
            segments: regularize::segments(graph, regularize::penalties(config)),
            m: zeros(kind.has_m()),
            v: zeros(kind.has_v()),
        }
    }

    /// First moment, or empty.
    #[must_use]
    pub fn m(&self) -> &[f32] {
        &self.m
    }

    /// Velocity or second moment, or empty.
    #[must_use]
    pub fn v(&self) -> &[f32] {
        &self.v
    }

    /// Forgets the gradients so far: the state is zero again.
    pub fn reset(&mut self) {
        self.m.fill(0.0);
        self.v.fill(0.0);
    }

    /// Takes the state of another run of the same optimizer.
    ///
    /// # Errors
    /// [`ShapeError::Length`] if a moment has another length; both are then as they were.
    pub fn restore(&mut self, m: &[f32], v: &[f32]) -> Result<(), ShapeError> {
        for (what, to, from) in [("the first moment", &self.m, m), ("the second moment or velocity", &self.v, v)] {
            if to.len() != from.len() {
                return Err(ShapeError::Length { what, expected: to.len(), got: from.len() });
            }
        }
        self.m.copy_from_slice(m);
        self.v.copy_from_slice(v);
        Ok(())
    }

    /// The coefficients of update `step`, from 0.
    fn coefficients(&self, step: u64, lr: f64) -> Update {
        let (lr, mu) = (lr as f32, self.mu);
        match self.kind {
            OptimizerKind::Sgd => Update::Sgd { lr },
            OptimizerKind::Momentum => Update::Momentum { lr, mu },
            OptimizerKind::Ema => Update::Ema { lr, mu },
            OptimizerKind::Nesterov => Update::Nesterov { lr, mu },
            OptimizerKind::Adam | OptimizerKind::Adamw => {
                let t = i32::try_from(step).unwrap_or(i32::MAX - 1) + 1; // by then both corrections are 1
                Update::Adam {
                    lr,
                    beta1: BETA1,
                    beta2: BETA2,
                    eps: EPS,
                    bias1: (1.0 - BETA1.powi(t)) as f32,
                    bias2: (1.0 - BETA2.powi(t)) as f32,
                    decay: self.decay,
                }
            }
        }
    }

    /// Update `step` (from 0) of `params` by the gradient `grads`, on the current rayon pool. Does not allocate.
    ///
    /// # Errors
    /// [`ShapeError::Length`] if `params` or `grads` are not as long as the graph's parameters.
    pub fn step(&mut self, isa: Isa, step: u64, lr: f64, params: &mut [f32], grads: &[f32]) -> Result<(), ShapeError> {
        self.step_noting(isa, step, lr, params, grads, &Workers::default())
    }

    pub(super) fn step_noting(
        &mut self,
        isa: Isa,
        step: u64,
        lr: f64,
        params: &mut [f32],
        grads: &[f32],
        workers: &Workers,
    ) -> Result<(), ShapeError> {
        let expected = self.segments.last().map_or(0, |last| last.range.end);
        for (what, got) in [("the parameters", params.len()), ("the gradient", grads.len())] {
            if got != expected {
                return Err(ShapeError::Length { what, expected, got });
            }
        }
        let coefficients = self.coefficients(step, lr);
        let mut rest = Slices { w: params, g: grads, m: &mut self.m, v: &mut self.v };
        for Segment { range, penalty } in &self.segments {
            let (segment, others) = rest.cut(range.len());
            rest = others;
            spread(segment, GRAIN, &|part: Slices<'_>| {
                workers.note();
                update(isa, coefficients, *penalty, part.w, part.g, part.m, part.v)
            })?;
        }
        Ok(())
    }
}

/// A run of parameters with all that belongs to them; `m` and `v` may be empty.
struct Slices<'a> {
    w: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl Cut for Slices<'_> {
    fn units(&self) -> usize {
        self.w.len()
    }

    fn cut(self, at: usize) -> (Self, Self) {
        let (w, w_rest) = self.w.split_at_mut(at);
        let (g, g_rest) = self.g.split_at(at);
        let (m, m_rest) = self.m.split_at_mut(at.min(self.m.len()));
        let (v, v_rest) = self.v.split_at_mut(at.min(self.v.len()));
        (Self { w, g, m, v }, Self { w: w_rest, g: g_rest, m: m_rest, v: v_rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::random::Random;
    use crate::graph::Op;
    use crate::shape::Shape;

    /// Three steps with the gradients 1, -2, 0.5 on a weight that starts at 1, worked out by hand in f64.
    #[test]
    fn three_steps_by_hand() {
        let graph =
            Graph::sequential(Shape::new(&[1]).unwrap(), &[Op::Linear { in_features: 1, out_features: 1 }]).unwrap();
        let adam = |decay: f64, decoupled: f64| {
            let (mut w, mut m, mut v) = (1.0f64, 0.0, 0.0);
            let mut path = [0.0; 3];
            for (t, g) in [1.0, -2.0, 0.5].into_iter().enumerate() {
                let g = g + decay * w;
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                let t = t as i32 + 1;
                w = w * (1.0 - 0.1 * decoupled)
                    - 0.1 * (m / (1.0 - 0.9f64.powi(t))) / ((v / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8);
                path[t as usize - 1] = w;
            }
            path
        };
        use OptimizerKind::{Adam, Adamw, Ema, Momentum, Nesterov, Sgd};
        let base = Config { lr: 0.1, momentum: 0.5, ..Config::default() };
        let cases = [
            (Config { optimizer: Sgd, ..base.clone() }, [0.9, 1.1, 1.05]),
            // v: 1, -1.5, -0.25
            (Config { optimizer: Momentum, ..base.clone() }, [0.9, 1.05, 1.075]),
            // v: 0.5, -0.75, -0.125
            (Config { optimizer: Ema, ..base.clone() }, [0.95, 1.025, 1.0375]),
            // steps: 1 + 0.5·1, -2 - 0.5·1.5, 0.5 - 0.5·0.25
            (Config { optimizer: Nesterov, ..base.clone() }, [0.85, 1.125, 1.0875]),
            (Config { optimizer: Adam, ..base.clone() }, adam(0.0, 0.0)),
            (Config { optimizer: Adam, weight_decay: 0.3, ..base.clone() }, adam(0.3, 0.0)),
            (Config { optimizer: Adamw, weight_decay: 0.3, ..base.clone() }, adam(0.0, 0.3)),
            // g + 0.25 + 2·0.5·w: 2.25 at 1, -2 + 0.25 + 0.775 at 0.775, 0.5 + 0.25 + 0.8725 at 0.8725
            (Config { optimizer: Sgd, l1: 0.25, l2: 0.5, ..base.clone() }, [0.775, 0.8725, 0.71025]),
        ];
        for (config, want) in cases {
            for isa in Isa::available() {
                let mut optimizer = Optimizer::new(&config, &graph);
                let (mut params, mut bias) = ([1.0f32, 1.0], Vec::new());
                for (step, g) in [1.0f32, -2.0, 0.5].into_iter().enumerate() {
                    optimizer.step(isa, step as u64, config.lr, &mut params, &[g, g]).unwrap();
                    let got = f64::from(params[0]);
                    assert!(
                        (got - want[step]).abs() < 1e-6,
                        "{isa} {} {step}: {got}, want {}",
                        config.optimizer,
                        want[step]
                    );
                    bias.push(params[1]);
                }
                if config.l1 > 0.0 {
                    let close =
                        bias.iter().zip([0.9, 1.1, 1.05]).all(|(got, want): (&f32, f32)| (got - want).abs() < 1e-6);
                    assert!(close, "a bias has no penalty: {bias:?}");
                }
            }
        }
    }

    #[test]
    fn pieces_and_threads_change_no_bit() {
        let shape = Shape::new(&[1, 28, 28]).unwrap();
        let graph = Graph::mlp(&[64], Op::Relu, shape, 10).unwrap();
        let n = graph.param_count();
        assert!(n > 3 * GRAIN);
        let mut random = Random::new(3, "optimizer test", 0);
        let mut draw = || -> Vec<f32> { (0..n).map(|_| random.unit() - 0.5).collect() };
        let (start, gradient) = (draw(), draw());
        for kind in OptimizerKind::ALL {
            let config = Config { optimizer: kind, l1: 0.01, weight_decay: 0.02, ..Config::default() };
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let (mut optimizer, mut params) = (Optimizer::new(&config, &graph), start.clone());
                pool.install(|| {
                    for step in 0..5 {
                        optimizer.step(Isa::best(), step, 0.01, &mut params, &gradient).unwrap();
                    }
                });
                (params, optimizer.m, optimizer.v)
            };
            let one = run(1);
            assert!(one == run(2) && one == run(3), "{kind}");
        }
    }

    #[test]
    fn lengths_are_checked_and_names_go_both_ways() {
        let graph =
            Graph::sequential(Shape::new(&[1]).unwrap(), &[Op::Linear { in_features: 1, out_features: 1 }]).unwrap();
        let mut optimizer = Optimizer::new(&Config::default(), &graph);
        assert!(optimizer.step(Isa::best(), 0, 0.1, &mut [0.0; 3], &[0.0; 2]).is_err());
        assert!(optimizer.step(Isa::best(), 0, 0.1, &mut [0.0; 2], &[0.0; 1]).is_err());
        assert!(optimizer.restore(&[0.0; 2], &[]).is_err());
        assert!(optimizer.restore(&[0.0; 2], &[1.0; 2]).is_ok());
        for kind in OptimizerKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!("SGD".parse::<OptimizerKind>().unwrap_err().key, "optimizer");
    }
}

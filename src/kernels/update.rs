//! stub: Optimizer update loops over flat parameters: one pass, weights, gradient and state together.
use super::Isa;
use crate::error::ShapeError;

/// What a penalty adds to the gradient before the update: `g + l1 * sign(w) + l2 * w` (`l2` here is the whole factor of w).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Penalty { /// factor of sign(w)
    pub l1: f32, /// factor of w
    pub l2: f32 }

/// The coefficients of one update step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Update {
    /// `w -= lr * g`
    Sgd { lr: f32 },
    /// `v = mu*v + g; w -= lr * v`
    Momentum { lr: f32, mu: f32 },
    /// `v = mu*v + (1-mu)*g; w -= lr * v`
    Ema { lr: f32, mu: f32 },
    /// `v = mu*v + g; w -= lr * (g + mu*v)`
    Nesterov { lr: f32, mu: f32 },
    /// `m = b1*m + (1-b1)*g; v = b2*v + (1-b2)*g^2; w = w*(1 - lr*decay) - lr * (m/bias1) / (sqrt(v/bias2) + eps)`
    Adam { lr: f32, beta1: f32, beta2: f32, eps: f32, bias1: f32, bias2: f32, decay: f32 },
}

/// Applies one step to a run of parameters. `v` is used by Momentum, Ema, Nesterov and Adam (second moment for Adam), `m` by Adam (first moment);
/// pass empty slices where unused.
pub fn update(_isa: Isa, update: Update, penalty: Penalty, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) -> Result<(), ShapeError> {
    for i in 0..w.len() {
        let sign = if w[i] > 0.0 { 1.0 } else if w[i] < 0.0 { -1.0 } else { 0.0 };
        let g = g[i] + penalty.l1 * sign + penalty.l2 * w[i];
        match update {
            Update::Sgd { lr } => w[i] -= lr * g,
            Update::Momentum { lr, mu } => { v[i] = mu * v[i] + g; w[i] -= lr * v[i]; }
            Update::Ema { lr, mu } => { v[i] = mu * v[i] + (1.0 - mu) * g; w[i] -= lr * v[i]; }
            Update::Nesterov { lr, mu } => { v[i] = mu * v[i] + g; w[i] -= lr * (g + mu * v[i]); }
            Update::Adam { lr, beta1, beta2, eps, bias1, bias2, decay } => {
                m[i] = beta1 * m[i] + (1.0 - beta1) * g; v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                w[i] = w[i] * (1.0 - lr * decay) - lr * (m[i] / bias1) / ((v[i] / bias2).sqrt() + eps);
            }
        }
    }
    Ok(())
}

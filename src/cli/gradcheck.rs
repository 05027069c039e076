//! `inkstone gradcheck`: are the gradients that train the derivatives of the loss?

use super::{End, Screen, Usage};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use inkstone::train::gradcheck::{GradcheckError, NetworkSpec, Options, gradcheck};
use inkstone::train::{ActivationKind, ModelSpec};

/// Check every parameter's gradient of small networks of every op; exit code 1 if one is wrong.
///
/// (a) The formulas: the backward pass in f64 against central differences. (b) The code that trains: its f32 backward
/// pass, on every instruction set of this machine, against the f64 one, within the rounding bound of its arithmetic.
#[derive(Args)]
pub(crate) struct Gradcheck {
    /// Check this network instead of the standard ones, as train --model takes it, for samples of 4 x 5 pixels
    #[arg(long, value_name = "MODEL")]
    model: Option<ModelSpec>,
    /// Function between the layers of --model mlp:.. [default: relu]
    #[arg(long, value_name = "NAME", requires = "model")]
    #[arg(value_parser = PossibleValuesParser::new(["relu", "tanh", "sigmoid"]).try_map(|name| name.parse::<ActivationKind>()))]
    activation: Option<ActivationKind>,
    /// Step of the central differences, at most 0.001: above this their truncation error exceeds the tolerance. Batch norms, which
    /// the standard networks have, take at most some 0.00005
    #[arg(long, value_name = "X", default_value_t = 1e-5, allow_hyphen_values = true)]
    eps: f64,
    /// Seed of weights, inputs and labels
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// A central difference is off by a part `h² / 6` of the third derivative, relative to the first: here under a half of the tolerance.
const MAX_EPS: f64 = 1e-3;

impl Gradcheck {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let mut options = Options::standard(self.seed)?;
        options.eps = self.eps;
        if !(self.eps > 0.0 && self.eps <= MAX_EPS) {
            let (rule, found) = ("beyond, what the step leaves is more than the check allows", self.eps);
            return Err(Usage::error(format_args!(
                "--eps: {rule}: expected a number above 0 and at most {MAX_EPS}, found {found}"
            )));
        }
        if let Some(model) = &self.model {
            if self.activation.is_some() && model.hidden().is_empty() {
                let (rule, expected) = ("what stands between the layers of an mlp", "--model mlp:4, for example");
                return Err(Usage::error(format_args!("--activation: {rule}: expected {expected}, found {model}")));
            }
            let activation = self.activation.unwrap_or(ActivationKind::Relu);
            options.networks = vec![NetworkSpec::of(model, activation).map_err(Usage::error)?];
        }
        let report = gradcheck(&options).map_err(|error| match error {
            GradcheckError::Eps(_) | GradcheckError::TooLarge { .. } => Usage::error(error),
            other => other.into(),
        })?;
        screen.say(&report);
        screen.answer("gradcheck", &report);
        Ok(if report.passed { End::Done } else { End::Refuted })
    }
}

//! Which network: by name, by widths, or by a file of layers; and what is put into it.

mod file;
mod variant;

pub use variant::Variant;
pub(super) use variant::with_dropout;

use super::TrainError;
use super::config::{ActivationKind, ConfigError};
use crate::graph::Graph;
use crate::shape::Shape;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Most hidden layers and most units in one: beyond any use here, below any overflow.
const MAX_HIDDEN: usize = 64;
const MAX_WIDTH: usize = 1 << 20;

/// Which network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSpec {
    /// Softmax regression: one linear layer. `linear`
    Linear,
    /// A multilayer perceptron of these hidden widths. `mlp:512,256`
    Mlp(Vec<usize>),
    /// A network of ours. `cnn`
    Preset(Preset),
    /// The layers in a TOML file. `FILE.toml`
    File(PathBuf),
    /// Another one with more in it. `cnn+batch-norm+residual`
    Varied(Box<ModelSpec>, Variant),
}

/// A network of ours, by name; each is a file of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Two convolutions and two linear layers.
    Cnn,
    /// Three convolutions and two linear layers, small enough for a microcontroller.
    CnnSmall,
    /// Three convolutions with batch norms, for a chip with 5 kB of RAM.
    CnnTiny,
    /// Two convolutions and a linear layer: what microcontrollers are compared by.
    Cnn816,
    /// Five convolutions with batch norms, the most accurate.
    CnnDeep,
    /// Two residual blocks.
    ResnetSmall,
}

impl Preset {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Cnn, Self::CnnSmall, Self::CnnTiny, Self::Cnn816, Self::CnnDeep, Self::ResnetSmall];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cnn => "cnn",
            Self::CnnSmall => "cnn-small",
            Self::CnnTiny => "cnn-tiny",
            Self::Cnn816 => "cnn-8-16",
            Self::CnnDeep => "cnn-deep",
            Self::ResnetSmall => "resnet-small",
        }
    }

    /// Its layers, as a file of one's own would have them.
    #[must_use]
    pub const fn toml(self) -> &'static str {
        match self {
            Self::Cnn => include_str!("cnn.toml"),
            Self::CnnSmall => include_str!("cnn-small.toml"),
            Self::CnnTiny => include_str!("cnn-tiny.toml"),
            Self::Cnn816 => include_str!("cnn-8-16.toml"),
            Self::CnnDeep => include_str!("cnn-deep.toml"),
            Self::ResnetSmall => include_str!("resnet-small.toml"),
        }
    }
}

impl ModelSpec {
    /// The hidden widths of a multilayer perceptron, none of others.
    #[must_use]
    pub fn hidden(&self) -> &[usize] {
        match self {
            Self::Mlp(hidden) => hidden,
            Self::Varied(base, _) => base.hidden(),
            _ => &[],
        }
    }

    /// The file of layers, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Varied(base, _) => base.file(),
            _ => None,
        }
    }

    /// The name with dashes only, as directories are named: "mlp-512-256", "cnn", "my-net" of `nets/my-net.toml`, "cnn-residual".
    #[must_use]
    pub fn slug(&self) -> String {
        match self {
            Self::File(file) => file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Varied(base, variant) => base.slug() + &variant.to_string().replace('+', "-"),
            _ => self.to_string().replace([':', ','], "-"),
        }
    }

    /// The network for samples of shape `input`; `activation` stands between the layers of a perceptron.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the file and the layer at fault, or what has no place in the network; [`TrainError::Graph`] if the layers make
    /// no network.
    pub fn graph(&self, activation: ActivationKind, input: Shape, classes: usize) -> Result<Graph, TrainError> {
        match self {
            Self::Linear | Self::Mlp(_) => Ok(Graph::mlp(self.hidden(), activation.op(), input, classes)?),
            Self::Preset(preset) => Ok(file::parse(preset.name(), preset.toml(), input, classes)?),
            Self::File(path) => Ok(file::read(path, input, classes)?),
            Self::Varied(base, variant) => variant.apply(base, base.graph(activation, input, classes)?),
        }
    }
}

impl fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear => f.write_str("linear"),
            Self::Mlp(hidden) => {
                let widths: Vec<String> = hidden.iter().map(usize::to_string).collect();
                write!(f, "mlp:{}", widths.join(","))
            }
            Self::Preset(preset) => f.write_str(preset.name()),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Varied(base, variant) => write!(f, "{base}{variant}"),
        }
    }
}

impl FromStr for ModelSpec {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let expected = "linear, mlp:512,256 with widths of your choice, cnn, cnn-small, cnn-tiny, cnn-8-16, cnn-deep, resnet-small or FILE.toml, each also with \
            +batch-norm, +residual or both behind it";
        let refuse = |rule, found: &str| ConfigError::new("model", rule, expected, found);
        let (name, variant) = Variant::split(text)?;
        if variant != Variant::default() {
            return Ok(Self::Varied(Box::new(name.parse()?), variant));
        }
        if text == "linear" {
            return Ok(Self::Linear);
        }
        if let Some(preset) = Preset::ALL.into_iter().find(|preset| preset.name() == text) {
            return Ok(Self::Preset(preset));
        }
        if text.ends_with(".toml") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let Some(widths) = text.strip_prefix("mlp:") else {
            return Err(refuse("a known network", &format!("{text:?}")));
        };
        let mut hidden = Vec::new();
        for width in widths.split(',') {
            let width_rule = "a hidden width is a whole number from 1 to 1048576";
            match width.trim().parse() {
                Ok(width) if (1..=MAX_WIDTH).contains(&width) => hidden.push(width),
                _ => return Err(refuse(width_rule, &format!("{width:?} in {text:?}"))),
            }
            if hidden.len() > MAX_HIDDEN {
                return Err(refuse("at most 64 hidden layers", "more"));
            }
        }
        Ok(Self::Mlp(hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_make_directories() {
        let slugs = [
            ("linear", "linear"),
            ("mlp:512,256", "mlp-512-256"),
            ("cnn", "cnn"),
            ("resnet-small", "resnet-small"),
            ("nets/my-net.toml", "my-net"),
            ("nets/a+residual.toml", "a+residual"),
            ("cnn-small+batch-norm+residual", "cnn-small-batch-norm-residual"),
            ("cnn+residual", "cnn-residual"),
            ("mlp:512,256+batch-norm", "mlp-512-256-batch-norm"),
            ("nets/my-net.toml+residual", "my-net-residual"),
        ];
        for (name, slug) in slugs {
            let spec: ModelSpec = name.parse().unwrap();
            assert_eq!((spec.to_string(), spec.slug()), (name.to_owned(), slug.to_owned()));
        }
        let [swapped, sorted] = ["cnn+residual+batch-norm", "cnn+batch-norm+residual"].map(str::parse::<ModelSpec>);
        assert_eq!(swapped, sorted);
        for bad in ["cnn+residual+residual", "cnn+batch-norm+residual+batch-norm", "cnn+batchnorm", "+residual", "cnn+"]
        {
            let error = bad.parse::<ModelSpec>().unwrap_err().to_string();
            assert!(error.starts_with("model: ") && error.contains("expected"), "{error}");
        }
        let error = "resnet".parse::<ModelSpec>().unwrap_err().to_string();
        assert!(error.contains("resnet-small") && error.contains("\"resnet\""), "{error}");
    }

    /// The sizes that the comments in the files promise.
    #[test]
    fn presets_are_as_large_as_they_say() {
        let input = Shape::new(&[1, 28, 28]).unwrap();
        let sizes = [
            (Preset::Cnn, 1_625_866, 32.6),
            (Preset::CnnSmall, 115_000, 3.2),
            (Preset::CnnDeep, 279_000, 44.0),
            (Preset::ResnetSmall, 204_000, 37.0),
        ];
        for (preset, parameters, mega_flops) in sizes {
            let graph = ModelSpec::Preset(preset).graph(ActivationKind::Relu, input, 10).unwrap();
            let (found, flops) = (graph.param_count() as f64, graph.flops() as f64 / 1e6);
            println!("{}: {found} parameters, {flops} MFLOP", preset.name());
            assert!((found / f64::from(parameters) - 1.0).abs() < 0.05, "{}: {found}", preset.name());
            assert!((flops / mega_flops - 1.0).abs() < 0.05, "{}: {flops}", preset.name());
            assert_eq!(graph.classes(), 10);
        }
    }
}

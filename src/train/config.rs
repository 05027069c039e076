//! Everything that decides a run, as the command line and `config.toml` write it.

use super::average::Average;
use super::bias::BiasKind;
use super::init::Initializer;
use super::loss::Reduction;
use super::model::{ModelSpec, with_dropout};
use super::optimizer::OptimizerKind;
use super::schedule::Schedule;
use crate::data::dataset::Source;
use crate::data::{Augment, NormalizeKind, Splits, ValSize};
use crate::graph::{Graph, Op, Probability};
use crate::kernels::Activation;
use crate::shape::Shape;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Most threads that may be asked for.
const MAX_THREADS: usize = 1024;

/// What `patience` asks for.
const NEEDS_VAL: &str = "early stopping needs a validation set";

/// A value of the configuration that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {rule}: expected {expected}, found {found}")]
pub struct ConfigError {
    /// The flag, without dashes before it: "weight-decay". With underscores, the key in a file. A file's name where the whole file is at fault.
    pub key: String,
    /// The rule that is broken.
    pub rule: &'static str,
    /// What would have been right.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl ConfigError {
    /// A broken rule.
    pub fn new(key: impl ToString, rule: &'static str, expected: impl ToString, found: impl ToString) -> Self {
        Self { key: key.to_string(), rule, expected: expected.to_string(), found: found.to_string() }
    }

    /// The same, found in the file `place`.
    #[must_use]
    pub fn at(self, place: &Path) -> Self {
        Self { key: format!("{}: {}", place.display(), self.key), ..self }
    }

    /// The same, of a key that a file spells with underscores.
    #[must_use]
    pub fn in_file(self) -> Self {
        Self { key: self.key.replace('-', "_"), ..self }
    }

    /// `text` is none of the names of `key`.
    pub(super) fn unknown(key: &'static str, expected: &str, text: &str) -> Self {
        Self::new(key, "a known name", expected, format!("{text:?}"))
    }
}

/// What stands between linear layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActivationKind {
    /// `max(x, 0)`
    #[default]
    Relu,
    /// `tanh(x)`
    Tanh,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
}

impl ActivationKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Relu, Self::Tanh, Self::Sigmoid];

    /// The op of the graph.
    #[must_use]
    pub const fn op(self) -> Op {
        match self {
            Self::Relu => Op::Relu,
            Self::Tanh => Op::Tanh,
            Self::Sigmoid => Op::Sigmoid,
        }
    }

    /// The function of the kernels.
    #[must_use]
    pub const fn activation(self) -> Activation {
        match self {
            Self::Relu => Activation::Relu,
            Self::Tanh => Activation::Tanh,
            Self::Sigmoid => Activation::Sigmoid,
        }
    }
}

impl fmt::Display for ActivationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.op().name())
    }
}

impl FromStr for ActivationKind {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let found = Self::ALL.into_iter().find(|kind| kind.op().name() == text);
        found.ok_or_else(|| ConfigError::unknown("activation", "relu, tanh or sigmoid", text))
    }
}

/// SHA-256 of the raw files that a run read, in hex; a later run of its `config.toml` refuses others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetHashes {
    /// Training images.
    pub train_images: String,
    /// Training labels.
    pub train_labels: String,
    /// Test images.
    pub test_images: String,
    /// Test labels.
    pub test_labels: String,
}

impl DatasetHashes {
    /// Those of loaded data.
    #[must_use]
    pub fn of(data: &Splits) -> Self {
        let ([train_images, train_labels], [test_images, test_labels]) =
            (data.train.sha256().clone(), data.test.sha256().clone());
        Self { train_images, train_labels, test_images, test_labels }
    }
}

/// Most pixels that images are moved by.
pub const MAX_SHIFT: u8 = 8;

fn is_zero<T: Default + PartialEq>(x: &T) -> bool {
    *x == T::default()
}

fn is_false(x: &bool) -> bool {
    !*x
}

/// Everything that decides a run. [`Default`] is 784-512-10 with ReLU, Adam at 1e-3, cosine, batches of 200, 15 epochs, seed 1.
///
/// As TOML each field is a key, with the text of the flag of the same name; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which network.
    #[serde(with = "text")]
    pub model: ModelSpec,
    /// What stands between its layers.
    #[serde(with = "text")]
    pub activation: ActivationKind,
    /// Probability of losing an element in front of each linear layer, but none that reads the picture itself.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropout: f64,
    /// How first weights are drawn.
    #[serde(with = "text")]
    pub initializer: Initializer,
    /// What biases count as.
    #[serde(with = "text")]
    pub bias: BiasKind,
    /// Where the digits are.
    #[serde(with = "text")]
    pub data: Source,
    /// How pixels become inputs.
    #[serde(with = "text")]
    pub normalize: NormalizeKind,
    /// How training images are changed, anew in each epoch; evaluation shows them as they are.
    #[serde(with = "text")]
    pub augment: Augment,
    /// How much of the train set is kept for validation; nothing if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<ValSize>,
    /// How gradients become updates.
    #[serde(with = "text")]
    pub optimizer: OptimizerKind,
    /// Learning rate, before the schedule.
    pub lr: f64,
    /// `mu` of momentum, ema and nesterov.
    pub momentum: f64,
    /// Whether the velocity of momentum, ema and nesterov starts from 0 in every epoch.
    #[serde(skip_serializing_if = "is_false")]
    pub reset_velocity: bool,
    /// Decay of the weights: `weight_decay · w` added to the gradient of every parameter as PyTorch does, or decoupled for adamw.
    pub weight_decay: f64,
    /// How the learning rate changes.
    #[serde(with = "text")]
    pub schedule: Schedule,
    /// Updates over which the learning rate rises linearly: update `i` of them, from 1, uses `i / warmup` of the scheduled rate.
    pub warmup: u64,
    /// Whether a batch's gradients are averaged or summed.
    #[serde(with = "text")]
    pub reduction: Reduction,
    /// `l1 · Σ|w|` over weights, and biases that are an input's: adds `l1 · sign(w)` to the gradient, once per update.
    pub l1: f64,
    /// `l2 · Σw²` over weights, and biases that are an input's: adds `2 · l2 · w` to the gradient, once per update.
    pub l2: f64,
    /// How much of each label is spread evenly over all classes; reported losses are without.
    pub label_smoothing: f64,
    /// Largest Euclidean norm of an update's gradient: a longer one is shortened to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Which average of the weights is evaluated and saved as the result.
    #[serde(with = "text")]
    pub average: Average,
    /// Whether the result is also evaluated with the mean of its probabilities over moves of each image by up to this many pixels.
    #[serde(skip_serializing_if = "is_zero")]
    pub test_shift: u8,
    /// Passes over the training samples.
    pub epochs: u32,
    /// Samples in an update; the last batch of an epoch holds what is left.
    pub batch: usize,
    /// Stops after this many epochs in a row without a lower validation loss and restores the best weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u32>,
    /// Decides the split, the first weights, the order of the samples, how they are augmented and what is dropped out.
    pub seed: u64,
    /// Whether each epoch has its own order of samples.
    pub shuffle: bool,
    /// Trains on the first so many samples (after the split) only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Evaluates the train set after each epoch instead of averaging over the epoch's batches.
    pub exact_train_metrics: bool,
    /// A safetensors file with the first weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Threads; all cores if `None`. Changes no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Instruction set by name; the best of the machine if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isa: Option<String>,
    /// Which files these must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetHashes>,
    /// SHA-256 of the files of layers and of first weights, in hex, by their names here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: ModelSpec::Mlp(vec![512]),
            activation: ActivationKind::Relu,
            dropout: 0.0,
            initializer: Initializer::Pytorch,
            bias: BiasKind::Layer,
            data: Source::Mnist,
            normalize: NormalizeKind::Unit,
            augment: Augment::NONE,
            split: None,
            optimizer: OptimizerKind::Adam,
            lr: 1e-3,
            momentum: 0.9,
            reset_velocity: false,
            weight_decay: 0.0,
            schedule: Schedule::Cosine,
            warmup: 0,
            reduction: Reduction::Mean,
            l1: 0.0,
            l2: 0.0,
            label_smoothing: 0.0,
            clip_norm: None,
            average: Average::None,
            test_shift: 0,
            epochs: 15,
            batch: 200,
            patience: None,
            seed: 1,
            shuffle: true,
            limit: None,
            exact_train_metrics: false,
            init: None,
            threads: None,
            isa: None,
            dataset: None,
            sources: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Checks every value by itself; what depends on the data is checked when the trainer is built.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key, the rule, what was expected and what was found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |good: bool, key: &str, rule, expected: &str, found: &dyn fmt::Display| {
            if good { Ok(()) } else { Err(ConfigError::new(key, rule, expected, found)) }
        };
        self.model.to_string().parse::<ModelSpec>()?; // a spec built in code obeys the rules of a spelled one
        self.drop_probability()?;
        self.schedule.validate()?;
        self.average.validate()?;
        if let Average::Swa { from } = self.average {
            let rule = "an average begins before the run ends";
            let expected = format!("an epoch up to {}", self.epochs);
            check(from <= self.epochs, "average", rule, &expected, &from)?;
        }
        let rule = "images are moved by a few pixels, each way at once: by 8 they are evaluated 289 times";
        check(self.test_shift <= MAX_SHIFT, "test-shift", rule, "0 to 8", &self.test_shift)?;
        let positive = |x: f64| x.is_finite() && x as f32 > 0.0 && (x as f32).is_finite();
        let not_negative = |x: f64| x == 0.0 || positive(x);
        check(positive(self.lr), "lr", "a learning rate is finite and above 0", "for example 0.001", &self.lr)?;
        let rule = "the momentum coefficient is at least 0 and below 1";
        check((0.0..1.0).contains(&self.momentum), "momentum", rule, "for example 0.9", &self.momentum)?;
        let (rule, expected) = ("only a velocity can start anew", "momentum, ema or nesterov");
        let resets = !self.reset_velocity || self.optimizer.has_velocity();
        check(resets, "reset-velocity", rule, expected, &self.optimizer)?;
        let rule = "a penalty is finite and at least 0";
        for (key, value) in [("weight-decay", self.weight_decay), ("l1", self.l1), ("l2", self.l2)] {
            check(not_negative(value), key, rule, "for example 0.0001", &value)?;
        }
        let (rule, smoothing) = ("labels keep at least a part of themselves", self.label_smoothing);
        check((0.0..1.0).contains(&smoothing), "label-smoothing", rule, "at least 0 and below 1", &smoothing)?;
        if let Some(norm) = self.clip_norm {
            let rule = "the largest norm of a gradient is finite and above 0";
            check(positive(norm), "clip-norm", rule, "for example 1.0", &norm)?;
        }
        check(self.epochs >= 1, "epochs", "training takes at least one epoch", "1 or more", &self.epochs)?;
        check(self.batch >= 1, "batch", "a batch holds at least one sample", "1 or more", &self.batch)?;
        check(self.limit != Some(0), "limit", "training needs at least one sample", "1 or more", &0)?;
        check(self.patience != Some(0), "patience", "patience is at least one epoch", "1 or more", &0)?;
        let has_val = self.patience.is_none() || self.split.is_some_and(ValSize::is_some);
        check(has_val, "patience", NEEDS_VAL, "--split above 0 beside --patience", &"no split")?;
        let (batch, limit) = (self.batch as u64, self.limit.unwrap_or(0) as u64);
        for (key, value) in [("seed", self.seed), ("warmup", self.warmup), ("batch", batch), ("limit", limit)] {
            let rule = "a number in config.toml is one of TOML's integers";
            check(i64::try_from(value).is_ok(), key, rule, "at most 9223372036854775807", &value)?;
        }
        if let Some(threads) = self.threads {
            let good = (1..=MAX_THREADS).contains(&threads);
            check(good, "threads", "at least one thread works", "1 to 1024", &threads)?;
        }
        Ok(())
    }

    /// Checks what needs a validation set against the samples that the split leaves for it.
    ///
    /// # Errors
    /// [`ConfigError`] for patience without any.
    pub fn validate_val(&self, samples: usize) -> Result<(), ConfigError> {
        if self.patience.is_none() || samples > 0 {
            return Ok(());
        }
        let split = self.split.unwrap_or(ValSize::Count(0));
        let found = format!("none, as the split {split} rounds to");
        Err(ConfigError::new("patience", NEEDS_VAL, "at least one sample of validation", found))
    }

    /// `dropout`, as an op has it.
    fn drop_probability(&self) -> Result<Probability, ConfigError> {
        let rule = "the probability of losing an element is at least 0 and below 1";
        let refuse = || ConfigError::new("dropout", rule, "for example 0.2", self.dropout);
        Probability::new(self.dropout as f32).map_err(|_| refuse())
    }

    /// The network for images of `rows` by `cols` pixels.
    ///
    /// # Errors
    /// [`super::TrainError`] if the layers make no network, a file of layers cannot be read, or the network has no place for what is put into it.
    pub fn graph(&self, rows: usize, cols: usize, classes: usize) -> Result<Graph, super::TrainError> {
        let graph = self.model.graph(self.activation, Shape::new(&[1, rows, cols])?, classes)?;
        if is_zero(&self.dropout) { Ok(graph) } else { with_dropout(&graph, self.drop_probability()?) }
    }

    /// Reads TOML; `place` (a file's name) is for the error.
    ///
    /// # Errors
    /// [`ConfigError`] for anything but TOML with known keys and valid values.
    pub fn from_toml(place: &Path, text: &str) -> Result<Self, ConfigError> {
        let config = Self::parse_toml(place, text)?;
        config.validate().map_err(|error| error.in_file().at(place))?;
        Ok(config)
    }

    /// As [`from_toml`](Self::from_toml), for values that others may still replace: they are not [validated](Self::validate) yet.
    ///
    /// # Errors
    /// [`ConfigError`] for anything but TOML with known keys and values of their types.
    pub fn parse_toml(place: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let found = error.to_string().trim_end().to_owned();
            ConfigError::new(place.display(), "a configuration is TOML with known keys", "keys as the flags", found)
        })
    }

    /// As TOML, which [`from_toml`](Self::from_toml) reads back as the same configuration.
    ///
    /// # Errors
    /// [`ConfigError`] if a value cannot be written, as a path that is not UTF-8.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self)
            .map_err(|error| ConfigError::new("the configuration", "can be written as TOML", "plain values", error))
    }
}

/// Values that are written as on the command line.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::fmt::Display;
    use std::str::FromStr;

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Variant;

    #[test]
    fn toml_reads_back_what_it_wrote() {
        let config = Config {
            model: ModelSpec::Mlp(vec![100, 50, 20]),
            activation: ActivationKind::Sigmoid,
            normalize: NormalizeKind::MeanStd,
            augment: "rotate=10,translate=0.1,elastic=6:2,erase=0.5:0.2".parse().unwrap(),
            split: Some(ValSize::Fraction(0.2)),
            optimizer: OptimizerKind::Nesterov,
            bias: BiasKind::Input,
            dropout: 0.2,
            reset_velocity: true,
            schedule: Schedule::Step { every: 3, factor: 0.5 },
            reduction: Reduction::Sum,
            label_smoothing: 0.1,
            clip_norm: Some(2.5),
            average: Average::Ema { decay: 0.995 },
            test_shift: 2,
            patience: Some(3),
            limit: Some(1000),
            isa: Some("avx2".to_owned()),
            dataset: Some(DatasetHashes {
                train_images: "a".into(),
                train_labels: "b".into(),
                test_images: "c".into(),
                test_labels: "d".into(),
            }),
            sources: BTreeMap::from([("nets/a.toml".to_owned(), "e".to_owned())]),
            ..Config::default()
        };
        for config in [config, Config::default()] {
            let text = config.to_toml().unwrap();
            assert_eq!(Config::from_toml(Path::new("config.toml"), &text).unwrap(), config, "{text}");
        }
        let text = Config::default().to_toml().unwrap();
        assert!(text.contains("lr = 0.001\n"), "written as typed");
        assert!(!text.contains("dropout"), "as before there was any");
    }

    #[test]
    fn a_file_may_leave_keys_out_but_invent_none() {
        let read = |text: &str| Config::from_toml(Path::new("my.toml"), text);
        let config = read("model = \"linear\"\nsplit = 10000\nlr = 1\n").unwrap();
        assert_eq!((config.model, config.split, config.lr), (ModelSpec::Linear, Some(ValSize::Count(10000)), 1.0));
        assert_eq!(config.batch, 200);
        for bad in [
            "learning_rate = 1.0",
            "lr = \"fast\"",
            "model = \"mlp:0\"",
            "batch = -1",
            "lr = nan",
            "augment = \"rotate=-1\"",
            "[",
        ] {
            let message = read(bad).unwrap_err().to_string();
            assert!(message.starts_with("my.toml") && message.contains("expected"), "{bad}: {message}");
        }
    }

    #[test]
    fn every_rule_names_its_key_and_the_value() {
        let base = Config::default;
        let residual = Variant { residual: true, ..Variant::default() };
        let twice = ModelSpec::Varied(Box::new("cnn+residual".parse().unwrap()), residual);
        let cases = [
            ("lr", "NaN", Config { lr: f64::NAN, ..base() }),
            ("lr", "-0.1", Config { lr: -0.1, ..base() }),
            ("lr", "0", Config { lr: 0.0, ..base() }),
            ("lr", "inf", Config { lr: f64::INFINITY, ..base() }),
            ("lr", "00000", Config { lr: 1e300, ..base() }),
            ("momentum", "1", Config { momentum: 1.0, ..base() }),
            ("dropout", "1", Config { dropout: 1.0, ..base() }),
            ("dropout", "-0.1", Config { dropout: -0.1, ..base() }),
            ("dropout", "NaN", Config { dropout: f64::NAN, ..base() }),
            ("reset-velocity", "adam", Config { reset_velocity: true, ..base() }),
            ("weight-decay", "-1", Config { weight_decay: -1.0, ..base() }),
            ("l1", "inf", Config { l1: f64::INFINITY, ..base() }),
            ("l2", "NaN", Config { l2: f64::NAN, ..base() }),
            ("label-smoothing", "1", Config { label_smoothing: 1.0, ..base() }),
            ("label-smoothing", "NaN", Config { label_smoothing: f64::NAN, ..base() }),
            ("clip-norm", "0", Config { clip_norm: Some(0.0), ..base() }),
            ("clip-norm", "NaN", Config { clip_norm: Some(f64::NAN), ..base() }),
            ("epochs", "0", Config { epochs: 0, ..base() }),
            ("batch", "0", Config { batch: 0, ..base() }),
            ("limit", "0", Config { limit: Some(0), ..base() }),
            ("patience", "0", Config { patience: Some(0), split: Some(ValSize::Count(10)), ..base() }),
            ("patience", "no split", Config { patience: Some(3), ..base() }),
            ("patience", "no split", Config { patience: Some(3), split: Some(ValSize::Fraction(0.0)), ..base() }),
            ("seed", "18446744073709551615", Config { seed: u64::MAX, ..base() }),
            ("warmup", "9223372036854775808", Config { warmup: 1 << 63, ..base() }),
            ("batch", "9223372036854775808", Config { batch: 1 << 63, ..base() }),
            ("limit", "9223372036854775808", Config { limit: Some(1 << 63), ..base() }),
            ("average", "swa:0", Config { average: Average::Swa { from: 0 }, ..base() }),
            ("average", "16", Config { average: Average::Swa { from: 16 }, ..base() }),
            ("average", "ema:1", Config { average: Average::Ema { decay: 1.0 }, ..base() }),
            ("test-shift", "9", Config { test_shift: 9, ..base() }),
            ("threads", "0", Config { threads: Some(0), ..base() }),
            ("model", "\"0\"", Config { model: ModelSpec::Mlp(vec![0]), ..base() }),
            ("model", "+residual+residual", Config { model: twice, ..base() }),
            ("schedule", "step:0,0.5", Config { schedule: Schedule::Step { every: 0, factor: 0.5 }, ..base() }),
        ];
        for (key, found, config) in cases {
            let error = config.validate().unwrap_err();
            assert_eq!(error.key, key, "{error}");
            assert!(error.found.contains(found), "{error}");
        }
        assert_eq!(base().validate(), Ok(()));
    }

    #[test]
    fn models_are_spelled_as_on_the_command_line() {
        for text in ["linear", "mlp:512", "mlp:100,50,20"] {
            assert_eq!(text.parse::<ModelSpec>().unwrap().to_string(), text);
        }
        assert_eq!("mlp:512,256".parse::<ModelSpec>().unwrap().slug(), "mlp-512-256");
        for bad in ["", "mlp", "mlp:", "mlp:0", "mlp:-1", "mlp:1,,2", "mlp:99999999999999999999", "vgg", "MLP:5"] {
            let message = bad.parse::<ModelSpec>().unwrap_err().to_string();
            assert!(message.starts_with("model: ") && message.contains("expected linear, mlp"), "{message}");
        }
        let deep = format!("mlp:{}", vec!["2"; 65].join(","));
        assert!(deep.parse::<ModelSpec>().is_err());
    }
}

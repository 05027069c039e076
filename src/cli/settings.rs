//! The flags that decide what is trained: they override `--config FILE.toml`, which overrides the defaults.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use inkstone::data::{Augment, NormalizeKind, Source, ValSize};
use inkstone::train::{
    ActivationKind, Average, BiasKind, Config, Initializer, ModelSpec, OptimizerKind, Reduction, Schedule,
};
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

/// A flag that takes one of these names.
fn one_of<T>(names: impl IntoIterator<Item = &'static str>) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Display> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.parse::<T>().map_err(|error| error.to_string()))
}

/// What is trained and how. Each flag is also a key of the configuration file.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Network: linear (softmax regression), mlp:WIDTHS as mlp:512,256, cnn, cnn-small, cnn-tiny, cnn-8-16, cnn-deep, resnet-small, or the layers in FILE.toml;
    /// +batch-norm and +residual may follow [default: mlp:512]
    ///
    /// cnn+batch-norm: a batch norm behind each convolution, whose bias goes; in an mlp behind each hidden layer.
    /// cnn+residual: the input of each convolution but the first is added to its output, or to that of its batch norm, where the stride is 1
    /// and the image keeps its size; through a 1x1 convolution where the channels differ. cnn+batch-norm+residual: both.
    ///
    /// A file has a table for each layer, which reads the one above:
    ///   [[layer]]
    ///   type = "conv2d"        # out_channels, kernel, stride = 1, padding = 0, groups = 1, bias = true
    /// and so on with linear (out_features, or one for each class), max_pool2d and avg_pool2d (kernel, stride, padding), batch_norm,
    /// dropout (p), relu, tanh, sigmoid, flatten, global_avg_pool, log_softmax; add takes inputs = ["one", "other"]: any layer may have a
    /// name = ".." and inputs.
    #[arg(long, value_name = "MODEL", help_heading = "Network")]
    model: Option<ModelSpec>,
    /// Function between the layers of an mlp [default: relu]
    #[arg(long, value_name = "NAME", value_parser = one_of::<ActivationKind>(["relu", "tanh", "sigmoid"]), help_heading = "Network")]
    activation: Option<ActivationKind>,
    /// How first weights are drawn [default: pytorch]
    ///
    /// pytorch: weights and biases uniform in ±1/sqrt(fan_in). kaiming: weights uniform in ±sqrt(6/fan_in), biases 0.
    /// xavier: weights uniform in ±sqrt(6/(fan_in + fan_out)), biases 0. zero: all 0, for a linear model.
    #[arg(long, value_name = "NAME", value_parser = one_of::<Initializer>(Initializer::ALL.map(Initializer::name)), help_heading = "Network")]
    initializer: Option<Initializer>,
    /// What biases count as: layer or input [default: layer]
    ///
    /// layer: parameters apart, as in PyTorch, which --l1 and --l2 leave out. input: weights of one more input that is always 1, drawn and
    /// penalised as the others.
    #[arg(long, value_name = "NAME", value_parser = one_of::<BiasKind>(BiasKind::ALL.map(BiasKind::name)), help_heading = "Network")]
    bias: Option<BiasKind>,
    /// Start from the weights in this safetensors file, ours or PyTorch's, instead of random ones
    ///
    /// Names, shapes and types must be those of the equal nn.Sequential: "1.weight", "1.bias", "3.weight", ...
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    init: Option<PathBuf>,

    /// How pixels become numbers [default: unit]
    ///
    /// unit: p/255. image: (p - mean)/sd of each image by itself, with the population sd. mean-std: (p/255 - mean)/std,
    /// with 0.1307 and 0.3081 for MNIST, measured on the training split for any other set.
    #[arg(long, value_name = "NAME", value_parser = one_of::<NormalizeKind>(["unit", "image", "mean-std"]), help_heading = "Data")]
    normalize: Option<NormalizeKind>,
    /// Change training images at random in each epoch: rotate=10,translate=0.1,scale=0.1,shear=5,elastic=6:2,erase=0.5:0.2, or
    /// some of these [default: none]
    ///
    /// rotate=A, shear=A: up to A degrees either way. translate=F: up to F of each side either way. scale=S: by 1-S to 1+S.
    /// elastic=ALPHA:SIGMA: each pixel by ALPHA times noise smoothed over SIGMA pixels, about ALPHA/(6*SIGMA) pixels.
    /// erase=P:F: with probability P a rectangle of up to F of the area becomes 0. Evaluation sees the images as they are,
    /// so the training loss may be above the test loss; --exact-train-metrics is of them as they are too.
    #[arg(long, value_name = "SPEC", help_heading = "Data")]
    augment: Option<Augment>,
    /// Part of the training set kept for validation: a fraction (0.2) or a count (10000), chosen by seed [default: 0]
    #[arg(long, value_name = "F|N", allow_hyphen_values = true, help_heading = "Data")]
    split: Option<ValSize>,
    /// Train on the first N samples only, after the split
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Data")]
    limit: Option<usize>,
    /// Take the samples in the order of the file in every epoch
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, help_heading = "Data")]
    no_shuffle: Option<bool>,

    /// How weights follow gradients [default: adam]
    ///
    /// With gradient g and mu from --momentum: sgd: w -= lr*g. momentum: v = mu*v + g, w -= lr*v. ema: v = mu*v + (1-mu)*g,
    /// w -= lr*v. nesterov: v = mu*v + g, w -= lr*(g + mu*v). adam, adamw: as PyTorch's, betas 0.9 and 0.999, eps 1e-8,
    /// bias-corrected. All start from v = 0.
    #[arg(long, value_name = "NAME", value_parser = one_of::<OptimizerKind>(["sgd", "momentum", "ema", "nesterov", "adam", "adamw"]), help_heading = "Optimization")]
    optimizer: Option<OptimizerKind>,
    /// Learning rate [default: 0.001]
    #[arg(long, value_name = "X", allow_hyphen_values = true, help_heading = "Optimization")]
    lr: Option<f64>,
    /// The mu of momentum, ema and nesterov [default: 0.9]
    #[arg(long, value_name = "X", allow_hyphen_values = true, help_heading = "Optimization")]
    momentum: Option<f64>,
    /// Set the velocity of momentum, ema and nesterov to 0 at the end of each epoch
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, help_heading = "Optimization")]
    reset_velocity: Option<bool>,
    /// How the learning rate changes: constant, cosine, step:EPOCHS,FACTOR or exp:FACTOR [default: cosine]
    ///
    /// cosine: lr*(1 + cos(pi*t/T))/2 at update t of T. step:5,0.5: halved after every 5 epochs. exp:0.9: times 0.9 after
    /// every epoch.
    #[arg(long, value_name = "SCHEDULE", help_heading = "Optimization")]
    schedule: Option<Schedule>,
    /// Let the learning rate rise linearly over the first N updates [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Optimization")]
    warmup: Option<u64>,
    /// Gradient of a batch: mean or sum of its samples' [default: mean]
    #[arg(long, value_name = "NAME", value_parser = one_of::<Reduction>(["mean", "sum"]), help_heading = "Optimization")]
    reduction: Option<Reduction>,
    /// Passes over the training samples [default: 15]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Optimization")]
    epochs: Option<u32>,
    /// Samples in an update; the last batch of an epoch holds what is left [default: 200]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Optimization")]
    batch: Option<usize>,
    /// Decides the first weights, the split, the order of the samples and how they are augmented [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Optimization")]
    seed: Option<u64>,

    /// PyTorch's weight decay: adds X*w to the gradient; adamw instead subtracts lr*X*w from the weight [default: 0]
    ///
    /// On every parameter, biases too, as PyTorch does.
    #[arg(long, value_name = "X", allow_hyphen_values = true, help_heading = "Regularization")]
    weight_decay: Option<f64>,
    /// In training, lose each input of a linear layer with probability P; the other inputs grow by 1/(1-P) [default: 0]
    ///
    /// In front of every linear layer, but none that reads the picture itself.
    #[arg(long, value_name = "P", allow_hyphen_values = true, help_heading = "Regularization")]
    dropout: Option<f64>,
    /// Penalty X * sum |w|: adds X*sign(w) to the gradient [default: 0]
    ///
    /// On weights, and on biases only with --bias input, once per update whatever the batch. Losses are reported without the penalty.
    #[arg(long, value_name = "X", allow_hyphen_values = true, help_heading = "Regularization")]
    l1: Option<f64>,
    /// Penalty X * sum w^2: adds 2*X*w to the gradient [default: 0]
    ///
    /// On weights, and on biases only with --bias input, once per update whatever the batch; so --l2 X pulls as --weight-decay 2X does on
    /// weights. Losses are reported without the penalty.
    #[arg(long, value_name = "X", allow_hyphen_values = true, help_heading = "Regularization")]
    l2: Option<f64>,
    /// Spread this part of each label evenly over all classes [default: 0]
    ///
    /// As PyTorch's label_smoothing. Losses are reported without it.
    #[arg(long, value_name = "X", allow_hyphen_values = true, help_heading = "Regularization")]
    label_smoothing: Option<f64>,
    /// Shorten the gradient of an update to this Euclidean norm where it is longer, as PyTorch's clip_grad_norm_; L1 and L2 are added after that
    #[arg(long, value_name = "X", allow_hyphen_values = true, help_heading = "Regularization")]
    clip_norm: Option<f64>,
    /// Evaluate, compare and save an average of the weights instead of the weights: ema:DECAY or swa:EPOCH [default: none]
    ///
    /// ema:0.999: after each update the average moves by a thousandth of the way to the weights, faster at first.
    /// swa:10: the mean of the weights after epoch 10 and each later epoch; batch norms of the averaged network take their statistics
    /// from 10,000 training samples, anew after each epoch.
    #[arg(long, value_name = "AVERAGE", help_heading = "Regularization")]
    average: Option<Average>,
    /// Stop after E epochs in a row without a lower validation loss and keep the best weights; needs --split
    #[arg(long, value_name = "E", allow_negative_numbers = true, help_heading = "Regularization")]
    patience: Option<u32>,

    /// Evaluate the training set after each epoch, instead of the running mean over the epoch's batches
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, help_heading = "Run")]
    exact_train_metrics: Option<bool>,
    /// Evaluate the result also over moves of each image by up to PX pixels, their probabilities averaged [default: 0]
    ///
    /// 1: nine moves, 2: 25. The model is the same; `inkstone eval --test-shift PX` averages alike.
    #[arg(long, value_name = "PX", allow_negative_numbers = true, help_heading = "Run")]
    test_shift: Option<u8>,
}

impl Settings {
    /// Puts the flags that were given over `config`.
    pub(crate) fn apply(self, config: &mut Config) {
        fn set<T>(value: Option<T>, field: &mut T) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(self.model, &mut config.model);
        set(self.activation, &mut config.activation);
        set(self.initializer, &mut config.initializer);
        set(self.bias, &mut config.bias);
        set(self.init.map(Some), &mut config.init);
        set(self.normalize, &mut config.normalize);
        set(self.augment, &mut config.augment);
        set(self.split.map(Some), &mut config.split);
        set(self.limit.map(Some), &mut config.limit);
        set(self.no_shuffle.map(|no| !no), &mut config.shuffle);
        set(self.optimizer, &mut config.optimizer);
        set(self.lr, &mut config.lr);
        set(self.momentum, &mut config.momentum);
        set(self.reset_velocity, &mut config.reset_velocity);
        set(self.schedule, &mut config.schedule);
        set(self.warmup, &mut config.warmup);
        set(self.reduction, &mut config.reduction);
        set(self.epochs, &mut config.epochs);
        set(self.batch, &mut config.batch);
        set(self.seed, &mut config.seed);
        set(self.dropout, &mut config.dropout);
        set(self.weight_decay, &mut config.weight_decay);
        set(self.l1, &mut config.l1);
        set(self.l2, &mut config.l2);
        set(self.label_smoothing, &mut config.label_smoothing);
        set(self.clip_norm.map(Some), &mut config.clip_norm);
        set(self.average, &mut config.average);
        set(self.test_shift, &mut config.test_shift);
        set(self.patience.map(Some), &mut config.patience);
        set(self.exact_train_metrics, &mut config.exact_train_metrics);
    }

    /// A flag that changes nothing about a run of `config`, and what it would need.
    pub(crate) fn without_effect(&self, config: &Config) -> Option<String> {
        if self.activation.is_some() && config.model.hidden().is_empty() {
            let rule = "what stands between the layers of an mlp";
            return Some(format!(
                "--activation: {rule}: expected --model mlp:512, for example, found {}",
                config.model
            ));
        }
        if self.momentum.is_some() && !config.optimizer.has_velocity() {
            let rule = "what a velocity keeps of itself";
            let (expected, found) = ("--optimizer momentum, ema or nesterov beside it", config.optimizer);
            return Some(format!("--momentum: {rule}: expected {expected}, found {found}"));
        }
        let init = config.init.as_ref().filter(|_| self.initializer.is_some())?;
        let rule = "how first weights are drawn";
        Some(format!("--initializer: {rule}: expected no --init beside it, found {}", init.display()))
    }
}

/// Puts `--data` over `config`; the checksums of a file's data set do not bind another set.
pub(crate) fn apply_data(data: Option<Source>, config: &mut Config) {
    if let Some(data) = data
        && data != config.data
    {
        config.data = data;
        config.dataset = None;
    }
}

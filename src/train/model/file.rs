//! Networks as TOML: a list of named layers, each of which reads the one above unless it says otherwise.
//!
//! ```toml
//! [[layer]]
//! name = "first"             # or the layer's number, from 0
//! type = "conv2d"            # channels and features that come in are inferred
//! out_channels = 16
//! kernel = 3                 # or [rows, columns]
//! padding = 1
//!
//! [[layer]]
//! type = "add"
//! inputs = ["first", "input"] # layers above, or the network's input
//! ```

use crate::graph::{Conv2d, Graph, Node, Op, Probability, TensorId, Window};
use crate::nearest::slip;
use crate::shape::Shape;
use crate::train::config::ConfigError;
use crate::train::run::read_at_most;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::path::Path;

/// Largest file read, in bytes: a thousand layers need less.
const MAX_FILE: u64 = 1 << 20;
/// What the network's input is called.
const INPUT: &str = "input";

/// The layers of a file, in order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Layers {
    layer: Vec<toml::Table>,
}

/// A side for rows and columns alike, or both.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "expected a side as 3, or rows and columns as [3, 5]")]
enum Sides {
    Square(usize),
    Both([usize; 2]),
}

impl Sides {
    const fn get(self) -> [usize; 2] {
        match self {
            Self::Square(side) => [side, side],
            Self::Both(sides) => sides,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinearKeys {
    out_features: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conv2dKeys {
    out_channels: usize,
    kernel: Sides,
    stride: Option<usize>,
    padding: Option<usize>,
    groups: Option<usize>,
    bias: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowKeys {
    kernel: Sides,
    stride: Option<usize>,
    padding: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DropoutKeys {
    p: f32,
}

/// The names that `type` may have.
const TYPES: [&str; 13] = [
    "flatten",
    "linear",
    "conv2d",
    "max_pool2d",
    "avg_pool2d",
    "global_avg_pool",
    "batch_norm",
    "dropout",
    "relu",
    "tanh",
    "sigmoid",
    "add",
    "log_softmax",
];

/// The network in the file at `path`, for samples of shape `input`.
///
/// # Errors
/// [`ConfigError`] naming the file, the layer, what was expected and what was found.
pub(super) fn read(path: &Path, input: Shape, classes: usize) -> Result<Graph, ConfigError> {
    let text = read_at_most(path, MAX_FILE);
    let place = path.display().to_string();
    let text =
        text.map_err(|error| ConfigError::new(&place, "a model is a file of layers", "a readable file", error))?;
    parse(&place, &text, input, classes)
}

/// The network that `text` describes; `place` is for errors.
pub(super) fn parse(place: &str, text: &str, input: Shape, classes: usize) -> Result<Graph, ConfigError> {
    let refuse = |rule, expected: &dyn Display, found: &dyn Display| ConfigError::new(place, rule, expected, found);
    let layers: Layers = toml::from_str(text).map_err(|error| {
        refuse("a model is TOML with a table for each layer", &"[[layer]] tables", &error.to_string().trim_end())
    })?;
    let mut nodes: Vec<Node> = Vec::new();
    let mut shapes = vec![input];
    for (number, table) in layers.layer.into_iter().enumerate() {
        let (node, shape) = layer(place, number, table, &nodes, &shapes, classes)?;
        nodes.push(node);
        shapes.push(shape);
    }
    let graph =
        Graph::from_nodes(input, nodes).map_err(|error| refuse("layers make a network", &"one output", &error))?;
    if graph.output_shape().dims() != [classes] {
        let expected = format!("{classes} values, one for each class");
        return Err(refuse("the last layer gives a value for each class", &expected, &graph.output_shape()));
    }
    Ok(graph)
}

/// The node of one table, and the shape of what it gives.
fn layer(
    place: &str,
    number: usize,
    mut table: toml::Table,
    above: &[Node],
    shapes: &[Shape],
    classes: usize,
) -> Result<(Node, Shape), ConfigError> {
    let name = match table.remove("name") {
        None => number.to_string(),
        Some(toml::Value::String(name)) => name,
        Some(other) => {
            let place = format!("{place}: layer {number}");
            return Err(ConfigError::new(place, "a name is text", "for example \"conv1\"", other));
        }
    };
    let place = format!("{place}: layer \"{name}\"");
    let refuse = |rule, expected: &dyn Display, found: &dyn Display| ConfigError::new(&place, rule, expected, found);
    let kind = match table.remove("type") {
        Some(toml::Value::String(kind)) => kind,
        Some(other) => return Err(refuse("a type is text", &TYPES.join(", "), &other)),
        None => return Err(refuse("every layer has a type", &TYPES.join(", "), &"none")),
    };
    let inputs = inputs(&place, number, table.remove("inputs"), above)?;
    let read: Vec<Shape> = inputs.iter().map(|tensor| shapes[tensor.0]).collect();
    let Some(&first) = read.first() else {
        return Err(refuse("a layer reads something", &"at least one name in inputs", &"none"));
    };
    let op = op(&place, &kind, table, first, classes)?;
    let shape = op.output_shape(&read, number).map_err(|error| {
        let shapes: Vec<String> = read.iter().map(Shape::to_string).collect();
        let found = format!("{} with {op}", shapes.join(" and "));
        let why = error.to_string();
        // The error begins with the layer's number and op, which its name says better.
        let why = why.split_once("): ").map_or(why.as_str(), |(_, why)| why);
        refuse("a layer fits what it reads", &why.strip_prefix("expected ").unwrap_or(why), &found)
    })?;
    let known = above.iter().find(|node| node.name == name);
    if known.is_some() || name == INPUT {
        return Err(refuse("a name is used once", &"another name", &format!("{name:?} again")));
    }
    Ok((Node { name, op, inputs, output: TensorId(number + 1) }, shape))
}

/// The tensors that a layer reads: the one above unless `names` says otherwise.
fn inputs(
    place: &str,
    number: usize,
    names: Option<toml::Value>,
    above: &[Node],
) -> Result<Vec<TensorId>, ConfigError> {
    let Some(names) = names else { return Ok(vec![TensorId(number)]) };
    let names: Vec<String> = names
        .clone()
        .try_into()
        .map_err(|_| ConfigError::new(place, "inputs are names", "a list as [\"conv1\", \"input\"]", names))?;
    let find = |name: String| {
        if name == INPUT {
            return Ok(TensorId(0));
        }
        match above.iter().find(|node| node.name == name) {
            Some(node) => Ok(node.output),
            None => {
                let known: Vec<&str> = above.iter().map(|node| node.name.as_str()).chain([INPUT]).collect();
                let hint = slip(&name, known).map_or_else(String::new, |name| format!(", perhaps {name:?}"));
                let rule = "a layer reads layers above it, so that there is no cycle";
                Err(ConfigError::new(place, rule, format!("a name from above{hint}"), format!("{name:?}")))
            }
        }
    };
    names.into_iter().map(find).collect()
}

/// The operation of type `kind` with the keys in `table`, for an input of shape `input`.
fn op(place: &str, kind: &str, table: toml::Table, input: Shape, classes: usize) -> Result<Op, ConfigError> {
    let none = |op: Op| keys::<NoKeys>(place, table.clone()).map(|NoKeys {}| op);
    let channels = input.dims()[0];
    let window = || {
        let WindowKeys { kernel, stride, padding } = keys(place, table.clone())?;
        let kernel = kernel.get();
        let own = (kernel[0] == kernel[1]).then_some(kernel[0]);
        let (rule, expected) =
            ("windows side by side are as far apart as a square one is wide", "stride beside kernel");
        let missing = || ConfigError::new(place, rule, expected, format!("kernel {kernel:?} alone"));
        Ok(Window { kernel, stride: stride.or(own).ok_or_else(missing)?, padding: padding.unwrap_or(0) })
    };
    match kind {
        "flatten" => none(Op::Flatten),
        "linear" => {
            let LinearKeys { out_features } = keys(place, table)?;
            Ok(Op::Linear { in_features: input.elements(), out_features: out_features.unwrap_or(classes) })
        }
        "conv2d" => {
            let Conv2dKeys { out_channels, kernel, stride, padding, groups, bias } = keys(place, table)?;
            Ok(Op::Conv2d(Conv2d {
                in_channels: channels,
                out_channels,
                kernel: kernel.get(),
                stride: stride.unwrap_or(1),
                padding: padding.unwrap_or(0),
                groups: groups.unwrap_or(1),
                bias: bias.unwrap_or(true),
            }))
        }
        "max_pool2d" => window().map(Op::MaxPool2d),
        "avg_pool2d" => window().map(Op::AvgPool2d),
        "global_avg_pool" => none(Op::GlobalAvgPool),
        "batch_norm" => none(Op::BatchNorm { features: channels }),
        "dropout" => {
            let DropoutKeys { p } = keys(place, table)?;
            let rule = "the probability of losing an element is at least 0 and below 1";
            let p = Probability::new(p).map_err(|_| ConfigError::new(place, rule, "for example p = 0.25", p))?;
            Ok(Op::Dropout { p })
        }
        "relu" => none(Op::Relu),
        "tanh" => none(Op::Tanh),
        "sigmoid" => none(Op::Sigmoid),
        "add" => none(Op::Add),
        "log_softmax" => none(Op::LogSoftmax),
        _ => {
            let hint = slip(kind, TYPES).map_or_else(String::new, |name| format!(", perhaps {name:?}"));
            let expected = format!("one of {}{hint}", TYPES.join(", "));
            Err(ConfigError::new(place, "a type is known", expected, format!("{kind:?}")))
        }
    }
}

/// The keys of a layer beside its name, type and inputs.
fn keys<T: DeserializeOwned>(place: &str, table: toml::Table) -> Result<T, ConfigError> {
    T::deserialize(toml::Value::Table(table)).map_err(|error| {
        ConfigError::new(
            place,
            "a layer has the keys of its type",
            "known keys and values of their types",
            error.to_string().trim_end(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(text: &str) -> Result<Graph, ConfigError> {
        parse("net.toml", text, Shape::new(&[1, 28, 28]).unwrap(), 10)
    }

    #[test]
    fn layers_read_the_one_above_or_what_they_name() {
        let graph = built(
            r#"
            [[layer]]
            name = "a"
            type = "conv2d"
            out_channels = 4
            kernel = [3, 5]
            padding = 1
            groups = 1
            [[layer]]
            type = "max_pool2d"
            kernel = 2
            [[layer]]
            name = "b"
            type = "conv2d"
            inputs = ["a"]
            out_channels = 4
            kernel = 2
            stride = 2
            bias = false
            [[layer]]
            type = "add"
            inputs = ["b", "1"]
            [[layer]]
            type = "dropout"
            p = 0.5
            [[layer]]
            type = "flatten"
            [[layer]]
            type = "linear"
            "#,
        )
        .unwrap();
        let names: Vec<&str> = graph.params().iter().map(|param| param.name.as_str()).collect();
        assert_eq!(names, ["a.weight", "a.bias", "b.weight", "6.weight", "6.bias"]);
        assert_eq!(graph.nodes()[3].inputs, [TensorId(3), TensorId(2)]);
        assert_eq!(graph.params()[0].shape, [4, 1, 3, 5]);
        assert_eq!(graph.shape(TensorId(1)).dims(), [4, 28, 26]);
        assert_eq!(graph.classes(), 10);
    }

    #[test]
    fn errors_name_the_file_the_layer_and_what_would_be_right() {
        let conv = "[[layer]]\nname = \"c\"\ntype = \"conv2d\"\nout_channels = 6\nkernel = 3\n";
        let end = "[[layer]]\ntype = \"flatten\"\n[[layer]]\ntype = \"linear\"\n";
        let cases: [(String, &[&str]); 15] = [
            (String::new(), &["net.toml", "missing field `layer`"]),
            ("layer = []".to_owned(), &["at least one layer"]),
            (format!("{conv}groups = 4\n{end}"), &["layer \"c\"", "groups", "1x28x28"]),
            (format!("{conv}paddin = 1\n{end}"), &["layer \"c\"", "paddin", "padding"]),
            (format!("{conv}{conv}{end}"), &["layer \"c\"", "used once", "again"]),
            (format!("{conv}[[layer]]\ntype = \"linear\"\n"), &["layer \"1\"", "one dimension", "6x26x26"]),
            (format!("{conv}[[layer]]\ntype = \"relux\"\n"), &["layer \"1\"", "perhaps \"relu\""]),
            (format!("{conv}[[layer]]\ntype = \"relu\"\ninputs = [\"d\"]\n"), &["\"d\"", "perhaps \"c\"", "no cycle"]),
            (format!("{conv}[[layer]]\ntype = \"add\"\n"), &["layer \"1\"", "2 input tensors"]),
            (
                format!("{conv}[[layer]]\ntype = \"add\"\ninputs = [\"c\", \"input\"]\n"),
                &["layer \"1\"", "6x26x26", "1x28x28"],
            ),
            (format!("{conv}[[layer]]\ntype = \"dropout\"\np = 1.0\n"), &["layer \"1\"", "below 1", "found 1"]),
            (format!("{conv}[[layer]]\ntype = \"max_pool2d\"\nkernel = 30\n"), &["layer \"1\"", "window", "6x26x26"]),
            (
                format!("{conv}[[layer]]\ntype = \"avg_pool2d\"\nkernel = [1, 2]\n"),
                &["layer \"1\"", "stride beside kernel", "[1, 2]"],
            ),
            (conv.to_owned(), &["a value for each class", "6x26x26"]),
            (
                format!("{conv}{conv}{end}").replacen("\"c\"", "\"x\"", 1).replacen("kernel = 3", "kernel = 0", 1),
                &["layer \"x\"", "kernel"],
            ),
        ];
        for (text, parts) in cases {
            let error = built(&text).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{part:?} is not in {error:?} of {text}");
            }
        }
    }
}

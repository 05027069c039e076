//! A network with more in it: batch norms, residual sums, dropouts.
//!
//! In comes a graph, out goes another one. Nodes whose names are their numbers are numbered anew, as in an `nn.Sequential` of the new ops. In
//! networks with names of their own, what is put in is called after its layer: `conv1.norm`, `conv1.shortcut`, `conv1.sum`, `last.dropout`.

use super::ModelSpec;
use crate::graph::{Conv2d, Graph, GraphError, Node, Op, Probability, TensorId};
use crate::shape::Shape;
use crate::train::TrainError;
use crate::train::config::ConfigError;
use std::fmt;

/// What is put into a network, as its name says: `cnn+batch-norm+residual`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// A batch norm behind each convolution, which loses its bias: the norm has a shift. In a network without convolutions behind each linear
    /// layer but the last. `+batch-norm`
    pub batch_norm: bool,
    /// The input of each convolution but the first is added to its output, or to that of its batch norm, where stride is 1 and the image keeps its
    /// size. It passes through a 1x1 convolution without bias where the channels differ. `+residual`
    pub residual: bool,
}

impl Variant {
    /// Splits what is put in off the end of a name.
    ///
    /// # Errors
    /// [`ConfigError`] if something is put in twice.
    pub(super) fn split(text: &str) -> Result<(&str, Self), ConfigError> {
        let (mut variant, mut name) = (Self::default(), text);
        while let Some((front, part)) = name.rsplit_once('+') {
            let twice = match part {
                "batch-norm" => std::mem::replace(&mut variant.batch_norm, true),
                "residual" => std::mem::replace(&mut variant.residual, true),
                _ => break,
            };
            if twice {
                let (rule, expected) = ("an addition is named once", format!("one +{part}"));
                return Err(ConfigError::new("model", rule, expected, format!("{text:?}")));
            }
            name = front;
        }
        Ok((name, variant))
    }

    /// `graph` with it; `model` is for errors.
    ///
    /// # Errors
    /// [`TrainError::Config`] if the network has such ops already, or no place for them.
    pub(super) fn apply(self, model: &ModelSpec, graph: Graph) -> Result<Graph, TrainError> {
        let refuse = |rule, expected: &str, found: &str| {
            Err(TrainError::from(ConfigError::new("model", rule, expected, format!("{model}, which has {found}"))))
        };
        let has = |op: &str| graph.nodes().iter().any(|node| node.op.name() == op);
        let (norms, sums) = (has("batch_norm"), has("add"));
        let mut graph = graph;
        if self.batch_norm {
            let layers = normed_layers(&graph);
            let rule =
                "+batch-norm is for networks without batch norms, behind convolutions or a perceptron's hidden layers";
            match (norms, layers.is_empty()) {
                (true, _) => return refuse(rule, "for example cnn+batch-norm", "batch norms"),
                (_, true) => return refuse(rule, "for example mlp:512+batch-norm", "no such layers"),
                _ => graph = with_norms(&graph, &layers)?,
            }
        }
        if self.residual {
            let blocks = blocks(&graph);
            let rule = "+residual is for networks without sums, around convolutions of stride 1 behind the first that keep the image's size";
            match (sums, blocks.is_empty()) {
                (true, _) => return refuse(rule, "for example cnn+residual", "sums"),
                (_, true) => return refuse(rule, "for example cnn+residual", "no such convolutions"),
                _ => graph = with_sums(&graph, &blocks)?,
            }
        }
        Ok(graph)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.batch_norm { "+batch-norm" } else { "" })?;
        f.write_str(if self.residual { "+residual" } else { "" })
    }
}

/// `graph` with a dropout in front of each linear layer, but none of the picture itself.
///
/// # Errors
/// [`TrainError::Config`] if every linear layer reads the picture.
pub(in crate::train) fn with_dropout(graph: &Graph, p: Probability) -> Result<Graph, TrainError> {
    let mut draft = Draft::of(graph);
    let linear = |node: &&Node| matches!(node.op, Op::Linear { .. }) && !reads_picture(graph, node);
    for Node { name, inputs, output, .. } in graph.nodes().iter().filter(linear) {
        let dropped = draft.insert(inputs[0], [name, "dropout"], Op::Dropout { p }, vec![inputs[0]]);
        draft.reader(*output, dropped);
    }
    if draft.nodes.len() == graph.nodes().len() {
        let rule = "dropouts stand in front of linear layers, but none in front of one that reads the picture";
        let expected = "0, or a network with a hidden layer";
        return Err(ConfigError::new("dropout", rule, expected, format!("{} without one", p.get())).into());
    }
    Ok(draft.graph()?)
}

/// Whether `node` reads the network's input, flattened or not.
fn reads_picture(graph: &Graph, node: &Node) -> bool {
    let mut from = node.inputs[0];
    // Node i writes tensor i + 1.
    while let Some(before) = from.0.checked_sub(1).map(|before| &graph.nodes()[before]) {
        if before.op != Op::Flatten {
            return false;
        }
        from = before.inputs[0];
    }
    true
}

/// The nodes that get a batch norm: every convolution, or without any each linear layer but the last.
fn normed_layers(graph: &Graph) -> Vec<&Node> {
    let of = |wanted: fn(&Op) -> bool| graph.nodes().iter().filter(move |node| wanted(&node.op));
    let convolutions: Vec<&Node> = of(|op| matches!(op, Op::Conv2d(_))).collect();
    if !convolutions.is_empty() {
        return convolutions;
    }
    let mut hidden: Vec<&Node> = of(|op| matches!(op, Op::Linear { .. })).collect();
    hidden.pop();
    hidden
}

/// The convolutions that get a sum: those behind the first, of stride 1, whose images keep their size.
fn blocks(graph: &Graph) -> Vec<&Node> {
    let size = |tensor: TensorId| graph.shape(tensor).dims()[1..].to_vec();
    let convolutions = graph.nodes().iter().filter(|node| matches!(node.op, Op::Conv2d(_))).skip(1);
    let keeps = |node: &&Node| matches!(node.op, Op::Conv2d(Conv2d { stride: 1, .. })) && !reads_picture(graph, node);
    convolutions.filter(keeps).filter(|node| size(node.inputs[0]) == size(node.output)).collect()
}

/// A batch norm behind each of `layers`; convolutions among them lose their biases.
fn with_norms(graph: &Graph, layers: &[&Node]) -> Result<Graph, GraphError> {
    let mut draft = Draft::of(graph);
    for Node { name, output, .. } in layers {
        let features = graph.shape(*output).dims()[0];
        let normed = draft.insert(*output, [name, "norm"], Op::BatchNorm { features }, vec![*output]);
        draft.reroute(*output, normed);
        if let Some(Node { op: Op::Conv2d(conv), .. }) = draft.writer(*output) {
            conv.bias = false;
        }
    }
    draft.graph()
}

/// A sum behind each of `blocks`, or behind the batch norm that alone reads it.
fn with_sums(graph: &Graph, blocks: &[&Node]) -> Result<Graph, GraphError> {
    let mut draft = Draft::of(graph);
    for Node { name, inputs, output, .. } in blocks {
        let mut readers = graph.nodes().iter().filter(|node| node.inputs.contains(output));
        let end = match (readers.next(), readers.next()) {
            (Some(Node { op: Op::BatchNorm { .. }, output: normed, .. }), None) => *normed,
            _ => *output,
        };
        // The block before may end in a sum by now.
        let mut block = draft.writer(*output).map_or(inputs[0], |conv| conv.inputs[0]);
        let mut last = end;
        let [from, to] = [inputs[0], *output].map(|tensor| graph.shape(tensor).dims()[0]);
        if from != to {
            let sizes = Conv2d { in_channels: from, out_channels: to, ..SHORTCUT };
            last = draft.insert(end, [name, "shortcut"], Op::Conv2d(sizes), vec![block]);
            block = last;
        }
        let sum = draft.insert(last, [name, "sum"], Op::Add, vec![end, block]);
        draft.reroute(end, sum);
    }
    draft.graph()
}

/// A 1x1 convolution, of channels yet to be said.
const SHORTCUT: Conv2d =
    Conv2d { in_channels: 0, out_channels: 0, kernel: [1, 1], stride: 1, padding: 0, groups: 1, bias: false };

/// Nodes, each after those that it needs, to which others are added. Tensors keep the numbers that they had in the graph.
struct Draft {
    input: Shape,
    nodes: Vec<Node>,
    /// Whether every node is called by its number.
    numbered: bool,
}

impl Draft {
    fn of(graph: &Graph) -> Self {
        let numbered = graph.nodes().iter().enumerate().all(|(i, node)| node.name == i.to_string());
        Self { input: graph.input_shape(), nodes: graph.nodes().to_vec(), numbered }
    }

    /// The node that writes `tensor`.
    fn writer(&mut self, tensor: TensorId) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.output == tensor)
    }

    /// Puts a node called LAYER.PART behind the one that writes `after`; gives the tensor that it writes.
    fn insert(&mut self, after: TensorId, [layer, part]: [&str; 2], op: Op, inputs: Vec<TensorId>) -> TensorId {
        let mut name = format!("{layer}.{part}");
        while self.nodes.iter().any(|node| node.name == name) {
            name.push('_');
        }
        let output = TensorId(self.nodes.len() + 1);
        let place = self.nodes.iter().position(|node| node.output == after).map_or(0, |at| at + 1);
        self.nodes.insert(place, Node { name, op, inputs, output });
        output
    }

    /// Lets every reader of `from` read `to` instead, but the node that writes `to`.
    fn reroute(&mut self, from: TensorId, to: TensorId) {
        let readers = self.nodes.iter_mut().filter(|node| node.output != to);
        readers.flat_map(|node| &mut node.inputs).filter(|input| **input == from).for_each(|input| *input = to);
    }

    /// Lets the node that writes `output` read `input`.
    fn reader(&mut self, output: TensorId, input: TensorId) {
        if let Some(node) = self.writer(output) {
            node.inputs = vec![input];
        }
    }

    fn graph(mut self) -> Result<Graph, GraphError> {
        if self.numbered {
            self.nodes.iter_mut().enumerate().for_each(|(i, node)| node.name = i.to_string());
        }
        Graph::from_nodes(self.input, self.nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{ActivationKind, Config};
    use std::fs;

    /// Every op by its name, convolutions and linear layers with their sizes, and what sums and shortcuts read.
    fn ops(graph: &Graph) -> Vec<String> {
        let name = |tensor: &TensorId| match tensor.0.checked_sub(1) {
            Some(node) => graph.nodes()[node].name.clone(),
            None => "input".to_owned(),
        };
        let line = |(i, node): (usize, &Node)| {
            let read: Vec<String> = node.inputs.iter().map(name).collect();
            let above = node.inputs == [TensorId(i)];
            format!(
                "{} {}{}",
                node.name,
                node.op,
                if above { String::new() } else { format!(" of {}", read.join(", ")) }
            )
        };
        graph.nodes().iter().enumerate().map(line).collect()
    }

    fn built(model: &str, dropout: f64) -> Result<Graph, TrainError> {
        Config { model: model.parse()?, dropout, ..Config::default() }.graph(28, 28, 10)
    }

    #[test]
    fn convolutions_get_norms_sums_and_dropouts() {
        let graph = built("cnn-small+batch-norm+residual", 0.25).unwrap();
        let want = [
            "0 conv2d 1 -> 16, 3x3, padding 1, no bias",
            "1 batch_norm 16",
            "2 relu",
            "3 max_pool2d 2x2",
            "4 conv2d 16 -> 32, 3x3, padding 1, no bias",
            "5 batch_norm 32",
            "6 conv2d 16 -> 32, 1x1, no bias of 3",
            "7 add of 5, 6",
            "8 relu",
            "9 max_pool2d 2x2",
            "10 conv2d 32 -> 32, 3x3, padding 1, no bias",
            "11 batch_norm 32",
            "12 add of 11, 9",
            "13 relu",
            "14 flatten",
            "15 dropout 0.25",
            "16 linear 1568 -> 64",
            "17 relu",
            "18 dropout 0.25",
            "19 linear 64 -> 10",
        ];
        assert_eq!(ops(&graph), want);
        assert!(graph.flops() <= 4_000_000, "{}", graph.flops());
        let names: Vec<&str> = graph.params().iter().map(|param| param.name.as_str()).collect();
        let norms =
            ["1.weight", "1.bias", "4.weight", "5.weight", "5.bias", "6.weight", "10.weight", "11.weight", "11.bias"];
        assert_eq!(names[0], "0.weight");
        assert_eq!(names[1..10], norms);
        assert_eq!(names[10..], ["16.weight", "16.bias", "19.weight", "19.bias"]);
        assert_eq!(graph.running().iter().map(|running| running.name.as_str()).collect::<Vec<_>>(), ["1", "5", "11"]);
    }

    #[test]
    fn perceptrons_get_norms_and_dropouts() {
        let want = [
            "0 flatten",
            "1 linear 784 -> 30",
            "2 batch_norm 30",
            "3 tanh",
            "4 dropout 0.5",
            "5 linear 30 -> 20",
            "6 batch_norm 20",
            "7 tanh",
            "8 dropout 0.5",
            "9 linear 20 -> 10",
        ];
        let model = "mlp:30,20+batch-norm".parse().unwrap();
        let config = Config { model, activation: ActivationKind::Tanh, dropout: 0.5, ..Config::default() };
        assert_eq!(ops(&config.graph(28, 28, 10).unwrap()), want);
    }

    /// Batch norms of the network's own: the sum reads the norm, as in a network that got both.
    #[test]
    fn sums_go_behind_norms_that_are_there() {
        let graph = built("cnn-deep+residual", 0.0).unwrap();
        let found = ops(&graph);
        let sums: Vec<&String> = found.iter().filter(|line| line.contains(" add ")).collect();
        assert_eq!(sums, ["7 add of 5, 6", "11 add of 10, 8", "17 add of 15, 16", "21 add of 20, 18"]);
    }

    /// Convolutions of stride 2, of other sizes, and of the picture keep what they have; a name that is taken gets a tail.
    #[test]
    fn layers_with_names_lend_them_to_what_is_put_in() {
        let conv = |name: &str, rest: &str| format!("[[layer]]\nname = \"{name}\"\ntype = \"conv2d\"\n{rest}\n");
        let layers = [
            conv("a", "out_channels = 4\nkernel = 3\npadding = 1"),
            conv("b", "out_channels = 4\nkernel = 3\npadding = 1\nstride = 2"),
            conv("c", "out_channels = 4\nkernel = [1, 3]"),
            conv("d", "out_channels = 6\nkernel = 5\npadding = 2"),
            conv("d.sum", "out_channels = 6\nkernel = 1"),
            "[[layer]]\ntype = \"flatten\"\n[[layer]]\nname = \"end\"\ntype = \"linear\"\n".to_owned(),
        ];
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("net.toml");
        fs::write(&file, layers.concat()).unwrap();
        let graph = built(&format!("{}+residual", file.display()), 0.1).unwrap();
        let want = [
            "a conv2d 1 -> 4, 3x3, padding 1",
            "b conv2d 4 -> 4, 3x3, stride 2, padding 1",
            "c conv2d 4 -> 4, 1x3",
            "d conv2d 4 -> 6, 5x5, padding 2",
            "d.shortcut conv2d 4 -> 6, 1x1, no bias of c",
            "d.sum_ add of d, d.shortcut",
            "d.sum conv2d 6 -> 6, 1x1",
            "d.sum.sum add of d.sum, d.sum_",
            "5 flatten",
            "end.dropout dropout 0.1",
            "end linear 1008 -> 10",
        ];
        // 28 x 28 pixels, then 14 x 14, then 14 x 12.
        assert_eq!(ops(&graph), want);
        let normed = built(&format!("{}+batch-norm", file.display()), 0.0).unwrap();
        let norms: Vec<&str> = normed.running().iter().map(|running| running.name.as_str()).collect();
        assert_eq!(norms, ["a.norm", "b.norm", "c.norm", "d.norm", "d.sum.norm"]);
        assert!(normed.params().iter().all(|param| !["a.bias", "d.sum.bias"].contains(&param.name.as_str())));
    }

    #[test]
    fn networks_without_a_place_are_refused() {
        let cases = [
            ("linear+batch-norm", 0.0, ["model: +batch-norm", "linear, which has no such layers"]),
            ("cnn-deep+batch-norm", 0.0, ["model: +batch-norm", "cnn-deep, which has batch norms"]),
            ("resnet-small+batch-norm+residual", 0.0, ["model: +batch-norm", "resnet-small, which has batch norms"]),
            ("resnet-small+residual", 0.0, ["model: +residual", "resnet-small, which has sums"]),
            ("mlp:20+residual", 0.0, ["model: +residual", "mlp:20, which has no such convolutions"]),
            ("linear", 0.5, ["dropout: ", "0.5 without one"]),
        ];
        for (model, dropout, parts) in cases {
            let error = built(model, dropout).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)) && error.contains("expected"), "{error}");
        }
        // Every linear layer of these reads something else than the picture.
        for preset in super::super::Preset::ALL {
            assert!(built(preset.name(), 0.5).is_ok());
        }
    }
}

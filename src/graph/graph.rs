//! The builder: operations in any order become a graph in topological order, with shapes inferred and parameters placed.

use super::error::GraphError;
use super::op::{Op, ParamKind, TensorId};
use crate::shape::Shape;
use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Longest name of a node, in bytes.
const MAX_NAME: usize = 64;

/// Most nodes of a graph.
const MAX_NODES: usize = 1024;

/// One operation of a graph: which tensors it reads and which one it writes.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Node {
    /// Prefix of the parameters' names: the op's index in PyTorch's `nn.Sequential`.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// The tensors that it reads.
    pub inputs: Vec<TensorId>,
    /// The tensor that it writes.
    pub output: TensorId,
}

/// One named parameter tensor and its place in the flat vector of all parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Param {
    /// Name in the checkpoint, as in PyTorch's `state_dict`: "1.weight".
    pub name: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// First element in the flat vector.
    pub offset: usize,
    /// Number of elements.
    pub len: usize,
    /// What it is for.
    pub kind: ParamKind,
    /// Inputs that each output of the layer sums; initial values are drawn from it.
    pub fan_in: usize,
    /// Outputs that each input of the layer goes to.
    pub fan_out: usize,
}

impl Param {
    /// Its elements in the flat vector.
    pub fn range(&self) -> core::ops::Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// The running statistics of one batch norm: in the flat vector of all weights, `channels` means and then as many variances.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Running {
    /// The layer's name, which "running_mean" and "running_var" follow in the checkpoint.
    pub name: String,
    /// The node.
    pub node: usize,
    /// The first mean in the flat vector.
    pub offset: usize,
    /// Channels.
    pub channels: usize,
}

impl Running {
    /// The means in the flat vector.
    pub fn mean(&self) -> core::ops::Range<usize> {
        self.offset..self.offset + self.channels
    }

    /// The variances in the flat vector.
    pub fn variance(&self) -> core::ops::Range<usize> {
        self.offset + self.channels..self.offset + 2 * self.channels
    }
}

/// A network: nodes in topological order over numbered tensors, with one input (tensor 0) and one output.
///
/// Node `i` writes tensor `i + 1`, so `tensors().len() == nodes().len() + 1` and the last tensor is the output.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(try_from = "GraphSpec", into = "GraphSpec"))]
pub struct Graph {
    nodes: Vec<Node>,
    tensors: Vec<Shape>,
    params: Vec<Param>,
    /// By node: its first parameter. One more than nodes.
    first_param: Vec<usize>,
    param_count: usize,
    running: Vec<Running>,
    weights_len: usize,
}

impl Graph {
    /// The ops one after the other, named by their index: PyTorch's `nn.Sequential`.
    ///
    /// # Errors
    /// [`GraphError`] naming the first layer that does not fit what comes before it.
    pub fn sequential(input: Shape, ops: &[Op]) -> Result<Self, GraphError> {
        let node = |(i, &op): (usize, &Op)| Node {
            name: i.to_string(),
            op,
            inputs: vec![TensorId(i)],
            output: TensorId(i + 1),
        };
        Self::from_nodes(input, ops.iter().enumerate().map(node).collect())
    }

    /// A multilayer perceptron: flatten, then for each hidden width a linear layer and `activation`, then a linear layer
    /// to `classes`. No hidden width gives softmax regression.
    ///
    /// # Errors
    /// [`GraphError::NotAnActivation`], or [`GraphError::Shape`] for a width of 0.
    pub fn mlp(hidden: &[usize], activation: Op, input: Shape, classes: usize) -> Result<Self, GraphError> {
        if activation.activation().is_none() {
            return Err(GraphError::NotAnActivation { found: activation.name() });
        }
        let mut ops = vec![Op::Flatten];
        let mut in_features = input.elements();
        for &out_features in hidden {
            ops.push(Op::Linear { in_features, out_features });
            ops.push(activation);
            in_features = out_features;
        }
        ops.push(Op::Linear { in_features, out_features: classes });
        Self::sequential(input, &ops)
    }

    /// Nodes in any order, joined by the numbers of the tensors that they read and write; tensor 0 is the input.
    ///
    /// Nodes are sorted so that each comes after what it needs, otherwise in the order given, and tensors are numbered anew
    /// in that order.
    ///
    /// # Errors
    /// [`GraphError`] for a tensor that nobody writes or that two nodes write, a cycle, more than one output, a name that
    /// is used twice, or a layer whose input has the wrong shape.
    pub fn from_nodes(input: Shape, nodes: Vec<Node>) -> Result<Self, GraphError> {
        if nodes.is_empty() {
            return Err(GraphError::Empty);
        }
        if nodes.len() > MAX_NODES {
            return Err(GraphError::TooManyLayers { most: MAX_NODES, found: nodes.len() });
        }
        check_names(&nodes)?;
        let order = topological_order(&nodes)?;
        let mut slots: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
        let mut renumbered = BTreeMap::from([(TensorId(0), TensorId(0))]);
        let mut tensors = vec![input];
        let mut nodes = Vec::with_capacity(order.len());
        for (place, &layer) in order.iter().enumerate() {
            let Some(mut node) = slots[layer].take() else { continue }; // each index comes once in `order`
            for tensor in &mut node.inputs {
                *tensor = renumbered[tensor]; // the sort found each input's producer, which came before
            }
            let output = TensorId(place + 1);
            renumbered.insert(node.output, output);
            node.output = output;
            let inputs: Vec<Shape> = node.inputs.iter().map(|tensor| tensors[tensor.0]).collect();
            tensors.push(node.op.output_shape(&inputs, layer)?);
            nodes.push(node);
        }
        check_one_output(&nodes, &order)?;
        let (params, first_param, running) = (Vec::new(), Vec::new(), Vec::new());
        Self { nodes, tensors, params, first_param, param_count: 0, running, weights_len: 0 }.place_params()
    }

    /// The nodes, each after those that it needs.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Shape of each tensor, for one sample.
    pub fn tensors(&self) -> &[Shape] {
        &self.tensors
    }

    /// Shape of one tensor, for one sample.
    ///
    /// # Panics
    /// If the graph has no such tensor.
    pub fn shape(&self, tensor: TensorId) -> Shape {
        self.tensors[tensor.0]
    }

    /// Shape of one input sample.
    pub fn input_shape(&self) -> Shape {
        self.tensors[0]
    }

    /// The tensor that holds the result.
    pub fn output(&self) -> TensorId {
        TensorId(self.tensors.len() - 1)
    }

    /// Shape of the result for one sample.
    pub fn output_shape(&self) -> Shape {
        self.shape(self.output())
    }

    /// Number of values in the result for one sample: one logit for each class.
    pub fn classes(&self) -> usize {
        self.output_shape().elements()
    }

    /// Every parameter tensor that is trained, in the order of the flat vector: node by node, weight before bias.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The parameters of node `node`, weight before bias; empty for an op without any.
    pub fn node_params(&self, node: usize) -> &[Param] {
        let from = self.first_param.get(node).copied().unwrap_or(self.params.len());
        let to = self.first_param.get(node + 1).copied().unwrap_or(self.params.len());
        &self.params[from..to]
    }

    /// The running statistics of every batch norm, which lie behind the parameters in the flat vector of weights.
    pub fn running(&self) -> &[Running] {
        &self.running
    }

    /// Trained parameters: the length of a gradient.
    pub fn param_count(&self) -> usize {
        self.param_count
    }

    /// Length of the flat vector of weights: the parameters, then the running statistics.
    pub fn weights_len(&self) -> usize {
        self.weights_len
    }

    /// The max pooling that alone reads what the ReLU `node` wrote, if that is how it is.
    ///
    /// Each maximum has the sign of the element that its gradient goes to, and no other element has a gradient: so the pooling can do the
    /// ReLU's backward pass, on fewer numbers, and nobody needs what the ReLU wrote.
    pub fn pooled(&self, node: usize) -> Option<usize> {
        let Node { op: Op::Relu, inputs, output, .. } = self.nodes.get(node)? else { return None };
        let readers = |tensor: TensorId| {
            self.nodes.iter().enumerate().filter(move |(_, reader)| reader.inputs.contains(&tensor)).map(|(i, _)| i)
        };
        let (mut of_input, mut of_output) = (readers(inputs[0]), readers(*output));
        let alone = of_input.next().is_some() && of_input.next().is_none(); // so that the gradient can stay in its place
        match (of_output.next(), of_output.next()) {
            (Some(reader), None) if alone => matches!(self.nodes[reader].op, Op::MaxPool2d(_)).then_some(reader),
            _ => None,
        }
    }

    /// Whether the backward pass of node `node` reads what the node wrote.
    pub(crate) fn backward_reads_output(&self, node: usize) -> bool {
        let Some(Node { op, inputs, .. }) = self.nodes.get(node) else { return false };
        match op {
            Op::Relu => self.pooled(node).is_none(),
            // Node i writes tensor i + 1.
            Op::MaxPool2d(_) => inputs[0].0.checked_sub(1).is_some_and(|before| self.pooled(before) == Some(node)),
            op => op.backward_reads_output(),
        }
    }

    /// Floating-point operations of node `node` for one sample, forward.
    ///
    /// # Panics
    /// If the graph has no such node.
    pub fn node_flops(&self, node: usize) -> u64 {
        let Node { op, inputs, output, .. } = &self.nodes[node];
        op.flops(self.shape(inputs[0]), self.shape(*output))
    }

    /// Floating-point operations of one sample, forward; a multiply-add counts two.
    pub fn flops(&self) -> u64 {
        (0..self.nodes.len()).map(|node| self.node_flops(node)).fold(0, u64::saturating_add)
    }

    /// Lays the parameters one after the other, running statistics behind them, and counts them.
    fn place_params(mut self) -> Result<Self, GraphError> {
        const MOST: usize = isize::MAX as usize / size_of::<f32>(); // the longest slice of f32
        let after = |offset: usize, len: usize| {
            offset.checked_add(len).filter(|&total| total <= MOST).ok_or(GraphError::TooLarge)
        };
        let mut offset = 0;
        for Node { name, op, .. } in &self.nodes {
            self.first_param.push(self.params.len());
            for spec in op.params().into_iter().flatten() {
                let (len, shape) = (spec.shape.elements(), spec.shape.dims().to_vec());
                let name = format!("{name}.{}", spec.part);
                let (kind, fan_in, fan_out) = (spec.kind, spec.fan_in, spec.fan_out);
                self.params.push(Param { name, shape, offset, len, kind, fan_in, fan_out });
                offset = after(offset, len)?;
            }
        }
        self.first_param.push(self.params.len());
        self.param_count = offset;
        for (node, Node { name, op, .. }) in self.nodes.iter().enumerate() {
            let channels = op.running_channels();
            if channels > 0 {
                self.running.push(Running { name: name.clone(), node, offset, channels });
                offset = after(offset, 2 * channels)?; // twice of what a shape was made of
            }
        }
        self.weights_len = offset;
        Ok(self)
    }
}

/// Refuses names that could not serve as keys of a checkpoint.
fn check_names(nodes: &[Node]) -> Result<(), GraphError> {
    let mut seen = BTreeSet::new();
    for (layer, Node { name, op, .. }) in nodes.iter().enumerate() {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let good = (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain);
        if !good || !seen.insert(name.as_str()) {
            return Err(GraphError::Name { layer, op: op.name() });
        }
    }
    Ok(())
}

/// Kahn's algorithm: of the nodes whose inputs are ready, always the one that comes first in the list.
fn topological_order(nodes: &[Node]) -> Result<Vec<usize>, GraphError> {
    let mut producers = BTreeMap::new();
    for (second, node) in nodes.iter().enumerate() {
        if node.output == TensorId(0) {
            return Err(GraphError::WritesInput { layer: second, op: node.op.name() });
        }
        if let Some(first) = producers.insert(node.output, second) {
            return Err(GraphError::TwoProducers { tensor: node.output, first, second });
        }
    }
    let mut consumers = vec![Vec::new(); nodes.len()];
    let mut waits_for = vec![0usize; nodes.len()];
    for (layer, node) in nodes.iter().enumerate() {
        let op = node.op.name();
        if node.inputs.len() != node.op.arity() {
            return Err(GraphError::Inputs { layer, op, expected: node.op.arity(), found: node.inputs.len() });
        }
        for &tensor in node.inputs.iter().filter(|&&tensor| tensor != TensorId(0)) {
            let &producer = producers.get(&tensor).ok_or(GraphError::MissingTensor { layer, op, tensor })?;
            consumers[producer].push(layer);
            waits_for[layer] += 1;
        }
    }
    let mut ready: BinaryHeap<_> = (0..nodes.len()).filter(|&layer| waits_for[layer] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(layer)) = ready.pop() {
        order.push(layer);
        for &consumer in &consumers[layer] {
            waits_for[consumer] -= 1;
            if waits_for[consumer] == 0 {
                ready.push(Reverse(consumer));
            }
        }
    }
    match waits_for.iter().position(|&waits| waits > 0) {
        Some(layer) => Err(GraphError::Cycle { layer, op: nodes[layer].op.name() }),
        None => Ok(order),
    }
}

/// Only the last tensor may have no reader.
fn check_one_output(nodes: &[Node], order: &[usize]) -> Result<(), GraphError> {
    let read: BTreeSet<TensorId> = nodes.iter().flat_map(|node| node.inputs.iter().copied()).collect();
    let last = nodes.len() - 1;
    match (0..last).find(|&i| !read.contains(&nodes[i].output)) {
        Some(i) => {
            let (first, second) = (order[i].min(order[last]), order[i].max(order[last]));
            Err(GraphError::TwoOutputs { first, second })
        }
        None => Ok(()),
    }
}

/// What is stored of a graph: everything else is inferred again when it is read back, so a file cannot contradict itself.
#[cfg(feature = "std")]
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphSpec {
    input: Shape,
    nodes: Vec<Node>,
}

#[cfg(feature = "std")]
impl From<Graph> for GraphSpec {
    fn from(graph: Graph) -> Self {
        Self { input: graph.tensors[0], nodes: graph.nodes }
    }
}

#[cfg(feature = "std")]
impl TryFrom<GraphSpec> for Graph {
    type Error = GraphError;

    fn try_from(spec: GraphSpec) -> Result<Self, GraphError> {
        Self::from_nodes(spec.input, spec.nodes)
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::error::ShapeError;
    use proptest::prelude::*;

    fn digit() -> Shape {
        Shape::new(&[1, 28, 28]).unwrap()
    }

    fn node(name: &str, op: Op, input: usize, output: usize) -> Node {
        Node { name: name.into(), op, inputs: vec![TensorId(input)], output: TensorId(output) }
    }

    fn linear(in_features: usize, out_features: usize) -> Op {
        Op::Linear { in_features, out_features }
    }

    /// Names, shapes and places as `nn.Sequential(Flatten(), Linear(784, 512), ReLU(), Linear(512, 10))` has them.
    #[test]
    fn mlp_is_pytorchs_sequential() {
        let graph = Graph::mlp(&[512], Op::Relu, digit(), 10).unwrap();
        let ops: Vec<_> = graph.nodes().iter().map(|node| (node.name.as_str(), node.op)).collect();
        assert_eq!(ops, [("0", Op::Flatten), ("1", linear(784, 512)), ("2", Op::Relu), ("3", linear(512, 10))]);
        let params: Vec<_> = graph.params().iter().map(|p| (p.name.as_str(), p.shape.clone(), p.range())).collect();
        let bias = 784 * 512;
        assert_eq!(params[0], ("1.weight", vec![512, 784], 0..bias));
        assert_eq!(params[1], ("1.bias", vec![512], bias..bias + 512));
        assert_eq!(params[2], ("3.weight", vec![10, 512], bias + 512..bias + 512 + 5120));
        assert_eq!(params[3], ("3.bias", vec![10], bias + 5632..bias + 5642));
        assert_eq!(graph.param_count(), 407_050);
        assert_eq!(graph.params().iter().map(|p| p.fan_in).collect::<Vec<_>>(), [784, 784, 512, 512]);
        assert_eq!(graph.flops(), 2 * 784 * 512 + 512 + 2 * 512 * 10);
        assert_eq!(
            (graph.input_shape(), graph.output_shape(), graph.classes()),
            (digit(), Shape::new(&[10]).unwrap(), 10)
        );
        assert_eq!(graph.node_params(3), &graph.params()[2..]);
        assert_eq!(graph.node_params(1)[1].name, "1.bias");
        assert!(graph.node_params(0).is_empty() && graph.node_params(2).is_empty() && graph.node_params(99).is_empty());
    }

    #[test]
    fn softmax_regression_has_no_activation() {
        let graph = Graph::mlp(&[], Op::Tanh, digit(), 10).unwrap();
        assert_eq!(graph.nodes().iter().map(|node| node.op).collect::<Vec<_>>(), [Op::Flatten, linear(784, 10)]);
        assert_eq!(graph.param_count(), 7850);
    }

    #[test]
    fn errors_name_the_layer() {
        let built = |ops: &[Op]| Graph::sequential(digit(), ops).unwrap_err().to_string();
        let cases = [
            (built(&[]), "a network needs at least one layer, found none"),
            (
                built(&[linear(784, 10)]),
                "layer 0 (linear): expected an input of 784 values in one dimension, found 1x28x28",
            ),
            (
                built(&[Op::Flatten, linear(784, 100), Op::Relu, linear(99, 10)]),
                "layer 3 (linear): expected an input of 99 values in one dimension, found 100",
            ),
            (built(&[Op::Flatten, linear(784, 0)]), "layer 1 (linear): a dimension needs 1 elements but has 0"),
            (
                built(&[Op::Flatten, linear(784, usize::MAX)]),
                "layer 1 (linear): the product of the sizes does not fit in a machine word",
            ),
            (
                Graph::mlp(&[8], Op::Flatten, digit(), 10).unwrap_err().to_string(),
                "expected an activation (relu, tanh or sigmoid) between linear layers, found flatten",
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(message, expected);
        }
        let zero_width = Graph::mlp(&[8, 0], Op::Relu, digit(), 10).unwrap_err();
        assert!(matches!(zero_width, GraphError::Shape { layer: 3, op: "linear", .. }), "{zero_width}");
        let half = isize::MAX as usize / 4 / 784; // fits alone, but not twice
        let large = Graph::sequential(digit(), &[Op::Flatten, linear(784, half), linear(half, 784)]).unwrap_err();
        assert_eq!(large, GraphError::TooLarge);
        let many = Graph::sequential(digit(), &[Op::Relu; MAX_NODES + 1]).unwrap_err();
        assert_eq!(many, GraphError::TooManyLayers { most: MAX_NODES, found: MAX_NODES + 1 });
    }

    #[test]
    fn nodes_that_are_no_network() {
        let built = |nodes: &[Node]| Graph::from_nodes(digit(), nodes.to_vec()).unwrap_err();
        let (flatten, relu) = (node("a", Op::Flatten, 0, 1), node("b", Op::Relu, 1, 2));
        let missing = node("b", Op::Relu, 7, 2);
        assert_eq!(
            built(&[flatten.clone(), missing]),
            GraphError::MissingTensor { layer: 1, op: "relu", tensor: TensorId(7) }
        );
        let again = node("c", Op::Relu, 0, 1);
        assert_eq!(
            built(&[flatten.clone(), relu.clone(), again]),
            GraphError::TwoProducers { tensor: TensorId(1), first: 0, second: 2 }
        );
        assert_eq!(built(&[node("a", Op::Relu, 0, 0)]), GraphError::WritesInput { layer: 0, op: "relu" });
        assert_eq!(built(&[node("a", Op::Relu, 1, 1)]), GraphError::Cycle { layer: 0, op: "relu" });
        let ring = [flatten.clone(), node("b", Op::Relu, 3, 2), node("c", Op::Tanh, 2, 3)];
        assert_eq!(built(&ring), GraphError::Cycle { layer: 1, op: "relu" });
        let fork = [flatten.clone(), relu.clone(), node("c", Op::Tanh, 1, 3)];
        assert_eq!(built(&fork), GraphError::TwoOutputs { first: 1, second: 2 });
        let none = Node { inputs: vec![], ..relu.clone() };
        assert_eq!(built(&[flatten.clone(), none]), GraphError::Inputs { layer: 1, op: "relu", expected: 1, found: 0 });
        for name in ["", "a", "a b", "ä", "a\n", &"x".repeat(65)] {
            let renamed = Node { name: name.into(), ..relu.clone() };
            assert_eq!(built(&[flatten.clone(), renamed]), GraphError::Name { layer: 1, op: "relu" }, "{name:?}");
        }
        let wrong = [node("late", linear(9, 10), 5, 9), node("early", Op::Flatten, 0, 5)];
        assert!(matches!(built(&wrong), GraphError::Features { layer: 0, .. }), "layers count as they were given");
    }

    #[test]
    fn json_is_read_back_and_validated() {
        let graph = Graph::mlp(&[3], Op::Sigmoid, Shape::new(&[4]).unwrap(), 2).unwrap();
        let json = serde_json::to_string(&graph).unwrap();
        let expected = r#"{"input":[4],"nodes":[{"name":"0","op":"flatten","inputs":[0],"output":1},{"name":"1","op":{"linear":{"in_features":4,"out_features":3}},"inputs":[1],"output":2},{"name":"2","op":"sigmoid","inputs":[2],"output":3},{"name":"3","op":{"linear":{"in_features":3,"out_features":2}},"inputs":[3],"output":4}]}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Graph>(&json).unwrap(), graph);
        let broken = [
            ("\"in_features\":4", "\"in_features\":5"),
            ("\"in_features\":4", "\"in_features\":4,\"bias\":false"),
            ("\"output\":1", "\"output\":2"),
            ("\"inputs\":[3]", "\"inputs\":[4]"),
            ("\"inputs\":[3]", "\"inputs\":[]"),
            ("sigmoid", "softplus"),
            ("\"input\":[4]", "\"input\":[0]"),
            ("\"input\":[4]", "\"input\":[4],\"more\":1"),
        ];
        for (from, to) in broken {
            let text = json.replacen(from, to, 1);
            assert_ne!(text, json);
            assert!(serde_json::from_str::<Graph>(&text).is_err(), "{from} -> {to}");
        }
        let error = serde_json::from_str::<Graph>(&json.replacen("\"in_features\":4", "\"in_features\":5", 1));
        let expected = "layer 1 (linear): expected an input of 5 values in one dimension, found 4";
        assert!(error.unwrap_err().to_string().contains(expected));
    }

    #[test]
    fn overflow_of_a_shape_is_no_panic() {
        let input = Shape::new(&[usize::MAX]).unwrap();
        let graph = Graph::sequential(input, &[Op::Flatten, linear(usize::MAX, 1)]);
        assert_eq!(graph.unwrap_err(), GraphError::TooLarge);
        let error = Graph::sequential(input, &[linear(usize::MAX, 2)]).unwrap_err();
        assert_eq!(error, GraphError::Shape { layer: 0, op: "linear", error: ShapeError::Overflow });
    }

    proptest! {
        /// Whatever order and numbers the nodes come in, the network is the same.
        #[test]
        fn order_and_numbers_do_not_matter(widths in prop::collection::vec(1usize..50, 0..6), seed in any::<u64>()) {
            let graph = Graph::mlp(&widths, Op::Tanh, digit(), 10).unwrap();
            let number = |t: TensorId| TensorId(if t.0 == 0 { 0 } else { t.0.wrapping_mul(0x9e37_79b9) ^ 0x5_0000 });
            let mut nodes = graph.nodes().to_vec();
            for node in &mut nodes {
                node.inputs.iter_mut().for_each(|t| *t = number(*t));
                node.output = number(node.output);
            }
            let mut state = seed;
            for i in (1..nodes.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                nodes.swap(i, (state >> 33) as usize % (i + 1));
            }
            prop_assert_eq!(Graph::from_nodes(digit(), nodes).unwrap(), graph);
        }
    }
}

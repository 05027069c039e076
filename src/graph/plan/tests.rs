//! No operand is overwritten before it was read, and the arena is as small as it can be.

use super::*;
use crate::graph::op::Op;
use crate::graph::sizes::{Conv2d, Probability, Window};
use crate::shape::Shape;
use proptest::prelude::*;

/// What a float of the arena holds: something computed, by a number.
type Content = usize;

/// An arena in which each float remembers what was written to it last.
struct Arena(Vec<Content>);

impl Arena {
    fn write(&mut self, range: Range<usize>, content: Content) {
        self.0[range].fill(content);
    }

    #[track_caller]
    fn expect(&self, range: Range<usize>, content: Content) {
        assert!(self.0[range.clone()].iter().all(|&c| c == content), "{range:?} was overwritten");
    }
}

/// Runs a forward pass, and a backward pass in training, as the trainer does, checking every operand before it is read.
fn execute(graph: &Graph, plan: &Plan, training: bool) {
    let n = graph.nodes().len();
    let mut arena = Arena(vec![usize::MAX; plan.arena_len()]);
    let mut value: Vec<Content> = (0..=n).collect();
    let gradient = |tensor: TensorId| 1000 + tensor.0;
    let left = |node: usize| 2000 + node;
    arena.write(plan.value(TensorId(0)), 0);
    for (i, node) in graph.nodes().iter().enumerate() {
        let y = node.output;
        let mut operands = vec![plan.value(y)];
        for x in &node.inputs {
            arena.expect(plan.value(*x), value[x.0]);
            if plan.overwritten(i) != Some(*x) && !operands.contains(&plan.value(*x)) {
                operands.push(plan.value(*x));
            }
        }
        if node.op.is_identity(training) {
            value[y.0] = value[node.inputs[0].0]; // the same contents
        }
        operands.extend(plan.saved(i));
        disjoint(&operands);
        arena.write(plan.value(y), value[y.0]);
        if let Some(saved) = plan.saved(i) {
            arena.write(saved, left(i));
        }
    }
    let logits = graph.output();
    arena.expect(plan.value(logits), value[logits.0]);
    if !training {
        assert!((0..=n).all(|tensor| plan.gradient(TensorId(tensor)).is_none()));
        return;
    }
    let Some(d_logits) = plan.gradient(logits) else {
        assert_eq!(graph.param_count(), 0, "a network with parameters has a gradient");
        return;
    };
    disjoint(&[plan.value(logits), d_logits.clone()]);
    arena.write(d_logits, gradient(logits));
    let mut written = vec![false; n + 1];
    for (i, node) in graph.nodes().iter().enumerate().rev() {
        let y = node.output;
        let Some(d_y) = plan.gradient(y) else {
            assert!(!node.op.has_params());
            continue;
        };
        arena.expect(d_y.clone(), gradient(y));
        let mut operands = vec![d_y.clone()];
        if node.op.backward_reads_input() {
            let x = node.inputs[0];
            arena.expect(plan.value(x), value[x.0]);
            operands.push(plan.value(x));
        }
        if graph.backward_reads_output(i) {
            arena.expect(plan.value(y), value[y.0]);
            operands.push(plan.value(y));
        }
        if let Some(saved) = plan.saved(i) {
            arena.expect(saved.clone(), left(i));
            operands.push(saved);
        }
        for x in &node.inputs {
            let Some(d_x) = plan.gradient(*x) else { continue };
            if written[x.0] {
                arena.expect(d_x.clone(), gradient(*x)); // a sum that this node adds to
            }
            written[x.0] = true;
            if d_x != d_y && !operands.contains(&d_x) {
                operands.push(d_x);
            }
        }
        disjoint(&operands);
        for x in &node.inputs {
            if let Some(d_x) = plan.gradient(*x) {
                arena.write(d_x, gradient(*x));
            }
        }
    }
}

#[track_caller]
fn disjoint(ranges: &[Range<usize>]) {
    for (i, a) in ranges.iter().enumerate() {
        for b in &ranges[..i] {
            assert!(a.end <= b.start || b.end <= a.start, "{a:?} and {b:?} overlap");
        }
    }
}

fn mlp(hidden: &[usize]) -> Graph {
    Graph::mlp(hidden, Op::Relu, Shape::new(&[1, 28, 28]).unwrap(), 10).unwrap()
}

/// 784-512-10 at batch 200: everything in place, nothing wasted.
#[test]
fn the_default_network() {
    let graph = mlp(&[512]);
    let plan = Plan::training(&graph, 200).unwrap();
    let value = |t| plan.value(TensorId(t));
    assert_eq!(value(0), value(1), "flatten");
    assert_eq!(value(2), value(3), "relu");
    assert_eq!((0..4).map(|i| plan.in_place(i)).collect::<Vec<_>>(), [true, false, true, false]);
    assert_eq!(plan.gradient(TensorId(0)), None, "nobody wants the gradient of the pixels");
    assert_eq!(plan.gradient(TensorId(1)), None);
    assert_eq!(plan.gradient(TensorId(2)), plan.gradient(TensorId(3)), "relu backward");
    assert!(plan.gradient_in_place(2) && !plan.gradient_in_place(3) && !plan.gradient_in_place(0));
    // Pixels, hidden layer, its gradient, and the gradient of the logits at the last layer's backward pass.
    assert_eq!(plan.largest_live_set(), 200 * (784 + 512 + 512 + 10));
    assert_eq!(plan.arena_len(), plan.largest_live_set());
    assert_eq!(plan.batch(), 200);

    let plan = Plan::inference(&graph, 1).unwrap();
    assert_eq!(plan.arena_len(), 784 + 512);
    assert!((0..4).all(|i| !plan.gradient_in_place(i)));
}

#[test]
fn the_table() {
    let graph = Graph::mlp(&[4], Op::Tanh, Shape::new(&[8]).unwrap(), 2).unwrap();
    let table = Plan::training(&graph, 4).unwrap().to_string();
    let expected = "\
tensor  holds           offset        floats  steps
     0  value                0            32  0..=7
     1  value                0            32  0..=7  in place of 0
     2  value               32            16  1..=6
     3  value               32            16  1..=6  in place of 2
     4  value               48             8  3..=4
     4  gradient            64             8  4..=5
     3  gradient            48            16  5..=7
     2  gradient            48            16  5..=7  in place of 3
arena 320 bytes for a batch of 4, largest live set 320 bytes";
    assert_eq!(table, expected);
}

/// What the convolution wrote, rectified in place, is read for the last time by the pooling: its memory is the gradient's.
#[test]
fn a_pooled_relu_leaves_nothing_behind() {
    let conv = Conv2d { in_channels: 1, out_channels: 8, kernel: [3, 3], stride: 1, padding: 1, groups: 1, bias: true };
    let window = Window { kernel: [2, 2], stride: 2, padding: 0 };
    let last = Op::Linear { in_features: 8 * 16, out_features: 3 };
    let ops = [Op::Conv2d(conv), Op::Relu, Op::MaxPool2d(window), Op::Flatten, last];
    let graph = Graph::sequential(Shape::new(&[1, 8, 8]).unwrap(), &ops).unwrap();
    assert_eq!((0..5).map(|i| graph.pooled(i)).collect::<Vec<_>>(), [None, Some(2), None, None, None]);
    let plan = Plan::training(&graph, 3).unwrap();
    execute(&graph, &plan, true);
    // Pixels, maxima, places and gradient by them, and the large map once.
    let (pixels, map, pooled, classes) = (3 * 64, 3 * 8 * 64, 3 * 8 * 16, 16);
    assert!(plan.arena_len() <= pixels + map + 3 * pooled + classes, "{}", plan.arena_len());
    // Read by somebody else too, it stays.
    let node = |i: usize, op: Op, inputs: &[usize]| Node {
        name: i.to_string(),
        op,
        inputs: inputs.iter().map(|tensor| TensorId(*tensor)).collect(),
        output: TensorId(i + 1),
    };
    let one = Window { kernel: [1, 1], stride: 1, padding: 0 };
    let nodes = vec![
        node(0, Op::Conv2d(conv), &[0]),
        node(1, Op::Relu, &[1]),
        node(2, Op::MaxPool2d(one), &[2]),
        node(3, Op::Add, &[3, 2]),
        node(4, Op::Relu, &[4]),
        node(5, Op::MaxPool2d(window), &[5]),
        node(6, Op::Tanh, &[6]),
        node(7, Op::Flatten, &[7]),
        node(8, last, &[8]),
    ];
    let graph = Graph::from_nodes(Shape::new(&[1, 8, 8]).unwrap(), nodes).unwrap();
    assert_eq!((graph.pooled(1), graph.pooled(4)), (None, Some(5)));
    execute(&graph, &Plan::training(&graph, 2).unwrap(), true);
    execute(&graph, &Plan::inference(&graph, 2).unwrap(), false);
}

/// The caller's input is never written to, and an activation's output is kept while its backward pass needs it.
#[test]
fn what_may_not_run_in_place() {
    let shape = Shape::new(&[4, 4]).unwrap();
    let last = Op::Linear { in_features: 16, out_features: 2 };
    let graph = Graph::sequential(shape, &[Op::Relu, Op::Flatten, Op::Tanh, Op::Relu, last]).unwrap();
    let in_place = |plan: Plan| (0..plan.inputs.len()).map(|i| plan.in_place(i)).collect::<Vec<_>>();
    assert_eq!(in_place(Plan::inference(&graph, 1).unwrap()), [false, true, true, true, false]);
    assert_eq!(in_place(Plan::training(&graph, 1).unwrap()), [false, true, false, false, false]);
    let graph = Graph::sequential(shape, &[Op::Flatten, Op::Relu, last]).unwrap();
    assert_eq!(in_place(Plan::inference(&graph, 1).unwrap()), [true, false, false]);
}

#[test]
fn refusals() {
    assert_eq!(Plan::training(&mlp(&[8]), 0).unwrap_err(), GraphError::EmptyBatch);
    for batch in [usize::MAX, usize::MAX / 784, isize::MAX as usize / 784 / 4] {
        assert_eq!(Plan::training(&mlp(&[8]), batch).unwrap_err(), GraphError::TooLarge, "{batch}");
    }
}

fn op_after(shape: Shape) -> impl Strategy<Value = Op> {
    let in_features = shape.elements();
    let linear = (1usize..40).prop_map(move |out_features| Op::Linear { in_features, out_features });
    let linear = if shape.dims().len() == 1 { linear.boxed() } else { Just(Op::Flatten).boxed() };
    prop_oneof![linear, Just(Op::Flatten), Just(Op::Relu), Just(Op::Tanh), Just(Op::Sigmoid)]
}

/// Chains of any ops that fit.
fn chains() -> impl Strategy<Value = Graph> {
    fn grow(graph: Vec<Op>, shape: Shape, more: usize) -> BoxedStrategy<Vec<Op>> {
        if more == 0 {
            return Just(graph).boxed();
        }
        let extended = move |op: Op| {
            let mut ops = graph.clone();
            ops.push(op);
            grow(ops, op.output_shape(&[shape], 0).unwrap(), more - 1)
        };
        op_after(shape).prop_flat_map(extended).boxed()
    }
    let input = Shape::new(&[3, 7]).unwrap();
    (1usize..9)
        .prop_flat_map(move |len| grow(Vec::new(), input, len))
        .prop_map(move |ops| Graph::sequential(input, &ops).unwrap())
}

/// Networks of images: convolutions, poolings, norms and activations, in which any earlier map may be added again, by itself or through a
/// convolution of 1x1.
fn networks_of_images() -> impl Strategy<Value = Graph> {
    prop::collection::vec(any::<[u8; 3]>(), 1..12).prop_map(|choices| network_of(&choices))
}

/// Three numbers choose a layer, or two: which, what it reads beside the last tensor, and its size.
fn network_of(choices: &[[u8; 3]]) -> Graph {
    let input = Shape::new(&[2, 6, 6]).unwrap();
    let (mut tensors, mut nodes) = (vec![input], Vec::new());
    let mut push = |tensors: &mut Vec<Shape>, op: Op, inputs: &[usize]| {
        let shapes: Vec<Shape> = inputs.iter().map(|tensor| tensors[*tensor]).collect();
        let (name, output) = (nodes.len().to_string(), TensorId(nodes.len() + 1));
        tensors.push(op.output_shape(&shapes, nodes.len()).unwrap());
        nodes.push(Node { name, op, inputs: inputs.iter().map(|tensor| TensorId(*tensor)).collect(), output });
        tensors.len() - 1
    };
    let conv = |in_channels: usize, out_channels: usize, side: usize| {
        let (kernel, padding) = ([side, side], side / 2);
        Op::Conv2d(Conv2d { in_channels, out_channels, kernel, stride: 1, padding, groups: 1, bias: side == 3 })
    };
    let mut last = 0;
    for &[what, other, size] in choices {
        let (shape, size) = (tensors[last], usize::from(size));
        let [c, h, _] = *shape.dims() else { unreachable!("maps all the way") };
        let other = usize::from(other) % tensors.len();
        let window = Window { kernel: [2, 2], stride: 1 + size % 2, padding: 0 };
        last = match what % 12 {
            0 | 1 => push(&mut tensors, conv(c, 1 + size % 4, [1, 3][size / 4 % 2]), &[last]),
            2 if h > 1 => push(&mut tensors, Op::MaxPool2d(window), &[last]),
            3 if h > 1 => push(&mut tensors, Op::AvgPool2d(window), &[last]),
            4 => push(&mut tensors, Op::BatchNorm { features: c }, &[last]),
            5 => push(&mut tensors, Op::Dropout { p: Probability::new(0.5).unwrap() }, &[last]),
            6 => push(&mut tensors, Op::Tanh, &[last]),
            7 => push(&mut tensors, Op::Sigmoid, &[last]),
            8 | 9 if other != last && tensors[other] == shape => push(&mut tensors, Op::Add, &[last, other]),
            8..=10 if tensors[other].dims()[1..] == shape.dims()[1..] => {
                let in_channels = tensors[other].dims()[0];
                let branch = push(&mut tensors, conv(in_channels, c, 1), &[other]);
                push(&mut tensors, Op::Add, &[last, branch])
            }
            _ => push(&mut tensors, Op::Relu, &[last]),
        };
    }
    if choices.len().is_multiple_of(3) {
        last = push(&mut tensors, Op::GlobalAvgPool, &[last]);
    }
    last = push(&mut tensors, Op::Flatten, &[last]);
    let in_features = tensors[last].elements();
    push(&mut tensors, Op::Linear { in_features, out_features: 3 }, &[last]);
    Graph::from_nodes(input, nodes).unwrap()
}

proptest! {
    #[test]
    fn no_map_of_an_image_is_overwritten(graph in networks_of_images(), batch in 1usize..4) {
        execute(&graph, &Plan::inference(&graph, batch).unwrap(), false);
        execute(&graph, &Plan::training(&graph, batch).unwrap(), true);
    }

    #[test]
    fn no_operand_is_overwritten(graph in chains(), batch in 1usize..6) {
        execute(&graph, &Plan::inference(&graph, batch).unwrap(), false);
        execute(&graph, &Plan::training(&graph, batch).unwrap(), true);
    }

    #[test]
    fn buffers_alive_together_are_apart(graph in prop_oneof![chains().boxed(), networks_of_images().boxed()], batch in 1usize..6) {
        for plan in [Plan::inference(&graph, batch).unwrap(), Plan::training(&graph, batch).unwrap()] {
            for (i, a) in plan.buffers.iter().enumerate() {
                prop_assert!(a.offset % ALIGN == 0 && a.offset + a.len <= plan.arena_len());
                for b in plan.buffers[..i].iter().filter(|b| a.meets(b)) {
                    prop_assert!(a.offset + a.len <= b.offset || b.offset + b.len <= a.offset, "{a:?} {b:?}");
                }
            }
            prop_assert!(plan.largest_live_set() <= plan.arena_len());
        }
    }

    #[test]
    fn an_mlp_wastes_at_most_a_tenth(hidden in prop::collection::vec(1usize..600, 0..7), batch in 1usize..300) {
        let graph = mlp(&hidden);
        let plan = Plan::inference(&graph, batch).unwrap();
        prop_assert_eq!(plan.arena_len(), plan.largest_live_set());
        let plan = Plan::training(&graph, batch).unwrap();
        let (arena, live) = (plan.arena_len(), plan.largest_live_set());
        prop_assert!(arena * 10 <= live * 11, "{hidden:?} at {batch}: {arena} for {live}");
    }
}

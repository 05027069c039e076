//! The few messages of an ONNX file as protocol buffers write them: each field is a key, its number and how its value is written, and the
//! value. Nothing is read.
//!
//! The numbers of the fields are those of [`onnx.proto`](https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), the bytes those of the
//! [wire format](https://protobuf.dev/programming-guides/encoding/).

/// How values are written: a number of as many bytes as it needs, or a length and so many bytes.
const VARINT: u64 = 0;
const BYTES: u64 = 2;

/// A message: the bytes of its fields.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Seven bits at a time, the lowest first; all bytes but the last have the eighth bit set.
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// With a whole number, a negative one as its 64 bits.
    pub(super) fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3 | VARINT);
        self.varint(value as u64);
        self
    }

    /// With bytes.
    pub(super) fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// With text.
    pub(super) fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// With another message.
    pub(super) fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// With several.
    pub(super) fn messages(self, field: u64, values: &[Self]) -> Self {
        values.iter().fold(self, |message, value| message.message(field, value))
    }

    /// Its bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// What the numbers of a tensor are: `TensorProto.DataType`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Element {
    F32 = 1,
    U8 = 2,
    I8 = 3,
    I32 = 6,
    I64 = 7,
    F16 = 10,
}

/// A setting of a node.
#[derive(Clone, Debug)]
pub(super) enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
}

/// `AttributeProto`.
fn attribute(name: &str, value: &Attribute) -> Message {
    const INT: i64 = 2;
    const INTS: i64 = 7;
    let message = Message::default().text(1, name);
    match value {
        Attribute::Int(value) => message.int(3, *value).int(20, INT),
        Attribute::Ints(values) => values.iter().fold(message, |message, value| message.int(8, *value)).int(20, INTS),
    }
}

/// `NodeProto`: `output = op(inputs)`.
pub(super) fn node(op: &str, name: &str, inputs: &[&str], output: &str, attributes: &[(&str, Attribute)]) -> Message {
    let message = inputs.iter().fold(Message::default(), |message, input| message.text(1, input));
    let message = message.text(2, output).text(3, name).text(4, op);
    attributes.iter().fold(message, |message, (name, value)| message.message(5, &attribute(name, value)))
}

/// `TensorProto`: constants, as little-endian bytes.
pub(super) fn tensor(name: &str, element: Element, dims: &[usize], bytes: &[u8]) -> Message {
    let message = dims.iter().fold(Message::default(), |message, len| message.int(1, *len as i64));
    message.int(2, element as i64).text(8, name).bytes(9, bytes)
}

/// `ValueInfoProto` of a batch of samples: `[N, dims..]`.
pub(super) fn batch(name: &str, element: Element, dims: &[usize]) -> Message {
    let shape = Message::default().message(1, &Message::default().text(2, "N"));
    let shape = dims.iter().fold(shape, |shape, len| shape.message(1, &Message::default().int(1, *len as i64)));
    let tensor = Message::default().int(1, element as i64).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}

/// `GraphProto`.
pub(super) fn graph(
    name: &str,
    nodes: &[Message],
    constants: &[Message],
    input: &Message,
    output: &Message,
) -> Message {
    let message = Message::default().messages(1, nodes).text(2, name).messages(5, constants);
    message.message(11, input).message(12, output)
}

/// `ModelProto`, of operators as version `opset` of ONNX has them.
pub(super) fn model(ir: i64, opset: i64, text: &str, graph: &Message, properties: &[(&str, &str)]) -> Message {
    let message = Message::default().int(1, ir).text(2, "inkstone").text(3, env!("CARGO_PKG_VERSION"));
    let message = message.text(6, text).message(7, graph).message(8, &Message::default().text(1, "").int(2, opset));
    properties
        .iter()
        .fold(message, |message, (key, value)| message.message(14, &Message::default().text(1, key).text(2, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers around the ends of each length, and the two examples of the specification.
    #[test]
    fn numbers_take_seven_bits_a_byte() {
        for (value, bytes) in [
            (0, &[0][..]),
            (1, &[1]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (150, &[0x96, 1]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 1]),
            (i64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            (-2, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let message = Message::default().int(1, value).into_bytes();
            assert_eq!(message.split_first(), Some((&0x08, bytes)), "{value}");
        }
    }

    #[test]
    fn messages_lie_in_messages() {
        assert_eq!(Message::default().text(2, "testing").into_bytes(), b"\x12\x07testing");
        assert_eq!(
            Message::default().message(3, &Message::default().int(1, 150)).into_bytes(),
            b"\x1a\x03\x08\x96\x01"
        );
        assert_eq!(Message::default().int(20, 7).into_bytes(), [0xa0, 1, 7]); // a key of two bytes
    }

    #[test]
    fn a_node_names_its_op_inputs_and_settings() {
        let settings = [("axis", Attribute::Int(1)), ("pads", Attribute::Ints(vec![0, 2]))];
        let want = [
            &b"\x0a\x01x\x0a\x01y\x12\x01z\x1a\x01n\x22\x03Add"[..],
            b"\x2a\x0b\x0a\x04axis\x18\x01\xa0\x01\x02",
            b"\x2a\x0d\x0a\x04pads\x40\x00\x40\x02\xa0\x01\x07",
        ];
        assert_eq!(node("Add", "n", &["x", "y"], "z", &settings).into_bytes(), want.concat());
    }
}

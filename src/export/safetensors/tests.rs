//! The constants of images as they are read back.

use super::*;
use crate::export::image::{self, Image};
use crate::kernels::Isa;
use crate::quant::program::{Program, ProgramStep, ProgramTensor};
use crate::runtime::format::StepKind;
use ::safetensors::SafeTensors;
use serde_json::{Value, json};

/// A convolution of two 1x2 kernels over two channels, then for bytes a table.
fn program(kind: Kind) -> Program {
    let (weight, bias) = (8 * kind.weight_bytes(), 8);
    let constants = if kind == Kind::I8 { vec![weight, bias, 8, 8] } else { vec![weight, bias] };
    let filled = |(i, len): (usize, usize)| if i == 3 { vec![0; len] } else { vec![i as u8 + 1; len] };
    let conv = ProgramStep {
        kernel: [1, 2],
        stride: 1,
        groups: 1,
        clamp: if kind == Kind::I8 { (-3, 100) } else { (0, 0) },
        constants: constants.into_iter().enumerate().map(filled).collect(),
        ..ProgramStep::new("conv", StepKind::Conv, 1)
    };
    let table = if kind == Kind::I8 { vec![vec![9; 256]] } else { vec![] };
    let map = ProgramStep { constants: table, ..ProgramStep::new("map", StepKind::Map, 2) };
    let tensor = |dims| match kind {
        Kind::I8 => ProgramTensor { dims, scale: 0.5, zero_point: -4 },
        _ => ProgramTensor::plain(dims),
    };
    Program {
        kind,
        normalization: Some([0.25, -1.0]),
        classes: vec!["a".into(), "b".into()],
        release: 3,
        tensors: vec![ProgramTensor::plain([2, 1, 2]), tensor([2, 1, 2]), tensor([2, 1, 1]), tensor([2, 1, 1])],
        steps: vec![ProgramStep::new("pixels", StepKind::Pixels, 0), conv, map],
    }
}

/// Every constant, as it lies in the image; reproducible.
#[test]
fn constants_are_those_of_the_image() {
    /// Name, type, sizes, and a byte that the tensor begins with.
    type Wanted = (&'static str, Dtype, &'static [usize], u8);
    let tables: [(Kind, &[Wanted]); 3] = [
        (Kind::F32, &[("step1.bias", Dtype::F32, &[2], 2), ("step1.weight", Dtype::F32, &[2, 2, 1, 2], 1)]),
        (Kind::F16, &[("step1.bias", Dtype::F32, &[2], 2), ("step1.weight", Dtype::F16, &[2, 2, 1, 2], 1)]),
        (
            Kind::I8,
            &[
                ("step1.bias", Dtype::I32, &[2], 2),
                ("step1.multiplier", Dtype::I32, &[2], 3),
                ("step1.shift", Dtype::I32, &[2], 0),
                ("step1.weight", Dtype::I8, &[2, 1, 2, 2], 1),
                ("step2.table", Dtype::I8, &[256], 9),
            ],
        ),
    ];
    for (kind, wanted) in tables {
        let image = image::write(&program(kind)).unwrap();
        let bytes = tensors(&image.model().unwrap()).unwrap();
        assert_eq!(bytes, tensors(&image.model().unwrap()).unwrap());
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut names = file.names();
        names.sort_unstable();
        assert_eq!(names, wanted.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
        for (name, dtype, shape, byte) in wanted {
            let tensor = file.tensor(name).unwrap();
            assert_eq!((tensor.dtype(), tensor.shape()), (*dtype, *shape), "{name}");
            assert!(tensor.data().iter().all(|found| found == byte), "{name}");
        }
    }
}

#[test]
fn the_metadata_says_what_constants_do_not() {
    let image = image::write(&program(Kind::I8)).unwrap();
    let bytes = tensors(&image.model().unwrap()).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata.len(), 1);
    let quantized = |dims: [usize; 3]| json!({"dims": dims, "scale": 0.5, "zero_point": -4});
    assert_eq!(
        serde_json::from_str::<Value>(&metadata[KEY]).unwrap(),
        json!({
            "kind": "int8",
            "normalization": [0.25, -1.0],
            "classes": ["a", "b"],
            "release": 3,
            "tensors": [{"dims": [2, 1, 2]}, quantized([2, 1, 2]), quantized([2, 1, 1]), quantized([2, 1, 1])],
            "steps": [
                {"op": "pixels", "reads": [0]},
                {"op": "conv", "reads": [1], "kernel": [1, 2], "stride": 1, "padding": 0, "groups": 1, "clamp": [-3, 100]},
                {"op": "table", "reads": [2]},
            ],
        })
    );
}

/// Of floats as numbers; of bytes as they are, and as the numbers that they stand for.
#[test]
fn golden_vectors_are_what_the_runtime_gives() {
    let pixels: [u8; 8] = [0, 1, 2, 255, 9, 8, 7, 6];
    for kind in [Kind::F32, Kind::F16, Kind::I8] {
        let image = image::write(&program(kind)).unwrap();
        let model = image.model().unwrap();
        let bytes = golden_reals(&Reals::of(&model, &pixels).unwrap()).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (inputs, logits) = (file.tensor("inputs").unwrap(), file.tensor("logits").unwrap());
        assert_eq!((inputs.dtype(), inputs.shape(), inputs.data()), (Dtype::U8, &[2, 4][..], &pixels[..]));
        assert_eq!((logits.dtype(), logits.shape()), (Dtype::F32, &[2, 2][..]));
        let mut arena = Image::zeros(model.arena_len(Isa::SCALAR, 1).unwrap());
        let mut bound = model.bind_with(Isa::SCALAR, 1, arena.bytes_mut()).unwrap();
        let mut wanted = Vec::new();
        for picture in pixels.chunks_exact(4) {
            bound.input_mut().copy_from_slice(picture);
            let output = bound.run();
            wanted.extend([output.logit(0, 0), output.logit(0, 1)]);
        }
        assert_eq!(logits.data(), singles(&wanted), "{kind:?}");
        match Golden::of(&model, &pixels) {
            Ok(of_bytes) => {
                // The table has one number, 9, which stands for 0.5 · (9 + 4).
                assert_eq!((kind, of_bytes.logits(), wanted), (Kind::I8, &[9; 4][..], vec![6.5; 4]));
                let file = golden(&of_bytes).unwrap();
                let file = SafeTensors::deserialize(&file).unwrap();
                let logits = file.tensor("logits").unwrap();
                assert_eq!((logits.dtype(), logits.shape(), logits.data()), (Dtype::I8, &[2, 2][..], &[9; 4][..]));
                assert_eq!(file.tensor("inputs").unwrap().data(), pixels);
            }
            Err(error) => assert!(kind != Kind::I8 && matches!(error, ExportError::Unsupported(_)), "{error}"),
        }
        for len in [0, 3, 5] {
            assert!(matches!(Reals::of(&model, &pixels[..len]), Err(ExportError::Program(_))), "{kind:?}: {len}");
        }
    }
}

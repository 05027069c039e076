//! The bytes of ONNX files, and what is refused; `tests/export_onnx.rs` has ONNX Runtime read them.

use super::bytes::turned;
use super::*;
use crate::export::image;
use crate::quant::program::{Program, ProgramStep, ProgramTensor};
use crate::runtime::format::StepKind;

/// Two pixels as bytes of scale 1 and zero point 0, and what `step` makes of them, of scale `scale`.
fn program(step: ProgramStep, dims: [usize; 3], scale: f32) -> Program {
    Program {
        kind: Kind::I8,
        normalization: Some([1.0, 0.0]),
        classes: (0..dims.iter().product()).map(|class| format!("class {class}")).collect(),
        release: 0,
        tensors: vec![
            ProgramTensor::plain([2, 1, 1]),
            ProgramTensor { dims: [2, 1, 1], scale: 1.0, zero_point: 0 },
            ProgramTensor { dims, scale, zero_point: 0 },
        ],
        steps: vec![ProgramStep::new("pixels", StepKind::Pixels, 0), step],
    }
}

fn refusal(program: &Program) -> String {
    match onnx(&image::write(program).unwrap().model().unwrap()) {
        Err(ExportError::Unsupported(text)) => text,
        other => panic!("{:?}", other.map(|bytes| bytes.len())),
    }
}

/// `x + x` by factors of a half.
fn sum() -> ProgramStep {
    ProgramStep {
        b: Some(1),
        clamp: (-128, 127),
        multipliers: [1, 1],
        shift: 1,
        ..ProgramStep::new("add", StepKind::Add, 1)
    }
}

/// A layer of one output, all of whose factors are 1/2.
fn dense() -> ProgramStep {
    let constants = vec![vec![3, 0xfe], 5i32.to_le_bytes().into(), (1i32 << 30).to_le_bytes().into(), vec![0; 4]];
    ProgramStep { clamp: (-128, 127), constants, ..ProgramStep::new("dense", StepKind::Dense, 1) }
}

fn mean() -> ProgramStep {
    let (kernel, stride, clamp) = ([1, 1], 1, (-128, 127));
    ProgramStep { kernel, stride, clamp, multipliers: [1 << 30, 0], ..ProgramStep::new("mean", StepKind::AvgPool, 1) }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|bytes| bytes == part)
}

#[test]
fn factors_are_those_of_the_scales() {
    for (step, name) in [(sum(), "add"), (mean(), "avg-pool")] {
        assert!(onnx(&image::write(&program(step.clone(), [2, 1, 1], 2.0)).unwrap().model().unwrap()).is_ok());
        assert_eq!(
            refusal(&program(step, [2, 1, 1], 4.0)),
            format!("step 1 ({name}) has the factor 5e-1, its tensors' scales say 2.5e-1: ONNX knows only the scales")
        );
    }
}

#[test]
fn the_factor_of_pixels_is_that_of_their_scale() {
    let by_image = |scale: f32| {
        let mut program = program(sum(), [2, 1, 1], 2.0 * scale);
        program.normalization = None;
        (program.steps[0].multipliers, program.steps[0].shift) = ([4, 0], 1);
        program.tensors[1].scale = scale;
        program
    };
    assert!(onnx(&image::write(&by_image(0.5)).unwrap().model().unwrap()).is_ok());
    assert_eq!(
        refusal(&by_image(1.0)),
        "step 0 (pixels) has the factor 2e0, its tensors' scales say 1e0: ONNX knows only the scales"
    );
}

#[test]
fn scales_are_numbers_of_single_precision() {
    let refused =
        |what: &str, scale: &str| format!("{what} is {scale}, with which ONNX cannot compute in single precision");
    let mut tiny = program(dense(), [1, 1, 1], 1.0);
    tiny.tensors[1].scale = 1e-40;
    assert_eq!(refusal(&tiny), refused("the scale of tensor 1", "1e-40"));
    assert_eq!(refusal(&program(dense(), [1, 1, 1], 1e38)), refused("the scale of a weight of step 1 (dense)", "5e37"));
    assert_eq!(
        refusal(&program(dense(), [1, 1, 1], 1e-38)),
        refused("the scale of a weight of step 1 (dense)", "5e-39")
    );
    assert_eq!(refusal(&program(dense(), [1, 1, 1], 1e30)), refused("the scale of a sum of step 1 (dense)", "5e29"));
}

/// The zero point of the input leaves the bias; what reads the file subtracts it from the bytes.
#[test]
fn layers_of_bytes_have_weights_and_biases_without_zero_points() {
    let mut program = program(dense(), [1, 1, 1], 1.0);
    program.tensors[1].zero_point = -7;
    let bytes = onnx(&image::write(&program).unwrap().model().unwrap()).unwrap();
    assert!(contains(&bytes, b"\x42\x0edense_1.weight\x4a\x02\x03\xfe"));
    let bias: i32 = 5 - 7; // Σ q·w + 5 = Σ (q + 7)·w + 5 − 7·Σ w, of the weights 3 and −2
    assert!(contains(&bytes, &[b"\x42\x0cdense_1.bias\x4a\x04", &i32::to_le_bytes(bias)[..]].concat()));
    assert!(contains(&bytes, b"\x42\x0dt1.zero_point\x4a\x01\x79")); // 121 = −7 + 128
    assert!(contains(&bytes, &[b"\x42\x14dense_1.weight_scale\x4a\x04", &0.5f32.to_le_bytes()[..]].concat()));
}

#[test]
fn weights_turn_from_channels_last_to_first() {
    assert!(turned(&[1, 2, 3, 4, 5, 6], 2, 3).eq([1, 4, 2, 5, 3, 6])); // two pixels of three channels
}

/// The same image gives the same file, which says who wrote it and what its classes are.
#[test]
fn files_are_reproducible_and_say_whose_they_are() {
    let image = image::write(&program(sum(), [2, 1, 1], 2.0)).unwrap();
    let bytes = onnx(&image.model().unwrap()).unwrap();
    assert_eq!(bytes, onnx(&image.model().unwrap()).unwrap());
    assert!(bytes.starts_with(b"\x08\x07\x12\x08inkstone\x1a"));
    assert!(contains(&bytes, b"class 0\nclass 1") && contains(&bytes, b"pixels") && contains(&bytes, b"logits"));
}

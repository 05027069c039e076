//! Round trips to the bit, every kind of damage, and saves cut short at every point.

mod atomic;
mod model;
mod run_dir;

use super::*;
use crate::data::normalize::Normalize;
use crate::graph::{Graph, Op};
use crate::shape::Shape;
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::fs;
use tempfile::{TempDir, tempdir};

fn graph() -> Graph {
    Graph::mlp(&[3], Op::Relu, Shape::new(&[1, 2, 2]).unwrap(), 2).unwrap()
}

fn meta() -> Meta {
    Meta { normalize: Normalize::MeanStd { mean: 0.1307, std: 0.3081 }, classes: vec!["zero".into(), "one".into()] }
}

/// Numbers that show any change: no two alike, signs, a subnormal, a negative zero.
fn numbers(len: usize, seed: f32) -> Vec<f32> {
    let start = (seed * 10.0).round() as u32;
    let scattered = |i| (start + i as u32).wrapping_mul(2_654_435_761) >> 8; // 24 bits: exact in f32, on any machine
    let mut numbers: Vec<f32> = (0..len).map(|i| scattered(i) as f32 / 16_777_216.0 - 0.5).collect();
    [numbers[0], numbers[1]] = [-0.0, f32::MIN_POSITIVE / 8.0];
    numbers
}

fn params() -> Vec<f32> {
    numbers(graph().param_count(), 1.0)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn listing(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[track_caller]
fn says(error: &CheckpointError, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

//! A process that serves the int8 image of a published network, two convolutions and two linear layers, takes little more memory than the
//! image. Without the usual harness: the process that is measured does nothing else.

use inkstone::export::image::{Image, write};
use inkstone::graph::{Conv2d, Graph, Op, Window};
use inkstone::quant::convert;
use inkstone::quant::float::About;
use inkstone::quant::lower::lower;
use inkstone::shape::Shape;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Command;

/// The most that the process may hold: the image is 1.6 MiB.
const MOST: u64 = 8 << 20;

fn main() {
    if let Some(file) = std::env::args().nth(1).filter(|word| word.ends_with(".ink")) {
        return serve(Path::new(&file));
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.ink");
    fs::write(&file, network().bytes()).unwrap();
    let output = Command::new(std::env::current_exe().unwrap()).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    print!("{said}");
    let Some(bytes) = said.trim().rsplit(' ').nth(1).and_then(|word| word.parse::<u64>().ok()) else {
        println!("this system does not say what a process holds");
        return;
    };
    assert!(bytes < MOST, "{bytes} bytes, expected less than {MOST}");
}

/// Reads the image, and a hundred digits after it.
fn serve(file: &Path) {
    let len = fs::metadata(file).unwrap().len() as usize;
    let mut image = Image::zeros(len);
    File::open(file).unwrap().read_exact(image.bytes_mut()).unwrap();
    let model = image.model().unwrap();
    let mut arena = Image::zeros(model.arena_len(inkstone::kernels::Isa::best(), 1).unwrap());
    let mut bound = model.bind(arena.bytes_mut()).unwrap();
    let mut classes = 0;
    for digit in 0..100u32 {
        bound.input_mut().iter_mut().enumerate().for_each(|(at, pixel)| *pixel = (at as u32 * digit % 251) as u8);
        classes += bound.run().class(0);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    match most {
        Some(kilobytes) => {
            println!("an image of {len} bytes, classes {classes}: the process held at most {} bytes", kilobytes << 10)
        }
        None => println!("an image of {len} bytes, classes {classes}"),
    }
}

/// Two convolutions of 32 and 64 channels, a pooling, linear layers of 128 and 10.
fn network() -> Image {
    let conv = |in_channels, out_channels| {
        Op::Conv2d(Conv2d { in_channels, out_channels, kernel: [3, 3], stride: 1, padding: 1, groups: 1, bias: true })
    };
    let ops = [
        conv(1, 32),
        Op::Relu,
        conv(32, 64),
        Op::Relu,
        Op::MaxPool2d(Window { kernel: [2, 2], stride: 2, padding: 0 }),
        Op::Flatten,
        Op::Linear { in_features: 12_544, out_features: 128 },
        Op::Relu,
        Op::Linear { in_features: 128, out_features: 10 },
    ];
    let graph = Graph::sequential(Shape::new(&[1, 28, 28]).unwrap(), &ops).unwrap();
    let weights: Vec<f32> = (0..graph.weights_len()).map(|i| (i * 7919 % 201) as f32 / 2000.0 - 0.05).collect();
    let lowered = lower(&graph, &weights).unwrap();
    let classes = (0..10).map(|class| class.to_string()).collect();
    let about = About { normalization: Some([1.0 / 255.0, 0.0]), classes, release: 0 };
    write(&convert::program(&lowered, &about, &vec![(-4.0, 4.0); lowered.dims.len()]).unwrap()).unwrap()
}

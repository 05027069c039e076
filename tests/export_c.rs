//! The C source of a model: every compiler here takes it without a warning, and what it computes is equal to the runtime to the bit.
#![cfg(feature = "std")]

mod source_support;

use inkstone::export::ExportError;
use inkstone::export::c_source::c_source;
use inkstone::export::golden::Golden;
use inkstone::kernels::Isa;
use inkstone::runtime::{Kind, Model};
use source_support::{image, logits, pictures, programs, small_cnn};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// What sources must pass everywhere.
const STRICT: [&str; 6] = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-pedantic"];

/// Random pictures for each program.
const PICTURES: usize = 200;

fn run(dir: &Path, program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).current_dir(dir).output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn succeed(dir: &Path, program: &str, arguments: &[&str]) {
    let output = run(dir, program, arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{out}{err}", output.status);
}

fn is_here(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The source of `model` in `dir`, with golden vectors.
fn export(dir: &Path, model: &Model<'_>) {
    let golden = Golden::of(model, &pictures(model, 21, 6)).unwrap();
    assert_eq!(golden.samples(), 8);
    for (file, text) in c_source(model, "digits", &golden).unwrap().files {
        fs::write(dir.join(file), text).unwrap();
    }
}

/// On this machine: each compiler, small and fast, and once with whatever gcc can watch for undefined behaviour.
#[test]
fn c_source_equals_the_runtime() {
    assert!(is_here("gcc"), "this test compiles C: install gcc");
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let watched = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    fs::write(dir.join("empty.c"), "int main(void) { return 0; }\n").unwrap();
    let can_watch = run(dir, "gcc", &[&watched[..], &["empty.c", "-o", "empty"]].concat()).status.success();
    let mut ways: Vec<(&str, Vec<&str>)> = Vec::new();
    for compiler in ["gcc", "clang"].into_iter().filter(|compiler| is_here(compiler)) {
        ways.extend([(compiler, vec!["-O2"]), (compiler, vec!["-Os"])]);
    }
    if can_watch {
        ways.push(("gcc", [&["-O1"][..], &watched].concat()));
    }
    println!("compiled by {ways:?}");
    for (name, program) in programs() {
        let image = image(&program);
        let model = image.model().unwrap();
        let pixels = pictures(&model, 22, PICTURES);
        let want = logits(&model, Isa::SCALAR, &pixels);
        assert_eq!(logits(&model, Isa::best(), &pixels), want, "{name}");
        // A network whose every output is cut or constant would prove nothing.
        let differing = want.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert!(differing > 10, "{name}: {differing} different logits");
        export(dir, &model);
        fs::write(dir.join("pixels"), &pixels).unwrap();
        for (compiler, flags) in &ways {
            succeed(dir, compiler, &[&STRICT[..], flags, &["model.c", "selftest.c", "-o", "selftest"]].concat());
            succeed(dir, "./selftest", &[]);
            succeed(dir, "./selftest", &["pixels", "logits"]);
            let got = fs::read(dir.join("logits")).unwrap();
            assert_eq!(bytemuck::cast_slice::<u8, i8>(&got), want, "{name}, {compiler} {flags:?}");
        }
    }
}

/// A self-test that cannot fail tests nothing; neither does one that takes a file cut short.
#[test]
fn selftest_fails() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let image = image(&small_cnn(12));
    let model = image.model().unwrap();
    export(dir, &model);
    let text = fs::read_to_string(dir.join("model.c")).unwrap();
    let at = text.find("step3_bias").and_then(|at| Some(at + text[at..].find("{\n")? + 2)).unwrap();
    fs::write(dir.join("model.c"), format!("{}30000 + {}", &text[..at], text[at..].trim_start())).unwrap();
    succeed(dir, "gcc", &[&STRICT[..], &["model.c", "selftest.c", "-o", "selftest"]].concat());
    let output = run(dir, "./selftest", &[]);
    assert_eq!(output.status.code(), Some(1));
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.lines().count() > 1 && out.contains("logit 0: ") && out.contains("8 pictures: "), "{out}");
    fs::write(dir.join("pixels"), vec![0; 145]).unwrap();
    assert_eq!(run(dir, "./selftest", &["pixels", "logits"]).status.code(), Some(1));
    assert_eq!(run(dir, "./selftest", &["pixels"]).status.code(), Some(2));
}

/// For microcontrollers, where their compiler is here; and run, where their emulator is.
#[test]
fn c_source_on_microcontrollers() {
    const CC: &str = "arm-none-eabi-gcc";
    if !is_here(CC) {
        println!("no {CC} here: nothing was compiled for microcontrollers");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("board.c"), include_str!("../firmware-notes/c/board.c")).unwrap();
    fs::write(dir.join("board.ld"), include_str!("../firmware-notes/c/board.ld")).unwrap();
    let mut ran = 0;
    for (name, program) in programs() {
        let image = image(&program);
        let model = image.model().unwrap();
        export(dir, &model);
        for (cpu, board) in [("cortex-m0", "microbit"), ("cortex-m4", "mps2-an386")] {
            let cpu_flag = format!("-mcpu={cpu}");
            for level in ["-O2", "-Os"] {
                let target = ["-mthumb", &cpu_flag, level, "-DINKSTONE_NO_MAIN"];
                succeed(dir, CC, &[&STRICT[..], &target, &["-c", "model.c", "selftest.c"]].concat());
                if name == "small_cnn" {
                    let size = run(dir, "arm-none-eabi-size", &["model.o"]);
                    println!("{name}, {cpu} {level}:\n{}", String::from_utf8_lossy(&size.stdout));
                }
                if !is_here("qemu-system-arm") {
                    continue;
                }
                succeed(dir, CC, &[&target[..], &["-c", "board.c"]].concat());
                let link = ["-nostartfiles", "-Tboard.ld", "board.o", "model.o", "selftest.o", "-o", "board.elf"];
                succeed(dir, CC, &[&target[..], &link].concat());
                let emulate = ["-nographic", "-semihosting-config", "enable=on,target=native", "-kernel", "board.elf"];
                succeed(dir, "qemu-system-arm", &[&["-machine", board][..], &emulate].concat());
                ran += 1;
            }
        }
    }
    println!("compiled by {CC} for cortex-m0 and cortex-m4; {ran} self-tests passed in qemu-system-arm");
}

/// What C cannot hold is refused by name.
#[test]
fn c_source_refuses() {
    let image = image(&small_cnn(12));
    let model = image.model().unwrap();
    let golden = Golden::of(&model, &pictures(&model, 1, 0)).unwrap();
    for name in ["", "1st", "a b", "x-y", "é", "_x"] {
        assert!(matches!(c_source(&model, name, &golden), Err(ExportError::Unsupported(_))), "{name:?}");
    }
    for pixels in [0, 1, 145] {
        assert!(matches!(Golden::of(&model, &vec![0; pixels]), Err(ExportError::Program(_))), "{pixels}");
    }
    let other = source_support::image(&small_cnn(16));
    assert!(matches!(c_source(&other.model().unwrap(), "x", &golden), Err(ExportError::Program(_))));

    let mut floats = small_cnn(12);
    floats.kind = Kind::F32;
    floats.tensors.truncate(2);
    floats.steps.truncate(1);
    (floats.tensors[1].scale, floats.tensors[1].zero_point) = (0.0, 0);
    floats.classes = (0..144).map(|class| class.to_string()).collect();
    let floats = source_support::image(&floats);
    for error in
        [c_source(&floats.model().unwrap(), "x", &golden).err(), Golden::of(&floats.model().unwrap(), &[0; 144]).err()]
    {
        assert!(
            matches!(&error, Some(ExportError::Unsupported(text)) if text.contains("quantize --to int8")),
            "{error:?}"
        );
    }
}

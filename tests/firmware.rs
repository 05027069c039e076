//! The images of `firmware-notes/cortex-m`: what the boards compute is compared with a list, and here the list with what this machine
//! computes.

use inkstone::data::dataset::{find_mnist, load_mnist};
use inkstone::export::image::Image;
use inkstone::kernels::Isa;
use inkstone::runtime::{ALL_KERNELS, Arena, ImageError, Model, device_arena_len, device_kernels};
use std::path::Path;
use std::process::{Command, Stdio};

/// The image that firmware includes where no other is named, as it includes it.
static IMAGE: &[u8] = inkstone::include_model!("../firmware-notes/cortex-m/models/cnn-tiny.ink");
const KERNELS: u32 = device_kernels(IMAGE);
const ARENA_BYTES: usize = device_arena_len(IMAGE);

/// FNV-1a of 64 bits.
fn checksum(sum: u64, logits: &[i8]) -> u64 {
    logits.iter().fold(sum, |sum, logit| (sum ^ u64::from(*logit as u8)).wrapping_mul(0x0100_0000_01b3))
}

const NONE_YET: u64 = 0xcbf2_9ce4_8422_2325;

#[test]
fn logits_of_the_committed_images_are_those_of_the_list_on_every_isa() {
    let digits = load_mnist(&find_mnist(None).unwrap()).unwrap().test;
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware-notes/cortex-m/models");
    let list = std::fs::read_to_string(models.join("logits.txt")).unwrap();
    let mut lines = 0;
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let [name, count, expected] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let image = Image::copy(&std::fs::read(models.join(name)).unwrap());
        let model = image.model().unwrap();
        for isa in Isa::available() {
            println!("isa {isa}: {name}");
            let mut arena = Image::zeros(model.arena_len(isa, 1).unwrap());
            let mut bound = model.bind_with(isa, 1, arena.bytes_mut()).unwrap();
            let mut sum = NONE_YET;
            for i in 0..count.parse().unwrap() {
                bound.input_mut().copy_from_slice(digits.image(i));
                sum = checksum(sum, bound.run().bytes().unwrap());
            }
            assert_eq!(format!("{sum:016x}"), expected, "{name} on {isa}");
        }
        lines += 1;
    }
    assert!(lines >= 4);
}

/// A program with few kernels computes what one with all of them does, and refuses an image that needs others.
#[test]
fn a_program_for_one_image_holds_its_kernels_and_no_others() {
    assert_ne!(KERNELS, ALL_KERNELS);
    let digits = load_mnist(&find_mnist(None).unwrap()).unwrap().test;
    let (few, all) = (Model::<KERNELS>::only(IMAGE).unwrap(), Model::new(IMAGE).unwrap());
    // What a chip without vectors needs, or more.
    let mut arenas = [(); 2].map(|()| Image::zeros(all.arena_len(Isa::best(), 1).unwrap().max(ARENA_BYTES)));
    let [one, other] = &mut arenas;
    let (mut few, mut all) = (few.bind(one.bytes_mut()).unwrap(), all.bind(other.bytes_mut()).unwrap());
    for i in 0..20 {
        few.input_mut().copy_from_slice(digits.image(i));
        all.input_mut().copy_from_slice(digits.image(i));
        assert_eq!(few.run().bytes(), all.run().bytes());
    }
    assert!(Arena::<ARENA_BYTES>::new().bytes().len() <= 3072, "a chip with 5 kB of RAM has no more: {ARENA_BYTES}");

    fn refused<const KERNELS: u32>() -> bool {
        matches!(Model::<KERNELS>::only(IMAGE), Err(ImageError::Rule { rule, .. }) if rule.contains("kernels"))
    }
    assert!(refused::<0>());
    // Each bit but those that the image has no use for.
    macro_rules! without {
        ($($bit:literal)*) => { [$(refused::<{ KERNELS & !(1 << $bit) }>() == (KERNELS >> $bit & 1 == 1)),*] };
    }
    assert!(without!(0 1 2 3 4 5 6 7 8 9 10 11).iter().all(|right| *right));
}

/// The module that `exported` runs, whose logits on the boards are those of its image in the list.
#[test]
fn the_committed_module_is_what_is_written_today() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware-notes/cortex-m/models");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("module.rs");
    let mut export = Command::new(env!("CARGO_BIN_EXE_inkstone"));
    export.args(["export", "--format", "rust"]).arg(models.join("cnn-8-16.ink")).arg("--out").arg(&out);
    assert!(export.stdout(Stdio::null()).status().unwrap().success());
    let [committed, today] = [models.join("cnn_8_16.rs"), out].map(|path| std::fs::read_to_string(path).unwrap());
    assert!(committed == today, "inkstone export cnn-8-16.ink --format rust --out cnn_8_16.rs writes it again");
}

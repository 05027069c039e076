//! Classifies digits by an image of bytes on a microcontroller, one after the other as they come from the host.
//!
//! `digits.bin` holds raw pixels and nothing else, `labels.bin`, if it is there, a byte for each digit. It prints the classes, a checksum
//! of all logits that must be the same on every machine, instructions, and memory.

#![no_std]
#![no_main]

use core::panic::PanicInfo;
use cortex_m_rt::entry;
use inkstone::runtime::{Arena, Bound, ImageError, Model, device_arena_len, device_kernels};
use inkstone_cortex_m::host::{File, exit, print, print_hex, print_number};
use inkstone_cortex_m::stack;
use inkstone_cortex_m::timer::Timer;

static IMAGE: &[u8] = inkstone::include_model!(env!("INKSTONE_MODEL"));
/// What is linked: the kernels of this very image.
const KERNELS: u32 = device_kernels(IMAGE);
const ARENA_BYTES: usize = device_arena_len(IMAGE);

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    // The text of a panic would bring the formatting code along.
    print("panicked\n");
    exit(false)
}

#[entry]
fn main() -> ! {
    // A static of `main` is handed to it as the only reference there is.
    static mut ARENA: Arena<ARENA_BYTES> = Arena::new();
    let arena = ARENA.bytes();
    let Some(timer) = Timer::start() else { exit(false) };
    let start = timer.now();
    let model = Model::<KERNELS>::only(IMAGE).unwrap_or_else(|error| refuse(error));
    let checked = timer.since(start);
    line("checked in ", checked, " instructions");
    let mut bound = model.bind(arena).unwrap_or_else(|error| refuse(error));
    let Some(digits) = File::open(c"digits.bin") else {
        print("digits.bin: no such file\n");
        exit(false)
    };
    let tally = classify(&mut bound, &digits, &timer);
    line("\n", tally.digits, " digits");
    if tally.labels {
        line("", tally.right, " of them right");
    }
    print("logits ");
    print_hex(tally.logits.0);
    print("\n");
    line("", tally.instructions, " instructions a digit");
    line("flash: image ", IMAGE.len() as u32, " bytes");
    line("RAM: arena ", ARENA_BYTES as u32, " bytes");
    line("RAM: all variables ", stack::variables() as u32, " bytes");
    line("RAM: stack ", stack::used() as u32, " bytes");
    exit(tally.digits > 0)
}

/// FNV-1a of 64 bits, from its usual start on.
struct Fnv(u64);

impl Fnv {
    fn add(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
}

struct Tally {
    digits: u32,
    right: u32,
    labels: bool,
    logits: Fnv,
    /// Of the last digit.
    instructions: u32,
}

/// Every digit there is; the first one step by step.
fn classify(bound: &mut Bound<'_, '_, KERNELS>, digits: &File, timer: &Timer) -> Tally {
    let labels = File::open(c"labels.bin");
    let mut tally =
        Tally { digits: 0, right: 0, labels: labels.is_some(), logits: Fnv(0xcbf2_9ce4_8422_2325), instructions: 0 };
    while digits.read(bound.input_mut()) {
        if tally.digits == 0 {
            each_step(bound, timer);
        } else {
            let start = timer.now();
            bound.run();
            tally.instructions = timer.since(start);
        }
        let output = bound.output();
        for logit in output.bytes().unwrap_or_default() {
            tally.logits.add(*logit as u8);
        }
        let class = output.class(0) as u32;
        print_number(class);
        tally.digits += 1;
        print(if tally.digits.is_multiple_of(40) { "\n" } else { " " });
        let mut label = [0];
        if labels.as_ref().is_some_and(|labels| labels.read(&mut label)) && u32::from(label[0]) == class {
            tally.right += 1;
        }
    }
    tally
}

/// Runs one digit and says how many instructions each step took.
fn each_step(bound: &mut Bound<'_, '_, KERNELS>, timer: &Timer) {
    let mut steps = bound.model().steps();
    let mut start = timer.now();
    bound.run_each(|_| {
        let instructions = timer.since(start);
        if let Some(step) = steps.next() {
            print(step.name());
            line(": ", instructions, "");
        }
        start = timer.now();
    });
}

fn line(before: &str, number: u32, after: &str) {
    print(before);
    print_number(number);
    print(after);
    print("\n");
}

/// Says what is wrong with the image or with the memory for it, and gives up.
fn refuse(error: ImageError) -> ! {
    print("the image: ");
    print(error.what());
    let numbers = match error {
        ImageError::Arena { needed, got } | ImageError::TooShort { needed, got } => [needed, got],
        ImageError::Rule { at, .. } => [at, 0],
        _ => [0, 0],
    };
    print(" ");
    print_number(numbers[0] as u32);
    line(" ", numbers[1] as u32, "");
    exit(false)
}

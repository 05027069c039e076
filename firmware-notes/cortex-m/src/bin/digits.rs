//! Classifies digits by an image of bytes on a microcontroller, one after the other as they come from the host.
//!
//! `digits.bin` holds raw pixels and nothing else, `labels.bin`, if it is there, a byte for each digit. It prints the classes, a checksum
//! of all logits that must be the same on every machine, instructions, and memory.

#![no_std]
#![no_main]

use core::panic::PanicInfo;
use cortex_m_rt::entry;
use inkstone::runtime::{Arena, Bound, ImageError, Model, device_arena_len, device_kernels};
use inkstone_cortex_m::host::{File, exit, print, print_number};
use inkstone_cortex_m::tally::{Tally, line};
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
    let mut tally = Tally::new();
    let instructions = classify(&mut bound, &digits, &timer, &mut tally);
    line("flash: image ", IMAGE.len() as u32, " bytes");
    tally.print(instructions, ARENA_BYTES);
    exit(tally.digits() > 0)
}

/// Every digit there is, the first one step by step; the instructions of the last one.
#[inline(always)] // one frame of the stack less
fn classify(bound: &mut Bound<'_, '_, KERNELS>, digits: &File, timer: &Timer, tally: &mut Tally) -> u32 {
    let mut instructions = 0;
    while digits.read(bound.input_mut()) {
        if tally.digits() == 0 {
            each_step(bound, timer);
        } else {
            let start = timer.now();
            bound.run();
            instructions = timer.since(start);
        }
        let output = bound.output();
        tally.take(output.bytes().unwrap_or_default(), output.class(0));
    }
    instructions
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

//! Classifies digits by a module that `inkstone export --format rust` wrote: straight calls of the kernels, checked when they are compiled,
//! so that nothing is left to check on the chip. Input and output are those of `digits`; with the feature `self-test` the module's golden
//! digits come first.

#![no_std]
#![no_main]

#[path = "../../models/cnn_8_16.rs"]
#[rustfmt::skip]
mod cnn_8_16;

use cnn_8_16::{ARENA_BYTES, INPUT_BYTES, Network};
use core::panic::PanicInfo;
use cortex_m_rt::entry;
use inkstone_cortex_m::host::{File, exit, print};
use inkstone_cortex_m::tally::Tally;
use inkstone_cortex_m::timer::Timer;

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    print("panicked\n");
    exit(false)
}

#[entry]
fn main() -> ! {
    static mut NETWORK: Network = Network::new();
    #[cfg(feature = "self-test")]
    prove(NETWORK);
    let Some(timer) = Timer::start() else { exit(false) };
    let Some(digits) = File::open(c"digits.bin") else {
        print("digits.bin: no such file\n");
        exit(false)
    };
    let (mut tally, mut instructions, mut pixels) = (Tally::new(), 0, [0; INPUT_BYTES]);
    while digits.read(&mut pixels) {
        let start = timer.now();
        let logits = run(NETWORK, &pixels);
        instructions = timer.since(start);
        tally.take(logits, largest(logits));
    }
    tally.print(instructions, ARENA_BYTES);
    exit(tally.digits() > 0)
}

/// Goes on only if the golden digits have the logits that they had when the module was written.
#[cfg(feature = "self-test")]
fn prove(network: &mut Network) {
    match network.selftest() {
        Ok(0) => print("self-test: passed\n"),
        _ => {
            print("self-test: golden digits have other logits than on the host\n");
            exit(false)
        }
    }
}

/// A function by itself, so that its size counts as that of the network's code.
#[inline(never)]
fn run<'n>(network: &'n mut Network, pixels: &[u8; INPUT_BYTES]) -> &'n [i8] {
    network.run(pixels).unwrap_or_else(|_| {
        print("a kernel refused its sizes\n");
        exit(false)
    })
}

/// Where the largest logit is, the first of equals.
fn largest(logits: &[i8]) -> usize {
    let mut best = (0, i8::MIN);
    for (class, logit) in logits.iter().enumerate() {
        if *logit > best.1 {
            best = (class, *logit);
        }
    }
    best.0
}

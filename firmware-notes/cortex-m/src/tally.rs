//! What became of the digits: how many, how many of them right, and a checksum of all their logits.

use crate::host::{File, print, print_hex, print_number};
use crate::stack;

/// FNV-1a of 64 bits, from its usual start on.
struct Fnv(u64);

impl Fnv {
    fn add(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
}

/// The digits so far.
pub struct Tally {
    /// A byte for each digit, if the file is there.
    labels: Option<File>,
    digits: u32,
    right: u32,
    logits: Fnv,
}

impl Tally {
    /// Of no digit yet.
    pub fn new() -> Self {
        Self { labels: File::open(c"labels.bin"), digits: 0, right: 0, logits: Fnv(0xcbf2_9ce4_8422_2325) }
    }

    /// How many digits there were.
    pub const fn digits(&self) -> u32 {
        self.digits
    }

    /// Takes note of the next digit, and prints its class.
    #[inline(never)] // its registers are not saved while a network runs
    pub fn take(&mut self, logits: &[i8], class: usize) {
        for logit in logits {
            self.logits.add(*logit as u8);
        }
        print_number(class as u32);
        self.digits += 1;
        print(if self.digits.is_multiple_of(40) { "\n" } else { " " });
        let mut label = [0];
        if self.labels.as_ref().is_some_and(|labels| labels.read(&mut label)) && usize::from(label[0]) == class {
            self.right += 1;
        }
    }

    /// Prints what became of them, instructions of a digit, and memory.
    pub fn print(&self, instructions: u32, arena_bytes: usize) {
        line("\n", self.digits, " digits");
        if self.labels.is_some() {
            line("", self.right, " of them right");
        }
        print("logits ");
        print_hex(self.logits.0);
        print("\n");
        line("", instructions, " instructions a digit");
        line("RAM: arena ", arena_bytes as u32, " bytes");
        line("RAM: all variables ", stack::variables() as u32, " bytes");
        line("RAM: stack ", stack::used() as u32, " bytes");
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

/// Prints a number between two words.
pub fn line(before: &str, number: u32, after: &str) {
    print(before);
    print_number(number);
    print(after);
    print("\n");
}

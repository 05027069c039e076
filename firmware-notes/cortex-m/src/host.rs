//! The way out of the chip: semihosting, which debuggers and QEMU answer.

use core::arch::asm;

/// Writes text to the host's standard output.
pub fn print(text: &str) {
    // SYS_WRITEC takes a pointer to one character: slow, simple, and no buffer is needed.
    for byte in text.bytes() {
        call(0x03, &raw const byte as usize);
    }
}

/// Writes a number in decimal.
pub fn print_number(mut n: u32) {
    let mut digits = [0; 10];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    for digit in &digits[at..] {
        call(0x03, &raw const *digit as usize);
    }
}

/// Ends the emulator: exit code 0 or 1.
pub fn exit(success: bool) -> ! {
    loop {
        // SYS_EXIT with ADP_Stopped_ApplicationExit, or with ADP_Stopped_RunTimeError.
        call(0x18, if success { 0x20026 } else { 0x20023 });
    }
}

fn call(operation: usize, argument: usize) -> usize {
    let result;
    // SAFETY: the semihosting call of Arm's specification: r0 and r1 in, r0 out; the host reads what the argument points to.
    unsafe { asm!("bkpt 0xab", inout("r0") operation => result, in("r1") argument) }
    result
}

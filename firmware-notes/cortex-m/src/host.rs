//! The way out of the chip: semihosting, which debuggers and QEMU answer.

use core::arch::asm;

/// Writes text to the host's standard output.
pub fn print(text: &str) {
    // SYS_WRITE0 wants a zero at the end, which slices lack: it is given to copies of pieces.
    let mut piece = [0; 33];
    for part in text.as_bytes().chunks(piece.len() - 1) {
        let mut len = 0;
        for (to, byte) in piece.iter_mut().zip(part) {
            *to = *byte;
            len += 1;
        }
        if let Some(end) = piece.get_mut(len) {
            *end = 0;
        }
        call(0x04, piece.as_ptr().expose_provenance());
    }
}

/// Writes a number in decimal.
pub fn print_number(mut n: u32) {
    let mut text = [0; 11]; // ten digits and the zero that ends them
    let mut used = 1;
    for (place, digit) in text.iter_mut().rev().enumerate().skip(1) {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
        used = place + 1;
        if n == 0 {
            break;
        }
    }
    let start = text.as_ptr().wrapping_add(text.len() - used);
    call(0x04, start.expose_provenance());
}

/// Writes a number in hexadecimal, 16 digits.
pub fn print_hex(n: u64) {
    let mut text = [0; 17];
    for (i, digit) in text.iter_mut().take(16).enumerate() {
        let value = (n >> (60 - 4 * i)) as u8 & 15;
        *digit = if value < 10 { b'0' + value } else { b'a' - 10 + value };
    }
    call(0x04, text.as_ptr().expose_provenance());
}

/// A file of the host's that is read from its beginning on.
pub struct File(usize);

impl File {
    /// Opens the file `name`, a zero at its end; none if there is none.
    pub fn open(name: &core::ffi::CStr) -> Option<Self> {
        // Mode 1 is "rb".
        let block = [name.as_ptr().expose_provenance(), 1, name.count_bytes()];
        let handle = call(0x01, block.as_ptr().expose_provenance());
        (handle != usize::MAX).then_some(Self(handle))
    }

    /// Fills `bytes` with the next ones: false if there are not so many.
    pub fn read(&self, bytes: &mut [u8]) -> bool {
        let block = [self.0, bytes.as_mut_ptr().expose_provenance(), bytes.len()];
        // SYS_READ answers how many bytes are missing.
        call(0x06, block.as_ptr().expose_provenance()) == 0
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
    // SAFETY: the semihosting call of Arm's specification: r0 and r1 in, r0 out; the host reads what the argument points to, and writes
    // to the buffer of `File::read` alone, which that function holds exclusively and whose length it names.
    unsafe { asm!("bkpt 0xab", inout("r0") operation => result, in("r1") argument) }
    result
}

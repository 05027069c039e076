//! How deep the stack has been. `cortex-m-rt` paints all memory behind the variables before `main` (its feature `paint-stack`); what is
//! no longer painted was used.

use core::ptr::addr_of;
use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    // Symbols of cortex-m-rt's linker script: only their addresses mean something.
    static mut __sdata: u32;
    static mut __ebss: u32;
    static mut _stack_end: u32;
    static mut _stack_start: u32;
}

/// Bytes of the stack that were ever used.
pub fn used() -> usize {
    let (mut at, top) = (&raw const _stack_end, &raw const _stack_start);
    // SAFETY: the linker script aligns both ends to words and puts nothing but the stack between them, which is RAM of this board; the
    // read is volatile, as no variable of Rust's is there.
    while at < top && unsafe { at.read_volatile() } == STACK_PAINT_VALUE {
        at = at.wrapping_add(1);
    }
    top.addr() - at.addr()
}

/// Bytes of variables, the arena among them.
pub fn variables() -> usize {
    addr_of!(__ebss).addr() - addr_of!(__sdata).addr()
}

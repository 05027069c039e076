//! The DSP instructions of Cortex-M4, M7, M33 and their like, whose intrinsics are not stable yet: two products of 16 bits and both sums at
//! once.

use super::Pixels;
use core::arch::{asm, naked_asm};

/// What a function in assembly begins with: of the target its assembler knows the name alone, which promises these instructions to
/// `thumbv7em` and not to `thumbv8m.main`.
#[cfg(not(inkstone_armv8m))]
macro_rules! has_dsp {
    () => {
        ""
    };
}
#[cfg(inkstone_armv8m)]
macro_rules! has_dsp {
    () => {
        ".cpu cortex-m33"
    };
}

/// `acc + a.low · b.low + a.high · b.high`, halves of 16 bits with sign, wrapping.
#[inline(always)]
pub(in crate::kernels::arch) fn smlad(a: u32, b: u32, acc: i32) -> i32 {
    let sum;
    // SAFETY: only registers are touched, and the Q flag where a sum wraps; `cfg(inkstone_dsp)` says that the target has it.
    unsafe {
        asm!("smlad {0}, {1}, {2}, {3}", lateout(reg) sum, in(reg) a, in(reg) b, in(reg) acc, options(pure, nomem, nostack));
    }
    sum
}

/// `acc + Σ a[i] · b[i]` over the four bytes of each word, wrapping.
#[inline(always)]
pub(in crate::kernels::arch) fn dot_bytes(a: u32, b: u32, acc: i32) -> i32 {
    smlad(odd_bytes(a), odd_bytes(b), smlad(even_bytes(a), even_bytes(b), acc))
}

/// Bytes 0 and 2, widened with their signs.
#[inline(always)]
fn even_bytes(x: u32) -> u32 {
    let wide;
    // SAFETY: only registers are touched; `cfg(inkstone_dsp)` says that the target has it.
    unsafe { asm!("sxtb16 {0}, {1}", lateout(reg) wide, in(reg) x, options(pure, nomem, nostack, preserves_flags)) }
    wide
}

/// Bytes 1 and 3, widened with their signs.
#[inline(always)]
fn odd_bytes(x: u32) -> u32 {
    let wide;
    // SAFETY: only registers are touched; `cfg(inkstone_dsp)` says that the target has it.
    unsafe {
        asm!("sxtb16 {0}, {1}, ror #8", lateout(reg) wide, in(reg) x, options(pure, nomem, nostack, preserves_flags));
    }
    wide
}

/// Four bytes in two words: the even ones and the odd ones, widened with their signs.
#[inline(always)]
pub(in crate::kernels::arch) fn spread(quad: [i8; 4]) -> [i32; 2] {
    let x = bytemuck::cast(quad);
    [even_bytes(x) as i32, odd_bytes(x) as i32]
}

/// `Σ x[i] · w[r · stride + i]` for four rows `r`, `x` of `len` pairs of words as [`spread`] left them.
///
/// The compiler has no registers for four rows of its own: it reads their places from the stack at every step. Here rows 1 and 2 lie
/// one and two strides behind the pointer to row 0, and only row 3 has another.
///
/// # Safety
/// What [`steps`] reads in `len` steps may be read.
#[inline(always)]
pub(super) unsafe fn rows_of(x: *const [i32; 2], len: usize, w: *const i8, stride: usize) -> [i32; 4] {
    let start = Places { x, row_0: w, row_3: w.wrapping_add(3 * stride) };
    let (mut at, mut sums) = (start, [0; 4]);
    if len >= 8 {
        // SAFETY: the caller says that as many steps may be read.
        (at, sums) = unsafe { steps::<8>(at, stride, len / 8, sums) };
    }
    if len % 8 >= 4 {
        // SAFETY: as above; these are four of the steps that are left.
        (at, sums) = unsafe { steps::<4>(at, stride, 1, sums) };
    }
    if len % 4 > 0 {
        // SAFETY: as above; these are the steps that are left.
        (_, sums) = unsafe { steps::<1>(at, stride, len % 4, sums) };
    }
    sums
}

/// Where the next step reads.
struct Places {
    x: *const [i32; 2],
    row_0: *const i8,
    row_3: *const i8,
}

/// `count` times `TIMES` steps; `count` is not 0.
///
/// # Safety
/// Each step reads eight bytes of `x` and four of each row of `w`; rows 1 and 2 lie one and two strides behind row 0.
#[inline(always)]
unsafe fn steps<const TIMES: usize>(at: Places, stride: usize, count: usize, sums: [i32; 4]) -> (Places, [i32; 4]) {
    let Places { mut x, mut row_0, mut row_3 } = at;
    let [mut a, mut b, mut c, mut d] = sums;
    // SAFETY: the caller says what may be read; `x` is aligned as words are, which `ldrd`
    // needs; those of `w` may lie anywhere in normal memory, as `ldr` reads from any address unless a program sets UNALIGN_TRP.
    unsafe {
        asm!(
            "2:",
            ".rept {times}",
            "ldrd {e}, {o}, [{x}], #8",
            "ldr {w}, [{p}, {s}]",
            "sxtb16 {t}, {w}",
            "smlad {b}, {t}, {e}, {b}",
            "sxtb16 {w}, {w}, ror #8",
            "smlad {b}, {w}, {o}, {b}",
            "ldr {w}, [{p}, {s}, lsl #1]",
            "sxtb16 {t}, {w}",
            "smlad {c}, {t}, {e}, {c}",
            "sxtb16 {w}, {w}, ror #8",
            "smlad {c}, {w}, {o}, {c}",
            "ldr {w}, [{p}], #4",
            "sxtb16 {t}, {w}",
            "smlad {a}, {t}, {e}, {a}",
            "sxtb16 {w}, {w}, ror #8",
            "smlad {a}, {w}, {o}, {a}",
            "ldr {w}, [{q}], #4",
            "sxtb16 {t}, {w}",
            "smlad {d}, {t}, {e}, {d}",
            "sxtb16 {w}, {w}, ror #8",
            "smlad {d}, {w}, {o}, {d}",
            ".endr",
            "subs {n}, {n}, #1",
            "bne 2b",
            times = const TIMES,
            e = out(reg) _, o = out(reg) _, w = out(reg) _, t = out(reg) _,
            x = inout(reg) x, p = inout(reg) row_0, q = inout(reg) row_3, s = in(reg) stride, n = inout(reg) count => _,
            a = inout(reg) a, b = inout(reg) b, c = inout(reg) c, d = inout(reg) d,
            options(nostack, readonly),
        );
    }
    (Places { x, row_0, row_3 }, [a, b, c, d])
}

/// One instruction loads what four rows of weights have for two numbers of `x`, so six of them do eight products.
///
/// # Safety
/// `sums` may be written up to the end in `pixels`, which is whole pixels away, at least one; `steps` is not 0, there are as many words
/// of `w` for each four of the sums of a pixel, and twice as many numbers of `x` for every pixel. `w` is aligned as words are; `x` may
/// lie anywhere in normal memory, as for [`steps`].
#[unsafe(naked)]
pub(super) unsafe extern "C" fn fours_of(pixels: &mut Pixels, steps: usize, sums: *mut [i32; 4]) {
    // r0 is the place in `x`, r1 that in `w`, r2 the end of the patch, r3 the place in `sums`; r4 to r7 are sums, r8 to r11 weights,
    // r12 is of `x`, and lr the place where steps are no longer taken by fours, as they are after the first.
    naked_asm!(
        has_dsp!(),
        "push {{r0, r4-r11, lr}}",
        "mov r3, r2",
        "ldr r4, [r0]",
        "add r2, r4, r1, lsl #2",
        "sub r1, r1, #1",
        "bic r1, r1, #3",
        "add lr, r4, r1, lsl #2",
        "add lr, lr, #4",
        "ldr r1, [r0, #16]",
        "mov r0, r4",
        "2:",
        "ldr r12, [r0], #4",
        "ldm r1!, {{r8-r11}}",
        "smuad r4, r12, r8",
        "smuad r5, r12, r9",
        "smuad r6, r12, r10",
        "smuad r7, r12, r11",
        "cmp r0, lr",
        "beq 4f",
        "3:",
        ".rept 4",
        "ldr r12, [r0], #4",
        "ldm r1!, {{r8-r11}}",
        "smlad r4, r12, r8, r4",
        "smlad r5, r12, r9, r5",
        "smlad r6, r12, r10, r6",
        "smlad r7, r12, r11, r7",
        ".endr",
        "cmp r0, lr",
        "bne 3b",
        "4:",
        "cmp r0, r2",
        "beq 6f",
        "5:",
        "ldr r12, [r0], #4",
        "ldm r1!, {{r8-r11}}",
        "smlad r4, r12, r8, r4",
        "smlad r5, r12, r9, r5",
        "smlad r6, r12, r10, r6",
        "smlad r7, r12, r11, r7",
        "cmp r0, r2",
        "bne 5b",
        "6:",
        "stm r3!, {{r4-r7}}",
        "ldr r12, [sp]",
        "ldrd r0, r4, [r12]", // the patch, and the end of its sums
        "cmp r3, r4",
        "bne 2b",
        "ldrd r5, r6, [r12, #8]", // the end of all, and the bytes of a pixel's
        "cmp r3, r5",
        "beq 7f",
        "add r4, r4, r6",
        "ldrd r1, r6, [r12, #16]", // the weights, and the bytes to the next patch
        "add r0, r0, r6",
        "strd r0, r4, [r12]",
        "add r2, r2, r6",
        "add lr, lr, r6",
        "b 2b",
        "7:",
        "pop {{r0, r4-r11, pc}}",
    )
}

//! Cortex-M0, M0+ and M23: what multiplies and loads reaches eight registers, so that sums lie in the upper ones, which can be added to.

use super::Pixels;
use core::arch::naked_asm;

/// Fifteen instructions for the four products of a number of `x`: `sums[r] = Σ x[i] · w[r · stride + i]`.
///
/// # Safety
/// From `x` to `end` lies a pair of words, or more; for each pair four bytes may be read of each of the rows `w`, `w + stride`,
/// `w + 2 · stride` and `w + 3 · stride`.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn rows(
    x: *const [i32; 2],
    end: *const [i32; 2],
    w: *const i8,
    stride: usize,
    sums: &mut [i32; 4],
) {
    // r0 is the place in `x`, r12 its end; r4 to r7 are the rows, r1 the place in them; r8 to r11 are sums; r2 is of `x`, r3 a weight. The
    // numbers of a pair of words lie in the order 0, 2, 1, 3.
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4-r7}}",
        "mov r12, r1",
        "mov r4, r2",
        "adds r5, r4, r3",
        "adds r6, r5, r3",
        "adds r7, r6, r3",
        "movs r1, #0",
        "mov r8, r1",
        "mov r9, r1",
        "mov r10, r1",
        "mov r11, r1",
        "2:",
        ".irp place, 0, 4, 2, 6",
        "ldrh r2, [r0, #\\place]",
        "sxth r2, r2",
        "ldrsb r3, [r4, r1]",
        "muls r3, r2, r3",
        "add r8, r3",
        "ldrsb r3, [r5, r1]",
        "muls r3, r2, r3",
        "add r9, r3",
        "ldrsb r3, [r6, r1]",
        "muls r3, r2, r3",
        "add r10, r3",
        "ldrsb r3, [r7, r1]",
        "muls r3, r2, r3",
        "add r11, r3",
        "adds r1, #1",
        ".endr",
        "adds r0, #8",
        "cmp r0, r12",
        "bne 2b",
        "ldr r0, [sp, #36]",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "stmia r0!, {{r4-r7}}",
        "pop {{r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4-r7, pc}}",
    )
}

/// Thirty-one instructions for the eight products of two numbers of `x`.
///
/// # Safety
/// `sums` may be written up to the end in `pixels`, which is whole pixels away, at least one; `steps` is not 0, there are as many words
/// of `w` for each four of the sums of a pixel, and twice as many numbers of `x` for every pixel. `w` is aligned as words are, and
/// `x` as numbers of 16 bits.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn fours_of(pixels: &mut Pixels, steps: usize, sums: *mut [i32; 4]) {
    // r0 is the place in `x`, r1 that in `w`, r12 the end of the patch, lr its bytes, r3 the place in `sums`; r8 to r11 are sums, r4 and r5
    // numbers of `x`, r6 and r7 pairs of weights, and r2 one of them.
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4-r7}}",
        "push {{r0}}",
        "mov r3, r2",
        "lsls r1, r1, #2",
        "mov lr, r1",
        "ldr r4, [r0]",
        "adds r1, r1, r4",
        "mov r12, r1",
        "ldr r1, [r0, #16]",
        "mov r0, r4",
        "2:",
        "movs r4, #0",
        "mov r8, r4",
        "mov r9, r4",
        "mov r10, r4",
        "mov r11, r4",
        "3:",
        "ldrh r5, [r0]",
        "sxth r5, r5",
        "ldrh r4, [r0, #2]",
        "sxth r4, r4",
        "adds r0, #4",
        "ldmia r1!, {{r6, r7}}",
        "sxth r2, r6",
        "muls r2, r5, r2",
        "asrs r6, r6, #16",
        "muls r6, r4, r6",
        "adds r2, r2, r6",
        "add r8, r2",
        "sxth r2, r7",
        "muls r2, r5, r2",
        "asrs r7, r7, #16",
        "muls r7, r4, r7",
        "adds r2, r2, r7",
        "add r9, r2",
        "ldmia r1!, {{r6, r7}}",
        "sxth r2, r6",
        "muls r2, r5, r2",
        "asrs r6, r6, #16",
        "muls r6, r4, r6",
        "adds r2, r2, r6",
        "add r10, r2",
        "sxth r2, r7",
        "muls r2, r5, r2",
        "asrs r7, r7, #16",
        "muls r7, r4, r7",
        "adds r2, r2, r7",
        "add r11, r2",
        "cmp r0, r12",
        "bne 3b",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "stmia r3!, {{r4-r7}}",
        "mov r4, lr",
        "subs r0, r0, r4", // the patch again
        "ldr r4, [sp]",
        "ldr r5, [r4, #4]",
        "cmp r3, r5",
        "bne 2b",
        "ldr r6, [r4, #8]", // the end of all
        "cmp r3, r6",
        "beq 4f",
        "ldr r6, [r4, #12]", // the bytes of a pixel's
        "adds r5, r5, r6",
        "str r5, [r4, #4]",
        "ldr r1, [r4, #16]", // the weights
        "ldr r6, [r4, #20]", // the bytes to the next patch
        "adds r0, r0, r6",
        "add r12, r6",
        "b 2b",
        "4:",
        "add sp, #4",
        "pop {{r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4-r7, pc}}",
    )
}

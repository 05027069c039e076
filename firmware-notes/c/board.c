/* What a Cortex-M starts with: a vector table, cleared variables, a painted stack; and a way to tell QEMU how it ended. */
#include "model.h"

#define PAINT 0xcccccccc /* host.c looks for it */

extern uint32_t stack_top[], bss_start[], bss_end[];
void reset(void);

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*reset)(void);
} vectors = {stack_top, reset};

/* A program has a main of its own, 0 is success; without one there is the self-test. */
__attribute__((weak)) int main(void)
{
    return digits_selftest() == 0 ? 0 : 1;
}

void reset(void)
{
    register uint32_t operation __asm__("r0");
    register uint32_t reason __asm__("r1");
    uint32_t *word;
    volatile uint32_t *stack; /* no call may stand for this loop: its own stack would be painted over */
    for (word = bss_start; word < bss_end; word++) {
        *word = 0;
    }
    __asm__ volatile("mov %0, sp" : "=r"(stack));
    while (stack > bss_end) {
        *--stack = PAINT;
    }
    /* SYS_EXIT: ADP_Stopped_ApplicationExit is success, ADP_Stopped_RunTimeError is not. */
    reason = main() == 0 ? 0x20026 : 0x20023;
    operation = 0x18;
    for (;;) {
        __asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(reason) : "memory");
    }
}

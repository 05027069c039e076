/* Semihosting, which debuggers and QEMU answer; the system timer; the stack. */
#include "host.h"

#include <string.h>

#define PAINT 0xcccccccc /* what board.c leaves in all memory behind the variables */

/* Half instructions a tick, as measured: QEMU's clock gains a nanosecond an instruction, and boards differ in their frequency. */
#ifndef HALVES
#error "which board? run.sh says -DHALVES=125 for microbit, 100 for mps2-an505, 80 for the others"
#endif

#define TIMER ((volatile uint32_t *)0xe000e010u) /* control, reload, current */
#define ROUND ((uint32_t)1 << 24)

extern uint32_t stack_top[], bss_start[], bss_end[];

/* A call of Arm's specification: r0 and r1 in, r0 out. */
static uint32_t call(uint32_t operation, const void *argument)
{
    register uint32_t result __asm__("r0") = operation;
    register const void *second __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(result) : "r"(second) : "memory");
    return result;
}

void print(const char *text)
{
    (void)call(0x04, text); /* SYS_WRITE0 */
}

void print_number(uint32_t number)
{
    char text[11], *at = text + 10; /* ten digits and the zero that ends them */
    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    print(at);
}

void print_hex(uint64_t number)
{
    char text[17];
    int i;
    for (i = 0; i < 16; i++) {
        text[i] = "0123456789abcdef"[(number >> (60 - 4 * i)) & 15];
    }
    text[16] = '\0';
    print(text);
}

void print_line(const char *before, uint32_t number, const char *after)
{
    print(before);
    print_number(number);
    print(after);
    print("\n");
}

int32_t open_file(const char *name)
{
    const uint32_t block[3] = {(uint32_t)(uintptr_t)name, 1, (uint32_t)strlen(name)}; /* mode 1 is "rb" */
    return (int32_t)call(0x01, block);
}

int read_file(int32_t file, void *bytes, uint32_t len)
{
    const uint32_t block[3] = {(uint32_t)file, (uint32_t)(uintptr_t)bytes, len};
    return call(0x06, block) == 0; /* SYS_READ answers how many bytes are missing */
}

void start_timer(void)
{
    TIMER[1] = ROUND - 1;
    TIMER[2] = 0;
    TIMER[0] = 5; /* on, by the core's clock, without interrupts */
}

uint32_t now(void)
{
    return TIMER[2];
}

uint32_t instructions_since(uint32_t start)
{
    const uint32_t ticks = (start - now()) % ROUND;
    return (uint32_t)((uint64_t)ticks * HALVES / 2);
}

uint32_t variable_bytes(void)
{
    return (uint32_t)((uintptr_t)bss_end - (uintptr_t)bss_start);
}

uint32_t stack_bytes(void)
{
    const volatile uint32_t *at = bss_end;
    while (at < stack_top && *at == PAINT) {
        at++;
    }
    return (uint32_t)((uintptr_t)stack_top - (uintptr_t)at);
}

/*
 * Counts the instructions of each step of the first digit. run.sh makes the comment above each step of digits_run() a call of
 * step(), for this program alone; what a step is called is what the comment says.
 */
#include "host.h"
#include "model.h"

void step(const char *name);

static const char *running; /* none while the numbers are not wanted */
static uint32_t start;

/* The step before this one is over. */
void step(const char *name)
{
    const uint32_t instructions = instructions_since(start);
    if (running != 0) {
        print(running);
        print_line(": ", instructions, "");
    }
    running = name;
    start = now();
}

int main(void)
{
    const int32_t digits = open_file("digits.bin");
    if (digits < 0 || !read_file(digits, digits_input(), DIGITS_INPUT_BYTES)) {
        print("digits.bin: no digit in it\n");
        return 1;
    }
    start_timer();
    (void)digits_run();
    step(0);
    return 0;
}

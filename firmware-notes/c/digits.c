/*
 * Runs the self-test, then classifies digits one after the other as they come from the host: "digits.bin" holds raw pixels and
 * nothing else, "labels.bin", if it is there, a byte for each digit. Prints the classes, a checksum of all logits that must be
 * the same on every machine, instructions, and memory.
 */
#include "host.h"
#include "model.h"

/* FNV-1a of 64 bits. */
static uint64_t add_logits(uint64_t sum, const int8_t *logits)
{
    int i;
    for (i = 0; i < DIGITS_CLASSES; i++) {
        sum = (sum ^ (uint8_t)logits[i]) * 0x100000001b3u;
    }
    return sum;
}

int main(void)
{
    const int32_t mismatches = digits_selftest();
    const int32_t digits = open_file("digits.bin"), labels = open_file("labels.bin");
    uint32_t count = 0, right = 0, instructions = 0;
    uint64_t sum = 0xcbf29ce484222325u;
    print_line("self-test: ", (uint32_t)mismatches, " logits differ");
    if (digits < 0) {
        print("digits.bin: no such file\n");
        return 1;
    }
    start_timer();
    while (read_file(digits, digits_input(), DIGITS_INPUT_BYTES)) {
        const uint32_t start = now();
        const int8_t *const logits = digits_run();
        uint8_t label;
        instructions = instructions_since(start); /* the last digit's are printed */
        sum = add_logits(sum, logits);
        print_number((uint32_t)digits_class());
        count++;
        print(count % 40 == 0 ? "\n" : " ");
        if (labels >= 0 && read_file(labels, &label, 1) && label == digits_class()) {
            right++;
        }
    }
    print_line("\n", count, " digits");
    if (labels >= 0) {
        print_line("", right, " of them right");
    }
    print("logits ");
    print_hex(sum);
    print("\n");
    print_line("", instructions, " instructions a digit");
    print_line("RAM: arena ", DIGITS_ARENA_BYTES, " bytes");
    print_line("RAM: all variables ", variable_bytes(), " bytes");
    print_line("RAM: stack ", stack_bytes(), " bytes");
    return mismatches == 0 && count > 0 ? 0 : 1;
}


/* Where a step's output lies: low and high are its smallest and its largest byte, less the zero point. */
struct range {
    int32_t zero_point, low, high;
};

static int8_t to_byte(const struct range *range, int32_t x)
{
    if (x < range->low) {
        x = range->low;
    }
    if (x > range->high) {
        x = range->high;
    }
    return (int8_t)(x + range->zero_point);
}

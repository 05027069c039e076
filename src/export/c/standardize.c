
/* How the pixels of an image become bytes, by its own mean and deviation: multiplier / 2^shift of them to a deviation. */
struct standardize {
    int32_t pixels, multiplier;
    uint8_t shift;
    struct range range;
};

/* zero_point + (p - mean) / deviation * multiplier / 2^shift, rounded and clamped; "out" may be "in". */
static void standardize(const struct standardize *by, const uint8_t *in, int8_t *out)
{
    const uint64_t n = (uint64_t)by->pixels;
    const int32_t half = by->shift > 0 ? (int32_t)1 << (by->shift - 1) : 0;
    uint64_t sum = 0, squares = 0, spread, root = 0, bit;
    int32_t mean, slope = 0, rest = 0, i;
    for (i = 0; i < by->pixels; i++) {
        sum += in[i];
        squares += (uint32_t)in[i] * in[i];
    }
    mean = (int32_t)(sum / n);
    spread = n * squares - sum * sum; /* (n * deviation)^2 */
    if (spread > 0) {
        uint64_t factor = (uint64_t)by->multiplier * n;
        while (spread >> 62 == 0) {
            spread <<= 2;
            factor <<= 1;
        }
        for (bit = (uint64_t)1 << 31; bit > 0; bit >>= 1) {
            if ((root | bit) * (root | bit) <= spread) {
                root |= bit;
            }
        }
        slope = (int32_t)(factor / root);
        rest = (int32_t)(((uint64_t)slope * (sum % n) + n / 2) / n);
    }
    for (i = 0; i < by->pixels; i++) {
        const int32_t x = (in[i] - mean) * slope - rest + half;
        /* A negative number is shifted as its complement: C leaves open what happens to it otherwise. */
        out[i] = to_byte(&by->range, x < 0 ? ~(~x >> by->shift) : x >> by->shift);
    }
}

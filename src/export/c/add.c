
/* How bytes of different scales are added: factors in units of 2^-shift. */
struct sum {
    int32_t zero_points[2], multipliers[2];
    uint8_t shift;
    struct range range;
};

/* zero_point + floor(((a - za) * ma + (b - zb) * mb) / 2^shift + 1/2), clamped; "out" may be "a". All fits in 32 bits. */
static void add(const struct sum *sum, const int8_t *a, const int8_t *b, int8_t *out, int32_t n)
{
    const int32_t half = sum->shift > 0 ? (int32_t)1 << (sum->shift - 1) : 0;
    int32_t i;
    for (i = 0; i < n; i++) {
        const int32_t x = (a[i] - sum->zero_points[0]) * sum->multipliers[0] +
                          (b[i] - sum->zero_points[1]) * sum->multipliers[1] + half;
        /* A negative number is shifted as its complement: C leaves open what happens to it otherwise. */
        out[i] = to_byte(&sum->range, x < 0 ? ~(~x >> sum->shift) : x >> sum->shift);
    }
}

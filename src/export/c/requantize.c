
/*
 * zero_point + floor(sum * multiplier / 2^(31 + shift) + 1/2), clamped. Every shift of this model is at least 2, so that the
 * half has no bit in the low word of the product and 32 bits do. 2^62 lifts the product above zero: only unsigned numbers are
 * shifted, as C leaves open what happens to negative ones.
 */
static int8_t requantize(const struct range *range, int32_t sum, int32_t multiplier, uint8_t shift)
{
    const uint32_t high = (uint32_t)((uint64_t)((int64_t)sum * multiplier + ((int64_t)1 << 62)) >> 32);
    const uint32_t half = (uint32_t)1 << (shift - 2);
    return to_byte(range, (int32_t)((high + half) >> (shift - 1)) - (int32_t)(((uint32_t)1 << 31) >> shift));
}

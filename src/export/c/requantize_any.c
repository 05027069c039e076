
/*
 * zero_point + floor(sum * multiplier / 2^(31 + shift) + 1/2), clamped. 2^62 lifts the product above zero: only unsigned
 * numbers are shifted, as C leaves open what happens to negative ones. (A model whose shifts are all at least 2 does with 32
 * bits.)
 */
static int8_t requantize(const struct range *range, int32_t sum, int32_t multiplier, uint8_t shift)
{
    const uint64_t lifted = (uint64_t)((int64_t)sum * multiplier + ((int64_t)1 << 62));
    const uint64_t half = (uint64_t)1 << (30 + shift);
    return to_byte(range, (int32_t)((int64_t)((lifted + half) >> (31 + shift)) - (((int64_t)1 << 31) >> shift)));
}


/* Raw pixels, 0 to 255, become bytes with a sign; "out" may be "in". */
static void pixels(const uint8_t *in, int8_t *out, int32_t n)
{
    int32_t i;
    for (i = 0; i < n; i++) {
        out[i] = (int8_t)(in[i] - 128);
    }
}

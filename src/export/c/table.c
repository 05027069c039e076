
/* A function of each byte, by a table of 256 from the smallest on; "out" may be "in". */
static void look_up(const int8_t *table, const int8_t *in, int8_t *out, int32_t n)
{
    int32_t i;
    for (i = 0; i < n; i++) {
        out[i] = table[in[i] + 128];
    }
}

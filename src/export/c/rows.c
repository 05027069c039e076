
/* Outputs first to last - 1 of a layer, four at a time. */
static void rows(const struct layer *layer, int32_t first, int32_t last, const int8_t *in, int8_t *out)
{
    const int32_t n = layer->inputs;
    const int8_t *weight = layer->weight + (size_t)first * (size_t)n;
    for (; first + 4 <= last; first += 4) {
        int32_t sums[4], i;
        dot4(in, weight, n, sums);
        for (i = 0; i < 4; i++) {
            *out++ = finish(layer, first + i, sums[i]);
        }
        weight += 4 * n;
    }
    for (; first < last; first++) {
        int32_t sum = 0, i;
        for (i = 0; i < n; i++) {
            sum += in[i] * weight[i];
        }
        *out++ = finish(layer, first, sum);
        weight += n;
    }
}

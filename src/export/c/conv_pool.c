
/*
 * A convolution and the largest of each 2x2 behind it; a last odd row or column is left out. The four patches of a window are
 * laid out, and each row of weights is loaded once for all: the largest of four sums becomes the largest byte, as factors are
 * not negative. That takes fewer instructions than a row of maxima, which would be stored and loaded again. "patches" has
 * 4 * layer.inputs bytes.
 */
static void convolve_pool(const struct conv *conv, const int8_t *in, int8_t *out, int8_t *patches)
{
    const int32_t each = conv->each, n = conv->layer.inputs;
    int32_t y, x, group, output, i;
    for (y = 0; y + 2 <= conv->out_rows; y += 2) {
        for (x = 0; x + 2 <= conv->out_cols; x += 2) {
            const int8_t *weight = conv->layer.weight;
            for (group = 0; group < conv->groups; group++) {
                for (i = 0; i < 4; i++) {
                    gather(conv, y + i / 2, x + i % 2, in + group * conv->depth, patches + i * n);
                }
                for (output = group * each; output < (group + 1) * each; output++) {
                    int32_t sums[4], most;
                    dot4(weight, patches, n, sums);
                    most = sums[0];
                    for (i = 1; i < 4; i++) {
                        most = sums[i] > most ? sums[i] : most;
                    }
                    *out++ = finish(&conv->layer, output, most);
                    weight += n;
                }
            }
        }
    }
}

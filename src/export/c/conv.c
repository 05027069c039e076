
/* A convolution: the patch of each output pixel is laid out once for all its channels. "patch" has layer.inputs bytes. */
static void convolve(const struct conv *conv, const int8_t *in, int8_t *out, int8_t *patch)
{
    const int32_t each = conv->each;
    int32_t y, x, group;
    for (y = 0; y < conv->out_rows; y++) {
        for (x = 0; x < conv->out_cols; x++) {
            for (group = 0; group < conv->groups; group++) {
                gather(conv, y, x, in + group * conv->depth, patch);
                rows(&conv->layer, group * each, (group + 1) * each, patch, out);
                out += each;
            }
        }
    }
}


/* A convolution; each output channel sees the input channels of its group. */
struct conv {
    struct layer layer;
    int32_t rows, cols, channels; /* of the input */
    int32_t out_rows, out_cols;   /* before the pooling, if there is one */
    int32_t kernel_rows, kernel_cols, stride, padding;
    int32_t groups, depth, each; /* depth: input channels of a group; each: its output channels */
    int8_t zero_point; /* of the input: what padding counts as */
};

static int8_t *fill(int8_t *to, int8_t value, int32_t n)
{
    memset(to, value, (size_t)n);
    return to + n;
}

static int8_t *copy(int8_t *to, const int8_t *from, int32_t n)
{
    memcpy(to, from, (size_t)n);
    return to + n;
}

/* What the kernel sees of a group for output (y, x), in the order of its weights; "in" points to the group's first channel. */
static void gather(const struct conv *conv, int32_t y, int32_t x, const int8_t *in, int8_t *patch)
{
    const int32_t top = y * conv->stride - conv->padding, left = x * conv->stride - conv->padding;
    const int32_t rows = conv->rows, cols = conv->cols, channels = conv->channels, depth = conv->depth;
    const int32_t kernel_cols = conv->kernel_cols, bottom = top + conv->kernel_rows;
    const int32_t from = left < 0 ? -left : 0;
    const int32_t to = cols - left < kernel_cols ? cols - left : kernel_cols;
    int32_t row, i;
    for (row = top; row < bottom; row++) {
        const int8_t *pixel;
        if (row < 0 || row >= rows || from >= to) {
            patch = fill(patch, conv->zero_point, kernel_cols * depth);
            continue;
        }
        if (from > 0) {
            patch = fill(patch, conv->zero_point, from * depth);
        }
        pixel = in + (row * cols + left + from) * channels;
        if (conv->groups == 1) { /* all channels of a row lie in one piece, those of a group a pixel apart */
            patch = copy(patch, pixel, (to - from) * depth);
        } else {
            for (i = 0; i < to - from; i++) {
                patch = copy(patch, pixel + i * channels, depth);
            }
        }
        if (to < kernel_cols) {
            patch = fill(patch, conv->zero_point, (kernel_cols - to) * depth);
        }
    }
}

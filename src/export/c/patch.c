
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
    for (; n > 0; n--) {
        *to++ = value;
    }
    return to;
}

/* What the kernel sees of a group for output (y, x), in the order of its weights; "in" points to the group's first channel. */
static void gather(const struct conv *conv, int32_t y, int32_t x, const int8_t *in, int8_t *patch)
{
    const int32_t top = y * conv->stride - conv->padding, left = x * conv->stride - conv->padding;
    const int32_t from = left < 0 ? -left : 0;
    const int32_t to = conv->cols - left < conv->kernel_cols ? conv->cols - left : conv->kernel_cols;
    /* All channels of a row lie in one piece, those of a group a pixel apart. */
    const int32_t pieces = conv->groups == 1 ? 1 : to - from;
    const int32_t piece = conv->groups == 1 ? (to - from) * conv->depth : conv->depth;
    int32_t dy, i, j;
    for (dy = 0; dy < conv->kernel_rows; dy++) {
        const int8_t *row;
        if (top + dy < 0 || top + dy >= conv->rows || from >= to) {
            patch = fill(patch, conv->zero_point, conv->kernel_cols * conv->depth);
            continue;
        }
        patch = fill(patch, conv->zero_point, from * conv->depth);
        row = in + ((top + dy) * conv->cols + left + from) * conv->channels;
        for (i = 0; i < pieces; i++) {
            for (j = 0; j < piece; j++) {
                *patch++ = row[i * conv->channels + j];
            }
        }
        patch = fill(patch, conv->zero_point, (conv->kernel_cols - to) * conv->depth);
    }
}

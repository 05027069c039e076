
/* Windows of a pooling. */
struct pool {
    int32_t rows, cols, channels; /* of the input */
    int32_t out_rows, out_cols;
    int32_t kernel_rows, kernel_cols, stride, padding;
};

/* The part of a side that window "at" covers: from, and the place behind the last. */
static void covered(const struct pool *pool, int32_t at, int32_t kernel, int32_t side, int32_t place[2])
{
    const int32_t start = at * pool->stride - pool->padding;
    place[0] = start < 0 ? 0 : start;
    place[1] = side - start < kernel ? side : start + kernel;
}


/* How a sum becomes a mean. */
struct mean {
    struct pool pool;
    int32_t zero_point; /* of the input */
    int32_t multiplier;
    uint8_t shift;
    struct range range;
};

/* The mean of each window, padding counted as zeros: with a factor for whole windows. */
static void avg_pool(const struct mean *mean, const int8_t *in, int8_t *out)
{
    const struct pool *pool = &mean->pool;
    int32_t y, x, c, row, col;
    for (y = 0; y < pool->out_rows; y++) {
        int32_t rows_at[2];
        covered(pool, y, pool->kernel_rows, pool->rows, rows_at);
        for (x = 0; x < pool->out_cols; x++) {
            int32_t cols_at[2];
            covered(pool, x, pool->kernel_cols, pool->cols, cols_at);
            for (c = 0; c < pool->channels; c++) {
                int32_t sum = 0;
                for (row = rows_at[0]; row < rows_at[1]; row++) {
                    for (col = cols_at[0]; col < cols_at[1]; col++) {
                        sum += in[(row * pool->cols + col) * pool->channels + c] - mean->zero_point;
                    }
                }
                *out++ = requantize(&mean->range, sum, mean->multiplier, mean->shift);
            }
        }
    }
}

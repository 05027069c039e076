
/* The largest of each window; padding takes no part. */
static void max_pool(const struct pool *pool, const int8_t *in, int8_t *out)
{
    int32_t y, x, c, row, col;
    for (y = 0; y < pool->out_rows; y++) {
        int32_t rows_at[2];
        covered(pool, y, pool->kernel_rows, pool->rows, rows_at);
        for (x = 0; x < pool->out_cols; x++) {
            int32_t cols_at[2];
            covered(pool, x, pool->kernel_cols, pool->cols, cols_at);
            for (c = 0; c < pool->channels; c++) {
                int8_t most = -128;
                for (row = rows_at[0]; row < rows_at[1]; row++) {
                    for (col = cols_at[0]; col < cols_at[1]; col++) {
                        const int8_t pixel = in[(row * pool->cols + col) * pool->channels + c];
                        most = pixel > most ? pixel : most;
                    }
                }
                *out++ = most;
            }
        }
    }
}

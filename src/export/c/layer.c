
/* What linear layers and convolutions share: for each output a row of weights, a bias and a factor. */
struct layer {
    const int8_t *weight;      /* [outputs][inputs] */
    const int32_t *bias;       /* [outputs] */
    const int32_t *multiplier; /* [outputs] */
    const uint8_t *shift;      /* [outputs] */
    int32_t outputs, inputs;
    struct range range;
};

static int8_t finish(const struct layer *layer, int32_t output, int32_t sum)
{
    return requantize(&layer->range, sum + layer->bias[output], layer->multiplier[output], layer->shift[output]);
}

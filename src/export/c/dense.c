
/* A linear layer. */
static void dense(const struct layer *layer, const int8_t *in, int8_t *out)
{
    rows(layer, 0, layer->outputs, in, out);
}

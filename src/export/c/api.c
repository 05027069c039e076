
uint8_t *@name@_input(void)
{
    return arena@INPUT@;
}

const int8_t *@name@_run(void)
{
    int8_t *const at = (int8_t *)arena;
@CALLS@
    return at@OUTPUT@;
}

int @name@_class(void)
{
    const int8_t *const logits = (const int8_t *)arena@OUTPUT@;
    int best = 0, i;
    for (i = 1; i < @NAME@_CLASSES; i++) {
        if (logits[i] > logits[best]) {
            best = i;
        }
    }
    return best;
}


#if defined(__GNUC__) && defined(__arm__) && defined(__ARM_FEATURE_DSP)
static uint32_t load_four(const int8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Bytes 0 and 2 of a word as two numbers of 16 bits. */
static uint32_t even_bytes(uint32_t word)
{
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
    return pair;
}

/* Bytes 1 and 3. */
static uint32_t odd_bytes(uint32_t word)
{
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

/* sum + the products of two pairs. */
static int32_t add_products(int32_t sum, uint32_t a, uint32_t b)
{
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

static int32_t add_four(int32_t sum, uint32_t even, uint32_t odd, const int8_t *bytes)
{
    const uint32_t word = load_four(bytes);
    return add_products(add_products(sum, even, even_bytes(word)), odd, odd_bytes(word));
}
#define HAS_DSP 1
#else
#define HAS_DSP 0
#endif

/* The sums of one row of n bytes times each of four that lie one after the other: what is loaded of the one serves four times. */
static void dot4(const int8_t *one, const int8_t *four, int32_t n, int32_t sums[4])
{
    const int8_t *a = four, *b = a + n, *c = b + n, *d = c + n;
    int32_t sum_a = 0, sum_b = 0, sum_c = 0, sum_d = 0;
    int32_t i = 0;
#if HAS_DSP
    for (; i + 4 <= n; i += 4) {
        const uint32_t word = load_four(one + i), even = even_bytes(word), odd = odd_bytes(word);
        sum_a = add_four(sum_a, even, odd, a + i);
        sum_b = add_four(sum_b, even, odd, b + i);
        sum_c = add_four(sum_c, even, odd, c + i);
        sum_d = add_four(sum_d, even, odd, d + i);
    }
#endif
    for (; i < n; i++) {
        const int x = one[i];
        sum_a += x * a[i];
        sum_b += x * b[i];
        sum_c += x * c[i];
        sum_d += x * d[i];
    }
    sums[0] = sum_a;
    sums[1] = sum_b;
    sums[2] = sum_c;
    sums[3] = sum_d;
}

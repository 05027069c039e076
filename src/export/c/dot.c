
#if defined(__GNUC__) && defined(__ARM_FEATURE_SIMD32) && defined(__ARM_FEATURE_UNALIGNED)
#define HAS_DSP 1

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

static uint32_t load_four(const int8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word); /* one load: a word may lie anywhere here */
    return word;
}

/* sum + the products of four bytes with two pairs. In one piece: compilers that part it run out of registers. */
static int32_t add_four(int32_t sum, uint32_t even, uint32_t odd, const int8_t *bytes)
{
    uint32_t pair;
    __asm__("sxtb16 %1, %2\n\t"
            "smlad %0, %3, %1, %0\n\t"
            "sxtb16 %1, %2, ror #8\n\t"
            "smlad %0, %4, %1, %0"
            : "+&r"(sum), "=&r"(pair)
            : "r"(load_four(bytes)), "r"(even), "r"(odd));
    return sum;
}
#else
#define HAS_DSP 0
#endif

/* The sums of one row of n bytes times each of four that lie one after the other: what is loaded of the one serves four times. */
static void dot4(const int8_t *one, const int8_t *four, int32_t n, int32_t sums[4])
{
    const int8_t *a = four, *c = four + 2 * n; /* rows 0 and 2; the others lie n further */
    const int8_t *const end = one + n;
    int32_t sum_a = 0, sum_b = 0, sum_c = 0, sum_d = 0;
#if HAS_DSP
    int32_t words;
    for (words = n / 4; words > 0; words--) {
        const uint32_t word = load_four(one), even = even_bytes(word), odd = odd_bytes(word);
        sum_a = add_four(sum_a, even, odd, a);
        sum_b = add_four(sum_b, even, odd, a + n);
        sum_c = add_four(sum_c, even, odd, c);
        sum_d = add_four(sum_d, even, odd, c + n);
        one += 4;
        a += 4;
        c += 4;
    }
#endif
    for (; one < end; one++, a++, c++) {
        const int x = *one;
        sum_a += x * a[0];
        sum_b += x * a[n];
        sum_c += x * c[0];
        sum_d += x * c[n];
    }
    sums[0] = sum_a;
    sums[1] = sum_b;
    sums[2] = sum_c;
    sums[3] = sum_d;
}

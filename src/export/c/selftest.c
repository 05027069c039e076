/*
 * Golden vectors for model.c, written with it: pictures, and what inkstone's own runtime makes of them.
 *
 *     cc -O2 model.c selftest.c -o selftest
 *     ./selftest                  compares every logit; exit code 0 if all are equal
 *     ./selftest pixels logits    runs a file of raw pictures, @INPUT_BYTES@ bytes each, and writes @CLASSES@ logits for each
 *
 * With INKSTONE_NO_MAIN defined it has no main, prints nothing and needs no <stdio.h>: call @name@_selftest() on a device.
 */
#include "model.h"

#include <string.h>

#ifdef INKSTONE_NO_MAIN
#define REPORT(...) ((void)0)
#else
#include <stdio.h>
#define REPORT(...) ((void)printf(__VA_ARGS__))
#endif

#define SAMPLES @SAMPLES@

static const uint8_t pictures[SAMPLES][@NAME@_INPUT_BYTES] = {
@PICTURES@};

static const int8_t expected[SAMPLES][@NAME@_CLASSES] = {
@LOGITS@};

static const uint16_t classes[SAMPLES] = {
@EXPECTED_CLASSES@};

int32_t @name@_selftest(void)
{
    int32_t mismatches = 0, wrong = 0, sample, i;
    for (sample = 0; sample < SAMPLES; sample++) {
        const int8_t *logits;
        memcpy(@name@_input(), pictures[sample], @NAME@_INPUT_BYTES);
        logits = @name@_run();
        for (i = 0; i < @NAME@_CLASSES; i++) {
            if (logits[i] != expected[sample][i]) {
                REPORT("picture %ld, logit %ld: %d, not %d\n", (long)sample, (long)i, logits[i], expected[sample][i]);
                mismatches++;
            }
        }
        if (@name@_class() != classes[sample]) {
            REPORT("picture %ld: class %d, not %d\n", (long)sample, @name@_class(), classes[sample]);
            wrong++;
        }
    }
    REPORT("%ld pictures: %ld logits and %ld classes differ\n", (long)SAMPLES, (long)mismatches, (long)wrong);
    /* Equal logits have equal classes; a class that differs beside them counts too. */
    return mismatches + wrong;
}

#ifndef INKSTONE_NO_MAIN
static int run_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out;
    size_t got = 0;
    int failed = 0;
    if (in == NULL) {
        (void)fprintf(stderr, "cannot read %s\n", from);
        return 1;
    }
    out = fopen(to, "wb");
    if (out == NULL) {
        (void)fprintf(stderr, "cannot write %s\n", to);
        (void)fclose(in);
        return 1;
    }
    while (!failed && (got = fread(@name@_input(), 1, @NAME@_INPUT_BYTES, in)) == @NAME@_INPUT_BYTES) {
        failed = fwrite(@name@_run(), 1, @NAME@_CLASSES, out) != @NAME@_CLASSES;
    }
    failed = failed || got != 0 || ferror(in);
    (void)fclose(in);
    failed = fclose(out) != 0 || failed;
    if (failed) {
        (void)fprintf(stderr, "%s is no whole number of pictures of %ld bytes, or %s is full\n", from,
                      (long)@NAME@_INPUT_BYTES, to);
    }
    return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        return run_file(argv[1], argv[2]);
    }
    if (argc != 1) {
        (void)fprintf(stderr, "usage: %s [pixels logits]\n", argv[0]);
        return 2;
    }
    return @name@_selftest() == 0 ? 0 : 1;
}
#endif

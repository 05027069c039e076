/*
 * Written by `inkstone export --format c`, inkstone @VERSION@, from the image with CRC-32 0x@CRC32@, release @RELEASE@: change
 * the model, not this file. C99, no allocation, no floating point; equal to inkstone's own runtime to the bit.
 *
 * In:  @IN_ROWS@ x @IN_COLS@ pixels of @IN_CHANNELS@ channel(s), raw bytes 0 to 255, by rows, channels last.
 * Out: @CLASSES@ logits as bytes: real = @SCALE@ * (logit - (@ZERO_POINT@)). The largest is the class.
 *
 *     memcpy(@name@_input(), picture, @NAME@_INPUT_BYTES);
 *     @name@_run();
 *     puts(@name@_class_names[@name@_class()]);
 *
 * All functions share one static arena: one thread or interrupt at a time.
 */
#ifndef @NAME@_H
#define @NAME@_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define @NAME@_CRC32 0x@CRC32@u
#define @NAME@_RELEASE @RELEASE@u
/* Bytes of a picture. */
#define @NAME@_INPUT_BYTES @INPUT_BYTES@
/* Numbers of an output. */
#define @NAME@_CLASSES @CLASSES@
/* Bytes of RAM: @ACTIVATIONS@ of activations, and @SCRATCH@ of scratch for the patches of convolutions. The stack comes on top. */
#define @NAME@_ARENA_BYTES @ARENA_BYTES@
/* Bytes of constants in flash: weights, biases, factors, tables. On top come the code, the records of the
   layers, which say where their constants are, and the names of the classes. */
#define @NAME@_FLASH_BYTES @FLASH_BYTES@

/* The names of the classes, in UTF-8. */
extern const char *const @name@_class_names[@NAME@_CLASSES];

/* Where the picture goes before each run, @NAME@_INPUT_BYTES bytes: a run writes over them. */
uint8_t *@name@_input(void);

/* Runs the model on the picture. The logits stay until the next picture is written. */
const int8_t *@name@_run(void);

/* The class of the last run: that of the largest logit, the first of equals. */
int @name@_class(void);

/* Runs the golden vectors of selftest.c, where it is defined, and counts the logits that differ: 0 is as it should be. */
int32_t @name@_selftest(void);

#ifdef __cplusplus
}
#endif

#endif

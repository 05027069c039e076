/*
 * Written by `inkstone export --format c`, inkstone @VERSION@, from the image with CRC-32 0x@CRC32@, release @RELEASE@: change
 * the model, not this file. What it offers is said in model.h; below come the kernels that this model uses, its constants, and
 * one call for each of its steps.
 */
#include "model.h"

#include <string.h>

/* Activations where the image has them, then patches of convolutions. Nothing here needs more than a byte's alignment. */
static uint8_t arena[@NAME@_ARENA_BYTES];

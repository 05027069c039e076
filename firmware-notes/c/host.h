/* The way out of the chip, its clock, and how deep its stack has been: what the programs of a board share. */
#ifndef HOST_H
#define HOST_H

#include <stdint.h>

/* Text, and numbers in decimal and in hexadecimal, to the host's standard output. */
void print(const char *text);
void print_number(uint32_t number);
void print_hex(uint64_t number);

/* A number between two words, and the end of the line. */
void print_line(const char *before, uint32_t number, const char *after);

/* Opens a file of the host's for reading; below 0 if there is none. */
int32_t open_file(const char *name);

/* The next bytes of a file: 0 if there are not so many. */
int read_file(int32_t file, void *bytes, uint32_t len);

/* Starts the system timer, which under QEMU's -icount shift=0 advances with instructions. */
void start_timer(void);

/* Ticks until it begins anew. */
uint32_t now(void);

/* Instructions since it was "start", to the tick, if they are less than 2^24 ticks. */
uint32_t instructions_since(uint32_t start);

/* Bytes of variables, and bytes of the stack that were ever used. */
uint32_t variable_bytes(void);
uint32_t stack_bytes(void);

#endif

/* Bytes between a socket and a parser: `data[start..len)` is what nobody has used yet. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data;
    size_t start; /* first unused byte */
    size_t len;   /* end of the bytes held */
    size_t cap;
};

/* Makes room for `extra` bytes behind `len`; false when memory is short (nothing is lost then). */
bool buffer_reserve(struct buffer *b, size_t extra);

/* Copies `len` bytes behind those held; false when memory is short. */
bool buffer_append(struct buffer *b, const char *bytes, size_t len);

/* Moves the unused bytes to the front, or gives the memory back when none is left. */
void buffer_compact(struct buffer *b);

void buffer_free(struct buffer *b);

/* The head of a request: where it ends, what it asks for, how its body is framed. Between http.c and head.c only.
 *
 * Every function returns one of the steps, or the status to fail with.
 */
#pragma once
#include "http.h"

enum { STEP_MORE = 0, STEP_DONE = 1 };

struct span {
    const char *at;
    size_t len;
};

/* Looks for the empty line in the `len` bytes at `at`; sets head_len. */
int head_find_end(struct parser *parser, const char *at, size_t len);

/* Reads the head of head_len bytes at `at` into the parser and its request. */
int head_parse(struct parser *parser, const char *at);

/* Reads one "name: value\r\n", of a head or a trailer, at `at`; *next is set behind it. */
int head_parse_field(const char *at, const char *end, struct span *name, struct span *value, const char **next);

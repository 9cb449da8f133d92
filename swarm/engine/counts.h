/* Counts by a whole number: a histogram of microseconds, or errors by kind.
 *
 * Small numbers, which most latencies are, index an array; the others go into a hash table that grows. Nothing is rounded.
 */
#ifndef COUNTS_H
#define COUNTS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine_cell;

enum { COUNTS_DENSE = 8192 }; /* 8 ms in steps of 1 us: 32 KiB, which stays in a core's own cache */

struct counts {
    uint32_t *dense;           /* COUNTS_DENSE counts; NULL until the first small number, or where not wanted */
    struct engine_cell *cells; /* open addressing; a count of 0 marks an empty one */
    size_t cap, len;           /* of cells; cap is 0 or a power of two */
    bool is_sparse;            /* never use the array */
    bool has_lost;             /* memory was short: some were not counted */
};

void counts_add(struct counts *c, uint64_t key, uint64_t more);
void counts_free(struct counts *c);

/* Returns all cells with a count, unordered; *len of them, NULL when memory is short (or, with *len 0, when empty). */
struct engine_cell *counts_cells(const struct counts *c, size_t *len);

#endif

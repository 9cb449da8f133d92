#include "counts.h"

#include <stdlib.h>
#include <string.h>

#include "engine.h"

static size_t slot_of(const struct counts *c, uint64_t key)
{
    /* Fibonacci hashing: neighbouring latencies spread over the table. */
    size_t slot = (size_t)((key * 0x9E3779B97F4A7C15ull) >> 32) & (c->cap - 1);
    while (c->cells[slot].count && c->cells[slot].key != key)
        slot = (slot + 1) & (c->cap - 1);
    return slot;
}

static bool grow(struct counts *c)
{
    struct counts grown = {.cap = c->cap ? c->cap * 2 : 64, .len = c->len};
    grown.cells = calloc(grown.cap, sizeof *grown.cells);
    if (!grown.cells)
        return false;
    for (size_t i = 0; i < c->cap; i++)
        if (c->cells[i].count)
            grown.cells[slot_of(&grown, c->cells[i].key)] = c->cells[i];
    free(c->cells);
    c->cells = grown.cells;
    c->cap = grown.cap;
    return true;
}

void counts_add(struct counts *c, uint64_t key, uint64_t more)
{
    if (key < COUNTS_DENSE && !c->is_sparse) {
        if (!c->dense && !(c->dense = calloc(COUNTS_DENSE, sizeof *c->dense))) {
            c->has_lost = true;
            return;
        }
        c->dense[key] += (uint32_t)more; /* taken every quarter of a second, or a window: far below 2^32 */
        return;
    }
    if (c->len * 2 >= c->cap && !grow(c)) {
        c->has_lost = true;
        return;
    }
    struct engine_cell *cell = &c->cells[slot_of(c, key)];
    c->len += cell->count == 0;
    cell->key = key;
    cell->count += more;
}

void counts_free(struct counts *c)
{
    free(c->dense);
    free(c->cells);
    *c = (struct counts){.is_sparse = c->is_sparse};
}

struct engine_cell *counts_cells(const struct counts *c, size_t *len)
{
    size_t used = c->len;
    for (size_t i = 0; c->dense && i < COUNTS_DENSE; i++)
        used += c->dense[i] != 0;
    *len = used;
    if (!used)
        return NULL;
    struct engine_cell *cells = malloc(used * sizeof *cells);
    if (!cells)
        return NULL;
    size_t at = 0;
    for (size_t i = 0; c->dense && i < COUNTS_DENSE; i++)
        if (c->dense[i])
            cells[at++] = (struct engine_cell){i, c->dense[i]};
    for (size_t i = 0; i < c->cap; i++)
        if (c->cells[i].count)
            cells[at++] = c->cells[i];
    return cells;
}

/* Where the programs count, and this kernel's names for it. */
#ifndef LAB_TABLES_H
#define LAB_TABLES_H

#include <stdbool.h>
#include <stddef.h>

#include "json.h"
#include "names.h"

struct bpf_object;

struct tables {
    struct bpf_object *programs;
    int tallies, errors, drops; /* descriptors */
    bool reset_tells_reason;
    struct names reset_reasons, drop_reasons, uring_ops;
};

/* Write all counts since the beginning as members of the open object. Returns 0, or -1 with a sentence in `why`. */
int write_tables(struct json *json, const struct tables *tables, char *why, size_t why_size);

#endif

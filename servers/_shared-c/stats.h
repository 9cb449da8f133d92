/* What GET /stats tells. Counters are atomics, so that the threaded variant can use them too. */
#pragma once
#include <stdatomic.h>
#include <stddef.h>

enum { STATS_ERRNO_MAX = 200, STATS_TEXT_MAX = 8192 };

struct stats {
    atomic_ulong accepted; /* connections, ever */
    atomic_long active;    /* connections open now */
    atomic_long held;      /* of those: waiting in /hold */
    atomic_ulong requests; /* well-formed ones, whatever the answer */
    atomic_ulong errors[STATS_ERRNO_MAX];
};

extern struct stats stats;

/* Opens what stats_render() reads. Early, because later there may be no descriptor left for it.
 * instance: this process's number among those that share the port, -1: it was told none. */
void stats_open(int instance);

void stats_count_error(int number);

/* Writes the JSON object into `text`; returns its length. */
size_t stats_render(char text[STATS_TEXT_MAX], const char *variant);

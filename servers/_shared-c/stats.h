/* What GET /stats tells, and who waits in /hold. Counters are atomics, so that threads and processes can share them.
 *
 * A server of several processes calls stats_share() before it forks: from then on each counts into lines of its own, so
 * that counting never makes two CPUs wait for each other, and /stats, whoever answers it, tells the sums.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { STATS_ERRNO_MAX = 200, STATS_TEXT_MAX = 8192 };

struct stats {
    _Alignas(64) atomic_ulong accepted; /* connections, ever; 64: a cache line has one writer */
    atomic_long active;                 /* connections open now */
    atomic_ulong requests;              /* well-formed ones, whatever the answer */
    atomic_long direct_fds;             /* io_uring's: in no table of the process, but open_fds counts them too */
    atomic_int pid;                     /* whose lines these are; 0 as long as there is one process only */
    atomic_ulong errors[STATS_ERRNO_MAX];
};

extern struct stats *stats; /* this process's own */

/* Opens what stats_render() reads; in every process. Early, because later there may be no descriptor left for it.
 * instance: this process's number among those that share the port, -1: it was told none. */
void stats_open(int instance);

/* Makes the counters common to `processes` that are still to be forked, and to this one. False: errno. */
bool stats_share(int processes);

/* From now on this process counts as number `index`, from 0; `processes` is for their parent. */
void stats_take(int index);

/* Process number `index` has ended, or is about to: its sums stay, it has no connection any more. */
void stats_leave(int index);

void stats_count_error(int number);

/* Writes the JSON object into `text`; returns its length. */
size_t stats_render(char text[STATS_TEXT_MAX], const char *variant);

/* ---- /hold and /release, across all processes ------------------------------------------------------------------ */

/* Counts one more that waits. The number returned says which release it waits for. */
unsigned stats_hold(void);

/* One that waited has left; nothing changes when its release was there first. */
void stats_unhold(unsigned hold);

bool stats_is_released(unsigned hold);

/* Releases all who wait at this moment and returns how many they are. Waking them is the caller's. */
unsigned stats_release(void);

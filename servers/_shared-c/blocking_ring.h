/* All connections that blocking threads or processes serve.
 *
 * Whoever serves a connection has a seat. All seats taken form a ring, in which a release finds those who wait in /hold
 * and a shutdown those who are idle. c-threads makes a seat for each connection; c-threadpool and c-prefork have one for
 * each worker, and connections sit there one after the other.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "buffer.h"
#include "http.h"

enum blocking_limit { LIMIT_NOTHING, LIMIT_HEAD, LIMIT_BODY }; /* what the present deadline is for */

struct blocking_seat {
    int fd;
    pid_t process, thread;       /* who serves it, and can be woken */
    atomic_bool is_idle;         /* between two requests: may be hung up on */
    atomic_bool is_holding;
    atomic_llong idle_since_ms;  /* kept only where others may wait */
    unsigned hold;               /* which release it waits for */
    enum blocking_limit limit;   /* this and what follows: its own thread's */
    struct parser parser;
    struct buffer in, out;
    struct blocking_seat *prev, *next; /* under the ring's lock; NULL: nobody sits here */
};

/* Prepares what all have in common. Before the first connection, with SIGUSR1 blocked. Returns 0 or an errno.
 * is_across_processes: the seats lie in memory shared by processes yet to be forked, each with one thread. */
int blocking_init(bool is_across_processes);

/* Detached, with a small stack. Returns 0 or an errno. */
int blocking_thread_attributes(pthread_attr_t *attributes);

/* Takes a place in the ring; leaves it, no longer counted in stats->active. */
void blocking_link(struct blocking_seat *seat);
void blocking_unlink(struct blocking_seat *seat);

/* One more may wait in /hold: false when `most` do. */
bool blocking_take_hold(int most);
void blocking_give_hold(void);

/* After stats_release(). */
void blocking_wake_holders(void);

bool blocking_is_draining(void);

/* From now on each reply says close. Safe in a signal handler. */
void blocking_stop_inviting(void);

/* Safe in the handler of a signal to the seat's own thread: if the connection is idle, it ends. */
void blocking_hang_up_own(struct blocking_seat *seat);

/* Ends up to `most` connections that have been idle for so long. In another process: by SIGTERM. */
void blocking_hang_up_idle(int most, long long silent_ms);

/* Closes idle connections at once and waits for the others of this process until `end` (CLOCK_MONOTONIC). */
void blocking_drain(const struct timespec *end);

/* Reaps a process that served from `seat` and frees it; returns waitpid(2)'s status. Nobody can signal a pid that is
 * someone else's by then. */
int blocking_bury(struct blocking_seat *seat, pid_t process);

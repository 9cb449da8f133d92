/* One server of several processes: a parent that only watches, and children that serve.
 *
 * The parent passes SIGTERM and SIGINT on, and waits. A child that ends unasked ends the server: the others drain, and
 * the parent says so in one line and exits with 1. A server for the world would start another child; here a run with one
 * process less, or with one that starts over, would be measured as something it is not.
 */
#pragma once
#include <stdbool.h>

/* Forks the children, with counters in common (stats.h) and SIGTERM and SIGINT blocked, here and there. Returns the child's
 * number from 0, or -1 to the parent. A failure: one line on stderr and exit 1. */
int processes_fork(int count);

/* The parent's part. Returns its exit code once all children have ended: 0, or 1 if one ended unasked or badly. */
int processes_wait(const char *variant, int drain_ms);

/* In a child that is ready to serve: waits until all are, so that /stats never tells the sums of some. Clients queue
 * meanwhile. */
void processes_meet(void);

/* In a child: the eventfd that others write when there was a release; -1 in a server of one process. */
int processes_wake_fd(void);

/* In a child: there was a release. Wakes all others. */
void processes_wake_others(void);

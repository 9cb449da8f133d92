/* All connections, each with a thread of its own. */
#pragma once
#include <time.h>

/* Prepares what all threads share. Before the first conn_start(), with SIGUSR1 blocked. Returns 0 or an errno. */
int conns_init(void);

/* Takes a connected socket over and starts its thread; without one the client is turned away and counted. */
void conn_start(int fd);

/* Closes idle connections at once and gives the others until `end` (CLOCK_MONOTONIC). */
void conns_drain(const struct timespec *end);

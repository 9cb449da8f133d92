/* The life of one connection, told by the thread or process that serves it: wait, read, answer, close.
 *
 * What all connections have in common, the ring of those that are open, is blocking_ring.h.
 */
#pragma once
#include <stdbool.h>

#include "blocking_ring.h"

/* For a server with a limit on connections served at once. others_wait: does anyone wait for a seat just now? Then no
 * reply invites its client to stay. holds_most: how many may wait in /hold; beyond: 503. */
void blocking_set_limits(bool (*others_wait)(void), int holds_most);

/* Sets what connections inherit from their listener: how long a send may block. One call here saves one for each. */
void blocking_prepare_listener(int listen_fd);

/* Serves a connection to its end and closes it; it was counted in stats->active before. accepted_ms: when its first
 * request's time began. */
void blocking_serve(struct blocking_seat *seat, int fd, long long accepted_ms);

/* Closes a connection that nobody can serve. */
void blocking_turn_away(int fd);

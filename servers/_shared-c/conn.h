/* One client's connection where a loop is told that sockets are ready: its socket, and what it has not yet taken. */
#pragma once
#include <stdbool.h>

#include "ev.h"
#include "talk.h"

struct conn {
    struct ev_watch watch; /* first: a watch's address is its connection's */
    struct talk talk;
    struct buffer out; /* what the client was too slow to take; usually empty */
};

/* Takes a connected, non-blocking socket over; when memory or watches are short it is closed and counted. */
void conn_open(int fd);

/* A turn like every other: it never blocks, and closes no connection but this one. */
void conn_on_timer(struct timer *timer);

/* Closes every idle connection. */
void conn_drain_all(void);

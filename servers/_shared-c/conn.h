/* One client's connection in an event loop: what it has sent, what it waits for, what it has not yet taken. */
#pragma once
#include <stdbool.h>

#include "buffer.h"
#include "ev.h"
#include "http.h"
#include "timers.h"

enum state {
    READING,  /* collecting a request */
    WAITING,  /* /delay: the timer will answer */
    HOLDING,  /* /hold: POST /release will start the timer */
    LINGERING /* replied to a broken request; discarding what the client still sends, then closing */
};

/* What a READING connection's timer limits. */
enum limit { LIMIT_NOTHING, LIMIT_HEAD, LIMIT_BODY, LIMIT_SEND };

struct conn {
    struct ev_watch watch; /* first: a watch's address is its connection's */
    struct timer timer;
    enum state state;
    enum limit limit;
    unsigned hold;   /* while HOLDING: stats_hold()'s */
    bool is_closing; /* after the output is sent */
    bool is_broken;  /* ... with a lingering close */
    struct parser parser;
    struct request request; /* the one waited for */
    struct buffer in;       /* an incomplete request, or ones that came while waiting; usually empty */
    struct buffer out;      /* what the client was too slow to take; usually empty */
    struct conn *prev, *next;
};

/* Takes a connected, non-blocking socket over; when memory or watches are short it is closed and counted. */
void conn_open(int fd);

/* A turn like every other: it never blocks, and closes no connection but this one. */
void conn_on_timer(struct timer *timer);

bool conn_any_open(void);

/* Ends the wait of all who were released, by this process or another. */
void conn_release_all(void);

/* Closes every idle connection. */
void conn_drain_all(void);

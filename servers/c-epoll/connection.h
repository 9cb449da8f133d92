/* One client's connection: what it has sent, what it waits for, what it has not yet taken. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "shared/buffer.h"
#include "shared/http.h"
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
    struct timer timer; /* first: a timer's address is its connection's */
    int fd;
    enum state state;
    enum limit limit;
    uint32_t interest; /* what epoll was last told */
    bool is_closing;   /* after the output is sent */
    bool is_broken;    /* ... with a lingering close */
    struct parser parser;
    struct request request; /* the one waited for */
    struct buffer in;       /* an incomplete request, or ones that came while waiting; usually empty */
    struct buffer out;      /* what the client was too slow to take; usually empty */
    struct conn *prev, *next;
};

/* The loop, as far as connections know it. */
struct loop {
    int epoll_fd;
    uint64_t now_ms;         /* CLOCK_MONOTONIC, read once per round */
    bool is_draining;        /* every reply is the connection's last */
    struct conn connections; /* a ring of all that are open; this one is only its knot */
};
extern struct loop loop;

/* Adds or changes the interest in a descriptor. Adding fails when kernel memory or watches run out; changing cannot. */
bool loop_watch(int operation, int fd, uint32_t interest, void *who);

/* Takes a connected, non-blocking socket over; false (and the socket closed) when memory or watches are short. */
bool conn_open(int fd);

/* Each of these is one turn: it never blocks, and closes no connection but this one. */
void conn_on_event(struct conn *c, uint32_t events);
void conn_on_timer(struct conn *c);
void conn_on_drain(struct conn *c);

void conn_close(struct conn *c);

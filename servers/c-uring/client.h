/* One client's connection: what it has sent, what it waits for, which requests to the kernel are under way for it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "ring.h"
#include "shared/buffer.h"
#include "shared/http.h"
#include "shared/timers.h"

enum state {
    READING,  /* collecting a request */
    WAITING,  /* /delay: the timer will answer */
    HOLDING,  /* /hold: POST /release will start the timer */
    LINGERING /* replied to a broken request; discarding what the client still sends, then closing */
};

/* What a READING connection's timer limits. */
enum limit { LIMIT_NOTHING, LIMIT_HEAD, LIMIT_BODY, LIMIT_SEND };

struct client {
    struct timer timer; /* first: a timer's address is its client's */
    struct ring *ring;
    int file; /* its place in the ring's table: no descriptor of the process */
    enum state state;
    enum limit limit;
    unsigned hold;   /* while HOLDING: stats_hold()'s */
    bool is_closing; /* after the output is sent */
    bool is_broken;  /* ... with a lingering close */
    bool has_left;   /* the end of its input was seen */
    bool is_closed;  /* waits only for the last completions; then its memory is freed */
    bool is_receiving, is_sending, is_watched; /* requests under way: multishot receive, send, poll */
    bool is_pausing;                           /* ... the receive is being cancelled */
    bool is_stalled;                           /* ... the send waits for the client to read */
    bool is_shut;                              /* draining: the end of its input is on its way */
    unsigned char shutdowns;                   /* under way: nothing is closed before they are done */
    struct parser parser;
    struct request request; /* the one waited for */
    struct buffer in;       /* an incomplete request, or ones that came while waiting; usually empty */
    struct buffer sending;  /* what the kernel is reading: nobody touches it until the send completes */
    struct buffer out;      /* what goes out behind it */
    struct client *prev, *next;
};

/* The loop, as far as connections know it. */
struct loop {
    uint64_t now_ms;       /* CLOCK_MONOTONIC, read once per round */
    bool is_draining;      /* every reply is the connection's last */
    struct client clients; /* all that are open, in a circle; this one is only its knot */
    size_t client_count;   /* ... and those that are closed but have completions to come */
};
extern struct loop loop;

/* Takes a socket in the ring's table over. When memory is short it is closed and counted. */
void client_open(struct ring *ring, int file);

/* Each of these is one turn: it never blocks, and closes no connection but this one. */
void client_on_receive(struct client *c, int result, char *data, bool is_last);
void client_on_send(struct client *c, int result);
void client_on_leave(struct client *c);
void client_on_shut(struct client *c);
void client_on_timer(struct client *c);
void client_on_drain(struct client *c);

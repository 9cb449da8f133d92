/* One client's conversation in an event loop, however its bytes come and go: the request under way, what is waited for
 * and until when. No system calls; sockets are conn.c's, or c-uring's client.c's.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
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

struct talk {
    struct timer timer; /* first: a timer's address is its talk's */
    enum state state;
    enum limit limit;
    unsigned hold;   /* while HOLDING: stats_hold()'s */
    bool is_closing; /* after the output is sent */
    bool is_broken;  /* ... with a lingering close */
    struct parser parser;
    struct request request; /* the one waited for */
    struct buffer in;       /* an incomplete request, or ones that came while waiting; usually empty */
    struct talk *prev, *next;
};

/* What all of a loop's have in common. The loop keeps the first two. */
struct talks {
    uint64_t now_ms;  /* CLOCK_MONOTONIC, read once per round */
    bool is_draining; /* every reply is the connection's last */
    size_t count;
    struct talk open; /* all that are open, in a circle; this one is only its knot */
};
extern struct talks talks;

/* Counts a new client in, with the time limit of a first request. `t` is all zeroes; timers_reserve() was asked. */
void talk_begin(struct talk *t);

/* Counts it out, whatever it waited for. */
void talk_end(struct talk *t);

/* Puts the answer of every complete request in `in` into `out`, in order; stops at one that has to wait. What is left
 * of `in` is kept in t->in. may_ask: false: only that. False: no memory is left. */
bool talk_answer(struct talk *t, struct buffer *in, struct buffer *out, bool may_ask);

/* Sets the timer for what a READING connection waits for now. is_stalled: the client does not take what it is sent. */
void talk_limit(struct talk *t, bool is_stalled);

/* The timer of one that WAITs is due: its answer goes into `out`. False: no memory is left. */
bool talk_due(struct talk *t, struct buffer *out);

/* From now on what the client sends is dropped, for a while. */
void talk_linger(struct talk *t);

/* Ends the wait of all who were released, by this process or another. */
void talk_release_all(void);

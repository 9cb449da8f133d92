/* What all servers with an event loop share: the listener, the clock, deadlines, signals, draining. The loop itself, and
 * how readiness is asked for and learnt, is the variant's own file:
 *
 *     ev_begin(&config, listen_fd, &readiness);
 *     while (ev_goes_on()) {
 *         ...wait for readiness, at most ev_timeout_ms()...
 *         ev_begin_round();
 *         ...for each watch that is ready: watch->on_ready(watch, events)...
 *         ev_end_round();
 *     }
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "config.h"

/* A descriptor in the loop. Interests and events are poll(2)'s words, which epoll(7) numbers alike: POLLIN, POLLOUT,
 * POLLRDHUP, POLLERR, POLLHUP. */
struct ev_watch {
    int fd;
    uint32_t interest; /* what to wait for now; 0: nothing */
    /* Takes one turn: it never blocks, and ends no watch but its own. */
    void (*on_ready)(struct ev_watch *watch, uint32_t events);
    /* How the last turn's reading ended. Whoever is told of changes only (edge-triggered) has to know. */
    enum ev_read { EV_READ_FULL, EV_READ_SHORT, EV_READ_DRAINED } read; /* there may be more; less than asked; EAGAIN */

    /* The variant's own, zero to begin with. */
    uint32_t pending;
    int slot;
    struct ev_watch *prev, *next;
};

/* What a variant implements. Each takes `watch->interest` as it stands. */
struct ev_readiness {
    bool (*add)(struct ev_watch *watch);    /* false: errno; the watch is not taken */
    bool (*change)(struct ev_watch *watch); /* false: errno; never for a connection */
    void (*remove)(struct ev_watch *watch); /* before its descriptor is closed */
    int accepts_most;                       /* clients per turn of the listener; 0: as many as is fair to the others */
};

/* The loop, as far as connections know it; its clock is talk.h's. */
struct ev {
    const struct ev_readiness *readiness;
    struct ev_watch listener;
};
extern struct ev ev;

/* Says what failed, and errno, on stderr; exit 1. */
_Noreturn void ev_fail(const char *what);

/* Watches the listener and SIGTERM and SIGINT, which are blocked from here on. Exit 1 when it cannot. */
void ev_begin(const struct config *config, int listen_fd, const struct ev_readiness *readiness);

/* False when drained, or when LAB_DRAIN_S has passed. */
bool ev_goes_on(void);

/* Until the next deadline; -1: there is none. */
int ev_timeout_ms(void);

/* After the wait and before the first turn: reads the clock. */
void ev_begin_round(void);

/* After the last turn: what is due by the clock, and the drain when a signal came. */
void ev_end_round(void);

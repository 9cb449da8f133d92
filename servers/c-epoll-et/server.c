/* c-epoll-et: one thread, one epoll instance, edge-triggered.
 *
 * Each socket is registered once, for everything, and epoll_ctl() is never called again. The price: epoll reports a
 * socket when something *happens* to it and keeps silent about what was left lying there. Whoever stops reading too
 * early waits for ever. So the server remembers, per socket, what it was told (`pending`), and forgets it only when the
 * kernel says that nothing is left: recv() or accept() with EAGAIN, or, for a stream, a short read (epoll(7), questions).
 *
 * Reading until EAGAIN has a trap of its own: a client that sends without pause would never let the loop go. So a turn is
 * READS_MAX reads long; who has more waits in a queue behind all others, while epoll_wait() only looks and does not sleep.
 *
 * A write is simpler: send() with EAGAIN, or a part taken, is the kernel's promise to report room.
 *
 * Needs: Linux 2.6.28 (accept4). Leaves out: a second core (start several with LAB_REUSEPORT=1), TLS.
 * By hand: LAB_PORT=8080 ./server & curl -i 'http://127.0.0.1:8080/delay?ms=500'; strace -f -e epoll_ctl -p $!
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "shared/config.h"
#include "shared/ev.h"
#include "shared/reply.h"
#include "shared/stats.h"

enum {
    EVENTS_MAX = 512, /* per epoll_wait(): many, so that its cost is shared; few enough to stay in cache */
    READS_MAX = 4     /* per turn: enough for any whole request (64 KiB), too little to keep others waiting */
};

static int epoll_fd;
static struct ev_watch *current;                             /* whose turn it is; NULL once that turn has ended it */
static struct ev_watch queue = {.prev = &queue, .next = &queue}; /* who has something pending; the knot of a ring */

/* ---- the queue of those who have more ---------------------------------------------------------------------------- */

static void enqueue(struct ev_watch *watch)
{
    if (watch->next)
        return;
    watch->prev = queue.prev;
    watch->next = &queue;
    queue.prev->next = watch;
    queue.prev = watch;
}

static void dequeue(struct ev_watch *watch)
{
    if (!watch->next)
        return;
    watch->prev->next = watch->next;
    watch->next->prev = watch->prev;
    watch->prev = watch->next = NULL;
}

/* What has happened and is wanted now. A client that asks too much is not read from, but what it sent stays pending. */
static uint32_t what_is_due(const struct ev_watch *watch)
{
    return watch->interest ? watch->pending & (watch->interest | POLLERR | POLLHUP) : 0;
}

/* ---- asking for readiness ---------------------------------------------------------------------------------------- */

/* For everything and once. EPOLLPRI and EPOLLRDHUP are not waited for: they tell when a short read is not the end. */
static bool add(struct ev_watch *watch)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET, .data.ptr = watch};
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) == 0;
}

/* The kernel need not know. But what is wanted now may have been reported long ago. */
static bool change(struct ev_watch *watch)
{
    if (watch != current && what_is_due(watch))
        enqueue(watch);
    return true;
}

/* close() takes it out of epoll, and is called anyway. */
static void leave(struct ev_watch *watch)
{
    dequeue(watch);
    if (watch == current)
        current = NULL;
}

static const struct ev_readiness edge_triggered = {.add = add, .change = change, .remove = leave};

/* ---- a turn ------------------------------------------------------------------------------------------------------ */

/* Nothing is left, so the next piece will be an event. A short read says so too, unless urgent data, which recv() stops
 * at, or the end of the input lies behind it. */
static bool is_drained(const struct ev_watch *watch)
{
    const uint32_t more = POLLPRI | POLLRDHUP | POLLERR | POLLHUP;
    return watch->read == EV_READ_DRAINED || (watch->read == EV_READ_SHORT && !(watch->pending & more));
}

static void take_turn(struct ev_watch *watch)
{
    uint32_t due;
    current = watch;
    for (int reads = 0; current && (due = what_is_due(watch)); reads++) {
        if (reads == READS_MAX) {
            enqueue(watch); /* behind those who have waited longer */
            break;
        }
        if (due & POLLOUT) {
            watch->pending &= ~(uint32_t)POLLOUT; /* before the turn: it may fill the socket again */
            watch->on_ready(watch, POLLOUT);
            continue;
        }
        watch->on_ready(watch, due);
        if (current && is_drained(watch))
            watch->pending &= POLLOUT;
    }
    current = NULL;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

int main(void)
{
    const struct config config = config_read();
    reply_init("c-epoll-et", config.nonce);
    stats_open(config.instance);

    if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
        ev_fail("epoll_create1");
    ev_begin(&config, config_listen(&config, "c-epoll-et"), &edge_triggered);

    static struct epoll_event events[EVENTS_MAX];
    while (ev_goes_on()) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, queue.next != &queue ? 0 : ev_timeout_ms());
        if (count < 0 && errno != EINTR)
            ev_fail("epoll_wait");
        ev_begin_round();
        const struct ev_watch *last = queue.prev; /* of those left over from earlier rounds */
        for (int i = 0; i < count; i++) {         /* a turn ends no watch but its own: later events stay valid */
            struct ev_watch *watch = events[i].data.ptr;
            watch->pending |= events[i].events;
            if (!watch->next) /* who stands in the queue does not overtake */
                take_turn(watch);
        }
        for (bool is_last = last == &queue; !is_last && queue.next != &queue;) {
            struct ev_watch *watch = queue.next;
            is_last = watch == last;
            dequeue(watch);
            take_turn(watch);
        }
        ev_end_round();
    }
    return 0; /* whoever is left has had LAB_DRAIN_S */
}

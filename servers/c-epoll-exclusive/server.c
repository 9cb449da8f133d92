/* c-epoll-exclusive: one listener, one process per core, an epoll loop in each.
 *
 * The processes inherit one listening socket, with one queue: whoever is free takes the next client, and no client waits
 * behind a busy process while another is idle. With plain epoll every new client would wake every sleeping process, and
 * all but one would find nothing (the thundering herd). EPOLLEXCLUSIVE wakes one, or a few, of those that sleep.
 *
 * It has three consequences, all visible below. It wakes the first in the row, not the least loaded: left alone, one
 * process gets nearly all clients. So a turn accepts few, and whoever has accepted goes to the end of the row. A watch
 * made with it cannot be changed, so the pause after EMFILE removes and adds it. And a listener that others have open as
 * well stays in epoll after close(), so it has to be taken out by hand.
 *
 * Needs: Linux 4.5 (EPOLLEXCLUSIVE). Leaves out: a listener per process (servers/c-epoll-reuseport), pinning to CPUs.
 * By hand: LAB_PORT=8080 LAB_PROCESSES=4 ./server & curl -i http://127.0.0.1:8080/plain; strace -f -e accept4 -p $!
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shared/config.h"
#include "shared/ev.h"
#include "shared/processes.h"
#include "shared/reply.h"
#include "shared/stats.h"

enum {
    EVENTS_MAX = 512, /* per epoll_wait(): many, so that its cost is shared; few enough to stay in cache */
    ACCEPTS_MOST = 8  /* per turn: more would pile up in one process; one per round of requests lets the queue overflow */
};

static int epoll_fd;

/* ---- asking for readiness ------------------------------------------------------------------------------------------ */

static bool tell(int operation, struct ev_watch *watch, uint32_t flags)
{
    struct epoll_event event = {.events = watch->interest | flags, .data.ptr = watch};
    return epoll_ctl(epoll_fd, operation, watch->fd, &event) == 0;
}

/* Only the listener is shared; nobody else could be woken for a connection. Fails when memory or watches run out. */
static bool add(struct ev_watch *watch)
{
    return tell(EPOLL_CTL_ADD, watch, watch == &ev.listener ? EPOLLEXCLUSIVE : 0);
}

static bool change(struct ev_watch *watch)
{
    if (watch != &ev.listener)
        return tell(EPOLL_CTL_MOD, watch, 0);
    return watch->interest ? add(watch) : tell(EPOLL_CTL_DEL, watch, 0); /* EPOLL_CTL_MOD would be EINVAL */
}

/* close() takes a connection out, and is called anyway. The listener it would leave in, as others have it open. */
static void leave(struct ev_watch *watch)
{
    if (watch == &ev.listener)
        tell(EPOLL_CTL_DEL, watch, 0); /* fails only where it is out already, after EMFILE */
}

/* The row is in the order of adding. Two calls per turn; without them 50 clients of two processes were 50 to 0. */
static void go_to_the_end_of_the_row(void)
{
    if (ev.listener.interest && tell(EPOLL_CTL_DEL, &ev.listener, 0) && !add(&ev.listener))
        ev_fail("adding the listener again"); /* no memory even for what has just been given back */
}

static const struct ev_readiness exclusive = {.add = add, .change = change, .remove = leave, .accepts_most = ACCEPTS_MOST};

/* ---- one process --------------------------------------------------------------------------------------------------- */

static int serve(const struct config *config, int listen_fd)
{
    if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) /* here, not before the fork: an epoll instance would be shared */
        ev_fail("epoll_create1");
    ev_begin(config, listen_fd, &exclusive);

    static struct epoll_event events[EVENTS_MAX];
    while (ev_goes_on()) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, ev_timeout_ms());
        if (count < 0 && errno != EINTR)
            ev_fail("epoll_wait");
        ev_begin_round();
        for (int i = 0; i < count; i++) { /* a turn ends no watch but its own: later events stay valid */
            struct ev_watch *watch = events[i].data.ptr;
            watch->on_ready(watch, events[i].events);
            if (watch == &ev.listener)
                go_to_the_end_of_the_row();
        }
        ev_end_round();
    }
    return 0; /* whoever is left has had LAB_DRAIN_S */
}

/* ---- all processes ------------------------------------------------------------------------------------------------- */

int main(void)
{
    const struct config config = config_read();
    reply_init("c-epoll-exclusive", config.nonce);

    int listen_fd = config_open(&config);
    int own = processes_fork(config.processes);
    if (own >= 0) {
        stats_open(config.instance);
        return serve(&config, listen_fd);
    }
    close(listen_fd); /* best effort; the children keep it open, and close it when they drain */
    config_announce(&config, "c-epoll-exclusive");
    return processes_wait("c-epoll-exclusive", config.drain_ms);
}

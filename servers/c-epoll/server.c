/* c-epoll: one thread, one epoll instance, level-triggered.
 *
 * The loop asks the kernel which sockets have something to say, and gives each a short turn that never blocks. A
 * connection costs a few hundred bytes, not a stack. On the usual path a turn is two system calls, one recv() and
 * one send(): the interest in a socket is set at accept and changes only when a client reads too slowly, so epoll_ctl()
 * stays out of it.
 *
 * Level-triggered on purpose: what is left unread is reported again, so one recv() per turn is enough and no drain
 * loop is needed (servers/c-epoll-et has one). Waiting (/delay, /hold, timeouts) is a deadline in a heap; the first one
 * is epoll_wait()'s timeout.
 *
 * Needs: Linux 2.6.28 (accept4). Leaves out: a second core (start several with LAB_REUSEPORT=1), edge triggering, TLS.
 * By hand: LAB_PORT=8080 ./server & curl -i 'http://127.0.0.1:8080/delay?ms=500'
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>

#include "shared/config.h"
#include "shared/ev.h"
#include "shared/reply.h"
#include "shared/stats.h"

enum { EVENTS_MAX = 512 }; /* per epoll_wait(): many, so that its cost is shared; few enough to stay in cache */

static int epoll_fd;

/* ---- asking for readiness --------------------------------------------------------------------------------------- */

static bool tell(int operation, struct ev_watch *watch)
{
    struct epoll_event event = {.events = watch->interest, .data.ptr = watch};
    return epoll_ctl(epoll_fd, operation, watch->fd, &event) == 0;
}

static bool add(struct ev_watch *watch) { return tell(EPOLL_CTL_ADD, watch); } /* fails when memory or watches run out */

static bool change(struct ev_watch *watch) { return tell(EPOLL_CTL_MOD, watch); }

static void leave(struct ev_watch *watch) { (void)watch; } /* close() takes it out, and is called anyway */

static const struct ev_readiness level_triggered = {.add = add, .change = change, .remove = leave};

/* ---- the loop --------------------------------------------------------------------------------------------------- */

int main(void)
{
    const struct config config = config_read();
    reply_init("c-epoll", config.nonce);
    stats_open(config.instance);

    if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
        ev_fail("epoll_create1");
    ev_begin(&config, config_listen(&config, "c-epoll"), &level_triggered);

    static struct epoll_event events[EVENTS_MAX];
    while (ev_goes_on()) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, ev_timeout_ms());
        if (count < 0 && errno != EINTR)
            ev_fail("epoll_wait");
        ev_begin_round();
        for (int i = 0; i < count; i++) { /* a turn ends no watch but its own: later events stay valid */
            struct ev_watch *watch = events[i].data.ptr;
            watch->on_ready(watch, events[i].events);
        }
        ev_end_round();
    }
    return 0; /* whoever is left has had LAB_DRAIN_S */
}

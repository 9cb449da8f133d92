/* c-epoll-reuseport: one process per core, each with a listener and an epoll loop of its own.
 *
 * SO_REUSEPORT lets several sockets listen on one port. The kernel hashes each new client's address and port to one of
 * them, so the processes share nothing, not even a queue: no lock, no thundering herd, and on average equal shares.
 * On average only: the hash knows nothing of load, and a client hashed to a busy process waits while another is idle
 * (servers/c-epoll-exclusive decides the other way).
 *
 * A process that ends takes its queue with it: whoever is hashed to it and not yet accepted is reset, although others
 * still listen. Hence all listeners are opened here, before there is a child, and never change while the server runs; a
 * drain accepts until the queue is empty, then closes at once; and a client that completes its handshake between these
 * two is lost. Linux 5.14 can hand such clients over to another listener (sysctl net.ipv4.tcp_migrate_req=1).
 *
 * Needs: Linux 3.9 (SO_REUSEPORT). Leaves out: pinning processes to CPUs and choosing by CPU (SO_ATTACH_REUSEPORT_CBPF).
 * By hand: LAB_PORT=8080 LAB_PROCESSES=4 ./server & ss -ltnp 'sport = 8080'; curl -i http://127.0.0.1:8080/plain
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shared/config.h"
#include "shared/ev.h"
#include "shared/processes.h"
#include "shared/reply.h"
#include "shared/stats.h"

enum { EVENTS_MAX = 512 }; /* per epoll_wait(): many, so that its cost is shared; few enough to stay in cache */

static int epoll_fd;

/* ---- asking for readiness: as in c-epoll -------------------------------------------------------------------------- */

static bool tell(int operation, struct ev_watch *watch)
{
    struct epoll_event event = {.events = watch->interest, .data.ptr = watch};
    return epoll_ctl(epoll_fd, operation, watch->fd, &event) == 0;
}

static bool add(struct ev_watch *watch) { return tell(EPOLL_CTL_ADD, watch); } /* fails when memory or watches run out */

static bool change(struct ev_watch *watch) { return tell(EPOLL_CTL_MOD, watch); }

/* close() takes a connection out, and is called anyway. It would not take out what another process has open too. */
static void leave(struct ev_watch *watch)
{
    if (watch == &ev.listener)
        tell(EPOLL_CTL_DEL, watch); /* cannot fail: it was added */
}

static const struct ev_readiness level_triggered = {.add = add, .change = change, .remove = leave};

/* ---- one process -------------------------------------------------------------------------------------------------- */

static int serve(const struct config *config, int listen_fd)
{
    if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) /* here, not before the fork: an epoll instance would be shared */
        ev_fail("epoll_create1");
    ev_begin(config, listen_fd, &level_triggered);

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

/* ---- all processes ------------------------------------------------------------------------------------------------ */

int main(void)
{
    struct config config = config_read();
    reply_init("c-epoll-reuseport", config.nonce);
    if (!config.reuseport)
        config_check_free(&config); /* or a second server would share the port, and nobody would notice */
    config.reuseport = true;

    int *listeners = calloc((size_t)config.processes, sizeof *listeners);
    if (!listeners)
        ev_fail("calloc");
    for (int i = 0; i < config.processes; i++)
        listeners[i] = config_open(&config);

    int own = processes_fork(config.processes);
    for (int i = 0; i < config.processes; i++) { /* a listener left open where nobody accepts would swallow its clients */
        if (i != own)
            close(listeners[i]); /* best effort */
    }
    int listen_fd = own >= 0 ? listeners[own] : -1;
    free(listeners);
    if (own >= 0) {
        stats_open(config.instance);
        return serve(&config, listen_fd);
    }
    config_announce(&config, "c-epoll-reuseport");
    return processes_wait("c-epoll-reuseport", config.drain_ms);
}

/* c-poll: one thread, poll(2), level-triggered.
 *
 * The whole list of descriptors goes to the kernel with every call, and the kernel looks at each of them: the cost of a
 * round grows with how many connections there are, not with how many speak. With few connections that is as fast as
 * epoll; with 10,000 idle ones it is most of what the server does. That difference is why epoll exists. Beside select(2)
 * there is no limit on descriptors but the process's own.
 *
 * The list is kept dense: whoever leaves has its place taken by the last one. So after a wait it is walked from its end,
 * and whatever comes into a freed place has already had its turn.
 *
 * Needs: Linux 2.6.28 (accept4). Leaves out: a second core (start several with LAB_REUSEPORT=1), TLS.
 * By hand: LAB_PORT=8080 ./server & curl -i 'http://127.0.0.1:8080/delay?ms=500'; strace -f -p $!
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "shared/config.h"
#include "shared/ev.h"
#include "shared/reply.h"
#include "shared/stats.h"

static struct pollfd *entries;   /* what poll() is given */
static struct ev_watch **watches; /* whose entry it is */
static int len, cap;

/* ---- asking for readiness ------------------------------------------------------------------------------------------ */

static bool grow(void)
{
    int more = cap ? cap * 2 : 64;
    struct pollfd *grown_entries = realloc(entries, (size_t)more * sizeof *entries);
    if (!grown_entries)
        return false;
    entries = grown_entries;
    struct ev_watch **grown_watches = realloc(watches, (size_t)more * sizeof *watches);
    if (!grown_watches)
        return false; /* the larger `entries` is kept; `cap` still says what both hold */
    watches = grown_watches;
    cap = more;
    return true;
}

static bool change(struct ev_watch *watch)
{
    /* A negative descriptor is skipped; with `events = 0` alone, errors would still be reported, again and again. */
    entries[watch->slot].fd = watch->interest ? watch->fd : -1;
    entries[watch->slot].events = (short)watch->interest;
    return true;
}

static bool add(struct ev_watch *watch)
{
    if (len == cap && !grow())
        return false; /* realloc() has set ENOMEM */
    watch->slot = len;
    watches[len++] = watch;
    return change(watch);
}

static void leave(struct ev_watch *watch)
{
    struct ev_watch *last = watches[--len];
    entries[watch->slot] = entries[len];
    watches[watch->slot] = last;
    last->slot = watch->slot;
}

static const struct ev_readiness polling = {.add = add, .change = change, .remove = leave};

/* ---- the loop ------------------------------------------------------------------------------------------------------ */

int main(void)
{
    const struct config config = config_read();
    reply_init("c-poll", config.nonce);
    stats_open(config.instance);
    ev_begin(&config, config_listen(&config, "c-poll"), &polling);

    while (ev_goes_on()) {
        int ready = poll(entries, (nfds_t)len, ev_timeout_ms());
        if (ready < 0 && errno != EINTR)
            ev_fail("poll");
        ev_begin_round();
        for (int i = len - 1; i >= 0 && ready > 0; i--) { /* who is accepted meanwhile comes behind `i` */
            if (!entries[i].revents)
                continue;
            ready--;
            watches[i]->on_ready(watches[i], (uint32_t)entries[i].revents);
        }
        ev_end_round();
    }
    return 0; /* whoever is left has had LAB_DRAIN_S */
}

/* c-select: one thread, select(2), and the wall it runs into.
 *
 * select() takes sets of bits, one per descriptor number, and an fd_set has room for FD_SETSIZE = 1024 of them. FD_SET()
 * on a higher number writes beyond the set, into whatever lies behind it: no error, a ruined stack or heap. So every
 * descriptor is checked first; a client whose number does not fit is closed at once and counted as ERANGE in /stats (which no
 * system call here returns otherwise). A larger `ulimit -n` does not move this wall. It only hides where it stands.
 *
 * Like poll(2) it hands everything to the kernel in every round; and the kernel writes its answer over the question, so
 * the sets are copied each time.
 *
 * Needs: Linux 2.6.28 (accept4). Leaves out: more than about 1,000 connections, a second core (LAB_REUSEPORT=1), TLS.
 * By hand: LAB_PORT=8080 ./server & curl -i 'http://127.0.0.1:8080/delay?ms=500'; strace -f -p $!
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "shared/config.h"
#include "shared/ev.h"
#include "shared/reply.h"
#include "shared/stats.h"

enum { LOOK_MS = 100 }; /* how often to look whether a client that is not read from has left */

static fd_set readers, writers; /* what select() is to be asked */
static struct ev_watch *watches[FD_SETSIZE];
static int highest = -1; /* of all descriptors watched */
static int deaf_count;   /* how many are waited for only to leave */

/* ---- asking for readiness ------------------------------------------------------------------------------------------ */

static void put(fd_set *set, int fd, bool is_in)
{
    if (is_in)
        FD_SET(fd, set);
    else
        FD_CLR(fd, set);
}

static bool is_deaf(const struct ev_watch *watch) { return watch->interest == POLLRDHUP; }

static bool change(struct ev_watch *watch)
{
    put(&readers, watch->fd, watch->interest & POLLIN);
    put(&writers, watch->fd, watch->interest & POLLOUT);
    deaf_count += is_deaf(watch) - (int)watch->pending; /* `pending`: was counted as deaf */
    watch->pending = is_deaf(watch);
    return true;
}

static bool add(struct ev_watch *watch)
{
    if (watch->fd >= FD_SETSIZE) /* the wall */
        return errno = ERANGE, false;
    watches[watch->fd] = watch;
    if (watch->fd > highest)
        highest = watch->fd;
    return change(watch);
}

static void leave(struct ev_watch *watch)
{
    watch->interest = 0;
    change(watch);
    watches[watch->fd] = NULL;
    while (highest >= 0 && !watches[highest])
        highest--;
}

static const struct ev_readiness selecting = {.add = add, .change = change, .remove = leave};

/* select() cannot wait for "the client has left" behind input that nobody wants to read yet, as poll() can with
 * POLLRDHUP. TCP knows, so it is asked now and then; that is rare: a client that waits and still sends 96 KiB more. */
static void look_after_deaf(void)
{
    for (int fd = 0; fd <= highest && deaf_count > 0; fd++) {
        struct tcp_info info;
        socklen_t len = sizeof info;
        if (watches[fd] && is_deaf(watches[fd]) && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
            info.tcpi_state != TCP_ESTABLISHED)
            watches[fd]->on_ready(watches[fd], POLLRDHUP);
    }
}

/* ---- the loop ------------------------------------------------------------------------------------------------------ */

/* Waits for the next deadline at the latest. Returns how many bits are set in the two sets, or -1: errno. */
static int wait_for_some(fd_set *readable, fd_set *writable)
{
    int timeout_ms = ev_timeout_ms();
    if (deaf_count > 0 && (timeout_ms < 0 || timeout_ms > LOOK_MS))
        timeout_ms = LOOK_MS;
    struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    *readable = readers;
    *writable = writers;
    return select(highest + 1, readable, writable, NULL, timeout_ms < 0 ? NULL : &timeout);
}

int main(void)
{
    const struct config config = config_read();
    reply_init("c-select", config.nonce);
    stats_open(config.instance);
    ev_begin(&config, config_listen(&config, "c-select"), &selecting);

    while (ev_goes_on()) {
        fd_set readable, writable;
        int ready = wait_for_some(&readable, &writable);
        if (ready < 0 && errno != EINTR)
            ev_fail("select");
        ev_begin_round();
        for (int fd = 0, end = highest; fd <= end && ready > 0; fd++) { /* a new client's number was in neither set */
            bool may_read = FD_ISSET(fd, &readable), may_write = FD_ISSET(fd, &writable);
            ready -= may_read + may_write; /* select() counts bits, not descriptors */
            if (may_read || may_write)
                watches[fd]->on_ready(watches[fd], (may_read ? POLLIN : 0) | (may_write ? POLLOUT : 0));
        }
        if (deaf_count > 0)
            look_after_deaf();
        ev_end_round();
    }
    return 0; /* whoever is left has had LAB_DRAIN_S */
}

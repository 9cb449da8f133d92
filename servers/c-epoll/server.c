/* c-epoll: one thread, one epoll instance, level-triggered.
 *
 * The loop asks the kernel which sockets have something to say, and gives each a short turn that never blocks. A
 * connection costs a few hundred bytes, not a stack. On the usual path a turn is two system calls, one recv() and
 * one send(): the interest in a socket is set at accept and changes only when a client reads too slowly, so epoll_ctl()
 * stays out of it.
 *
 * Level-triggered on purpose: what is left unread is reported again, so one recv() per turn is enough and no drain
 * loop is needed. Waiting (/delay, /hold, timeouts) is a deadline in a heap; the first one is epoll_wait()'s timeout.
 *
 * Needs: Linux 2.6.28 (accept4). Leaves out: a second core (start several with LAB_REUSEPORT=1), edge triggering, TLS.
 * By hand: LAB_PORT=8080 ./server & curl -i 'http://127.0.0.1:8080/delay?ms=500'
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "connection.h"
#include "shared/config.h"
#include "shared/reply.h"
#include "shared/stats.h"
#include "timers.h"

enum {
    EVENTS_MAX = 512,       /* per epoll_wait(): many, so that its cost is shared; few enough to stay in cache */
    ACCEPTS_MAX = 64,       /* per turn: a burst of new clients must not starve those already here */
    ACCEPT_BACKOFF_MS = 100 /* after EMFILE: long enough not to spin, short beside a client's patience */
};

struct loop loop = {.connections = {.prev = &loop.connections, .next = &loop.connections}};
static int listen_fd, signal_fd;
static uint64_t drain_end_ms, accept_again_ms;

static uint64_t read_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool loop_watch(int operation, int fd, uint32_t interest, void *who)
{
    struct epoll_event event = {.events = interest, .data.ptr = who};
    return epoll_ctl(loop.epoll_fd, operation, fd, &event) == 0;
}

/* ---- the listener ------------------------------------------------------------------------------ */

static void accept_some(int most)
{
    while (most-- > 0) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (fd < 0) {
            stats_count_error(errno);
            if (errno == ECONNABORTED || errno == EPROTO)
                continue; /* that one client left; the next may still be there */
            /* EMFILE, ENFILE, ENOBUFS, ENOMEM: level-triggered epoll would report the same client at once and for ever */
            if (!loop.is_draining)
                loop_watch(EPOLL_CTL_MOD, listen_fd, 0, &listen_fd);
            accept_again_ms = loop.now_ms + ACCEPT_BACKOFF_MS;
            return;
        }
        conn_open(fd);
    }
}

/* Takes in who is already queued, closes the listener and every idle connection. The rest may finish. */
static void drain(int drain_ms)
{
    loop.is_draining = true;
    drain_end_ms = loop.now_ms + (uint64_t)drain_ms;
    accept_some(1 << 20); /* closing the listener would reset them */
    close(listen_fd);     /* best effort */
    close(signal_fd);     /* a second signal changes nothing */
    accept_again_ms = 0;
    for (struct conn *c = loop.connections.next, *next; c != &loop.connections; c = next) {
        next = c->next;
        conn_on_drain(c);
    }
}

/* ---- the loop ---------------------------------------------------------------------------------- */

static int next_timeout_ms(void)
{
    const struct timer *first = timers_first();
    uint64_t due_ms = first ? first->due_ms : UINT64_MAX;
    if (accept_again_ms && accept_again_ms < due_ms)
        due_ms = accept_again_ms;
    if (loop.is_draining && drain_end_ms < due_ms)
        due_ms = drain_end_ms;
    if (due_ms == UINT64_MAX)
        return -1;
    return due_ms > loop.now_ms ? (int)(due_ms - loop.now_ms) + 1 : 0; /* +1: both clocks were cut to whole ms */
}

int main(void)
{
    const struct config config = config_read();
    reply_init("c-epoll", config.nonce);
    stats_open(config.instance);

    sigset_t stop_signals; /* read as events, so that no turn is interrupted half-way */
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGTERM);
    sigaddset(&stop_signals, SIGINT);
    if (sigprocmask(SIG_BLOCK, &stop_signals, NULL) < 0 ||
        (signal_fd = signalfd(-1, &stop_signals, SFD_CLOEXEC | SFD_NONBLOCK)) < 0 ||
        (loop.epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) {
        perror("sigprocmask, signalfd or epoll_create1");
        return 1;
    }
    listen_fd = config_listen(&config, "c-epoll");
    if (!loop_watch(EPOLL_CTL_ADD, listen_fd, EPOLLIN, &listen_fd) ||
        !loop_watch(EPOLL_CTL_ADD, signal_fd, EPOLLIN, &signal_fd)) {
        perror("epoll_ctl");
        return 1;
    }

    static struct epoll_event events[EVENTS_MAX];
    loop.now_ms = read_clock_ms();
    while (!loop.is_draining || (loop.connections.next != &loop.connections && loop.now_ms < drain_end_ms)) {
        int count = epoll_wait(loop.epoll_fd, events, EVENTS_MAX, next_timeout_ms());
        if (count < 0 && errno != EINTR) {
            perror("epoll_wait");
            return 1;
        }
        loop.now_ms = read_clock_ms();
        bool must_stop = false;
        for (int i = 0; i < count; i++) { /* a turn closes no connection but its own: later events stay valid */
            if (events[i].data.ptr == &listen_fd)
                accept_some(ACCEPTS_MAX);
            else if (events[i].data.ptr == &signal_fd)
                must_stop = true;
            else
                conn_on_event(events[i].data.ptr, events[i].events);
        }
        for (struct timer *due; (due = timers_first()) && due->due_ms <= loop.now_ms;)
            conn_on_timer((struct conn *)due);
        if (accept_again_ms && accept_again_ms <= loop.now_ms) {
            accept_again_ms = 0;
            loop_watch(EPOLL_CTL_MOD, listen_fd, EPOLLIN, &listen_fd);
        }
        if (must_stop && !loop.is_draining)
            drain(config.drain_ms);
    }
    return 0; /* whoever is left has had LAB_DRAIN_S */
}

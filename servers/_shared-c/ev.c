#define _GNU_SOURCE /* accept4() */
#include "ev.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "conn.h"
#include "processes.h"
#include "stats.h"
#include "talk.h"
#include "timers.h"

enum {
    ACCEPTS_MAX = 64,       /* per turn: a burst of new clients must not starve those already here */
    ACCEPT_BACKOFF_MS = 100 /* after EMFILE: long enough not to spin, short beside a client's patience */
};

struct ev ev;
static struct ev_watch stop, wake; /* SIGTERM, SIGINT; a release in another process */
static uint64_t drain_end_ms, accept_again_ms;
static int drain_ms;
static bool must_stop;

_Noreturn void ev_fail(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- the listener ----------------------------------------------------------------------------------------------- */

static void accept_some(int most)
{
    ev.listener.read = EV_READ_FULL;
    while (most-- > 0) {
        int fd = accept4(ev.listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_open(fd);
            continue;
        }
        if (errno == EAGAIN) {
            ev.listener.read = EV_READ_DRAINED;
            return;
        }
        if (errno == EINTR)
            continue;
        stats_count_error(errno);
        if (errno == ECONNABORTED || errno == EPROTO)
            continue; /* that one client left; the next may still be there */
        /* EMFILE, ENFILE, ENOBUFS, ENOMEM: the same client would be reported at once and for ever */
        accept_again_ms = talks.now_ms + ACCEPT_BACKOFF_MS;
        ev.listener.interest = 0;
        if (!talks.is_draining)
            ev.readiness->change(&ev.listener); /* cannot fail: it asks for less */
        return;
    }
}

static void on_listener(struct ev_watch *watch, uint32_t events)
{
    (void)watch, (void)events;
    accept_some(ev.readiness->accepts_most ? ev.readiness->accepts_most : ACCEPTS_MAX);
}

static void accept_again(void)
{
    accept_again_ms = 0;
    ev.listener.interest = POLLIN;
    if (!ev.readiness->change(&ev.listener))
        accept_again_ms = talks.now_ms + ACCEPT_BACKOFF_MS; /* still short of memory */
}

/* ---- shutting down, and calls from other processes --------------------------------------------------------------- */

static void on_stop(struct ev_watch *watch, uint32_t events)
{
    (void)events;
    must_stop = true;
    watch->read = EV_READ_DRAINED; /* a second signal changes nothing: never read */
}

static void on_wake(struct ev_watch *watch, uint32_t events)
{
    (void)events;
    uint64_t count;
    if (read(watch->fd, &count, sizeof count) > 0) /* reading sets it back to 0: one read drains it */
        talk_release_all();
    watch->read = EV_READ_DRAINED;
}

/* Takes in who is already queued, closes the listener and every idle connection. The rest may finish. */
static void drain(void)
{
    talks.is_draining = true;
    drain_end_ms = talks.now_ms + (uint64_t)drain_ms;
    accept_some(1 << 20); /* closing the listener would reset them */
    accept_again_ms = 0;
    ev.readiness->remove(&ev.listener);
    ev.readiness->remove(&stop);
    close(ev.listener.fd);       /* best effort, both */
    close(stop.fd);
    conn_drain_all();
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static uint64_t read_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void ev_begin(const struct config *config, int listen_fd, const struct ev_readiness *readiness)
{
    ev.readiness = readiness;
    drain_ms = config->drain_ms;

    sigset_t stop_signals; /* read as events, so that no turn is interrupted half-way */
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGTERM);
    sigaddset(&stop_signals, SIGINT);
    if (sigprocmask(SIG_BLOCK, &stop_signals, NULL) < 0)
        ev_fail("sigprocmask");
    int stop_fd = signalfd(-1, &stop_signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (stop_fd < 0)
        ev_fail("signalfd");

    stop = (struct ev_watch){.fd = stop_fd, .interest = POLLIN, .on_ready = on_stop};
    wake = (struct ev_watch){.fd = processes_wake_fd(), .interest = POLLIN, .on_ready = on_wake};
    ev.listener = (struct ev_watch){.fd = listen_fd, .interest = POLLIN, .on_ready = on_listener};
    if (!readiness->add(&stop) || !readiness->add(&ev.listener) || (wake.fd >= 0 && !readiness->add(&wake)))
        ev_fail("watching the listener and signals");
    processes_meet();
    talks.now_ms = read_clock_ms();
}

bool ev_goes_on(void) { return !talks.is_draining || (talks.count > 0 && talks.now_ms < drain_end_ms); }

int ev_timeout_ms(void)
{
    const struct timer *first = timers_first();
    uint64_t due_ms = first ? first->due_ms : UINT64_MAX;
    if (accept_again_ms && accept_again_ms < due_ms)
        due_ms = accept_again_ms;
    if (talks.is_draining && drain_end_ms < due_ms)
        due_ms = drain_end_ms;
    if (due_ms == UINT64_MAX)
        return -1;
    return due_ms > talks.now_ms ? (int)(due_ms - talks.now_ms) + 1 : 0; /* +1: both clocks were cut to whole ms */
}

void ev_begin_round(void) { talks.now_ms = read_clock_ms(); }

void ev_end_round(void)
{
    for (struct timer *due; (due = timers_first()) && due->due_ms <= talks.now_ms;)
        conn_on_timer(due);
    if (accept_again_ms && accept_again_ms <= talks.now_ms)
        accept_again();
    if (must_stop && !talks.is_draining)
        drain();
}

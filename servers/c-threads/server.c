/* c-threads: one thread per connection, done correctly.
 *
 * Each connection gets a thread that blocks in recv() until its client speaks, answers, and blocks again; the kernel's
 * scheduler does what an event loop does by hand. Beside the seed's server (servers/seed-c) four things differ, and each
 * mends one of its defects: the thread gets its own copy of the descriptor, its own buffers, nobody joins it, and every
 * result is checked. Small stacks let thousands of threads live side by side.
 *
 * A thread that only waits for its client needs no care. Two others must be woken: one in /hold, by a signal that only
 * ppoll() lets through, and an idle one at shutdown, by shutdown(SHUT_RD), which recv() cannot miss. What a thread does
 * with its connection is shared/blocking.c.
 *
 * Needs: Linux 2.6.28 (accept4). Leaves out: a limit on threads (the pids cgroup and ulimit -u set one), TLS.
 * By hand: LAB_PORT=8080 ./server & curl -i 'http://127.0.0.1:8080/delay?ms=500'
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/blocking.h"
#include "shared/blocking_wait.h"
#include "shared/config.h"
#include "shared/reply.h"
#include "shared/stats.h"

enum { ACCEPT_BACKOFF_MS = 100 }; /* after EMFILE: long enough not to spin, short beside a client's patience */

static pthread_attr_t attributes; /* of every connection's thread */

static void check(int error, const char *what)
{
    if (error == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(1);
}

/* ---- a thread -------------------------------------------------------------------------------------------------------- */

static void *serve(void *argument)
{
    struct blocking_seat *seat = argument; /* its own: no other connection will sit here */
    blocking_serve(seat, seat->fd, blocking_clock_ms());
    free(seat);
    return NULL;
}

static void start_thread(int fd)
{
    atomic_fetch_add(&stats->accepted, 1);
    atomic_fetch_add(&stats->active, 1); /* not in the thread: a drain that begins now must know of it */
    struct blocking_seat *seat = calloc(1, sizeof *seat);
    pthread_t thread;
    int error = ENOMEM;
    if (seat) {
        seat->fd = fd;
        error = pthread_create(&thread, &attributes, serve, seat);
    }
    if (error == 0)
        return;
    stats_count_error(error); /* EAGAIN: a limit on threads. This client is turned away, the others stay. */
    atomic_fetch_sub(&stats->active, 1);
    blocking_turn_away(fd);
    free(seat);
}

/* ---- the listener ---------------------------------------------------------------------------------------------------- */

/* Accepts until the queue is empty. Returns how long to leave it alone, in ms. */
static int accept_all(int listen_fd)
{
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            start_thread(fd);
        else if (errno == EAGAIN)
            return 0;
        else if (errno != EINTR) {
            stats_count_error(errno);
            if (errno != ECONNABORTED && errno != EPROTO) /* EMFILE, ENFILE, ENOBUFS, ENOMEM: asking at once would spin */
                return ACCEPT_BACKOFF_MS;
        }
    }
}

int main(void)
{
    const struct config config = config_read();
    reply_init("c-threads", config.nonce);
    stats_open(config.instance);

    sigset_t stop_signals, blocked; /* blocked here, so in every thread to come */
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGTERM);
    sigaddset(&stop_signals, SIGINT);
    blocked = stop_signals;
    sigaddset(&blocked, SIGUSR1); /* what /release wakes threads with */
    check(sigprocmask(SIG_BLOCK, &blocked, NULL) < 0 ? errno : 0, "sigprocmask");
    int signal_fd = signalfd(-1, &stop_signals, SFD_CLOEXEC);
    check(signal_fd < 0 ? errno : 0, "signalfd");
    check(blocking_init(false), "preparing threads");
    check(blocking_thread_attributes(&attributes), "thread attributes");

    int listen_fd = config_listen(&config, "c-threads");
    blocking_prepare_listener(listen_fd);
    for (int backoff_ms = 0;;) {
        struct pollfd entries[] = {{.fd = signal_fd, .events = POLLIN}, {.fd = listen_fd, .events = POLLIN}};
        int ready = poll(entries, backoff_ms ? 1 : 2, backoff_ms ? backoff_ms : -1);
        check(ready < 0 && errno != EINTR ? errno : 0, "poll");
        if (ready > 0 && entries[0].revents)
            break;
        backoff_ms = accept_all(listen_fd);
    }

    accept_all(listen_fd); /* who is queued already: closing the listener would reset them */
    close(listen_fd);      /* best effort */
    const struct timespec end = blocking_end_in_ms(config.drain_ms);
    blocking_drain(&end);
    return 0; /* whoever is left has had LAB_DRAIN_S */
}

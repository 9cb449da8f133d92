/* c-uring: one thread, io_uring: the kernel is told what to do, not asked what could be done.
 *
 * An epoll server is told that a socket is ready and then makes a system call for each thing it does. Here each socket
 * is accepted and received from by a request made once (multishot), which completes again and again; received bytes come
 * in buffers that the kernel takes from a ring when they arrive, so an idle connection owns none; and sends are queued.
 * One io_uring_enter() per round hands over everything that was queued and brings whatever has happened: 50 busy clients
 * cost one system call for a dozen requests (strace -c: 10,958 for 128,285), not two for each.
 *
 * Accepted sockets are direct descriptors: places in a table of the ring, not of the process. Requests on them spare a
 * look-up, and RLIMIT_NOFILE limits each ring's table, not all together: when one is full another ring is opened.
 *
 * Waiting (/delay, /hold, timeouts) is a deadline in a heap; the first one is io_uring_enter()'s timeout, so no request
 * is needed for it.
 *
 * Needs: Linux 6.1 (DEFER_TASKRUN), and a sandbox that allows io_uring (seccomp.json): otherwise "unsupported", exit 3.
 * Leaves out: a second core (start several with LAB_REUSEPORT=1), zero-copy sends (a win from some 10 KiB, on a network
 * card; loopback copies anyway), TLS.
 * By hand: LAB_PORT=8080 ./server & curl -i 'http://127.0.0.1:8080/delay?ms=500'
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "ring.h"
#include "shared/config.h"
#include "shared/reply.h"
#include "shared/stats.h"

enum {
    RINGS_MAX = 8,          /* 160,000 connections where a process may have 20,000 descriptors */
    ACCEPT_BACKOFF_MS = 100 /* after ENFILE: long enough not to spin, short beside a client's patience */
};

static struct ring rings[RINGS_MAX]; /* [0] is the one we sleep in */
static int ring_count;
static int listen_fd, signal_fd, wake_fd;
static unsigned spare_files;   /* more than may be accepted between two looks at the table */
static struct ring *accepting; /* the ring whose accept is under way */
static bool accepts_many, must_stop;
static uint64_t drain_end_ms, accept_again_ms;

static uint64_t read_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- the listener ------------------------------------------------------------------------------ */

static unsigned free_files(const struct ring *ring) { return ring->files_most - ring->files_open; }

static bool is_client_queued(void)
{
    struct pollfd entry = {.fd = listen_fd, .events = POLLIN};
    return poll(&entry, 1, 0) > 0; /* on failure: none that we know of */
}

/* The ring with the most room; another is opened when all are full and somebody waits. NULL: no place is left. */
static struct ring *find_room(void)
{
    struct ring *best = &rings[0];
    for (int i = 1; i < ring_count; i++) {
        if (free_files(&rings[i]) > free_files(best))
            best = &rings[i];
    }
    if (free_files(best) > 0)
        return best;
    if (!is_client_queued())
        return NULL;
    struct ring *added = &rings[ring_count];
    const char *what;
    int error = ring_count == RINGS_MAX ? -ENFILE : ring_open(added, &what);
    if (error < 0)
        return stats_count_error(-error), NULL;
    /* What happens there must wake us here. A poll of the ring itself would not: completions of such a ring are made
     * when it is entered, and until then only its eventfd knows of them. */
    if ((error = io_uring_register_eventfd(&added->uring, wake_fd)) < 0)
        return ring_shut(added), stats_count_error(-error), NULL;
    ring_count++;
    return added;
}

/* Keeps an accept under way, or the listener closed once draining has taken in who was queued.
 *
 * A client that is accepted into a full table is lost: the kernel has taken it off the queue and has no place for it. So
 * a multishot accept, which takes whoever comes, runs only while the table has plenty of room; after that one is asked
 * for at a time, and none when it is full. */
static void accept_next(void)
{
    if (accepting || listen_fd < 0 || talks.now_ms < accept_again_ms)
        return;
    accept_again_ms = 0;
    struct ring *room = talks.is_draining && !is_client_queued() ? NULL : find_room();
    if (room) {
        accepts_many = free_files(room) > spare_files && !talks.is_draining;
        ring_accept(accepting = room, listen_fd, accepts_many);
    } else if (!talks.is_draining) {
        accept_again_ms = talks.now_ms + ACCEPT_BACKOFF_MS;
    } else {
        close(listen_fd); /* best effort */
        listen_fd = -1;
        for (struct talk *t = talks.open.next, *next; t != &talks.open; t = next) {
            next = t->next;
            client_on_drain((struct client *)t);
        }
    }
}

static void on_accept(struct ring *ring, int result, bool is_last)
{
    if (is_last)
        accepting = NULL;
    if (result >= 0) {
        client_open(ring, result);
        if (accepts_many && free_files(ring) <= spare_files) {
            accepts_many = false;
            ring_cancel(ring, NULL, TAG_ACCEPT);
        }
    } else if (result != -ECANCELED && result != -EINTR) {
        stats_count_error(-result);
        if (result != -ECONNABORTED && result != -EPROTO) /* ENFILE, ENOBUFS, ENOMEM: asking at once would spin */
            accept_again_ms = talks.now_ms + ACCEPT_BACKOFF_MS;
    }
}

/* Every reply is a connection's last from now on. accept_next() does the rest. */
static void drain(int drain_ms)
{
    talks.is_draining = true;
    drain_end_ms = talks.now_ms + (uint64_t)drain_ms;
    accept_again_ms = 0;
    if (accepting)
        ring_cancel(accepting, NULL, TAG_ACCEPT);
}

/* ---- the loop ---------------------------------------------------------------------------------- */

static struct __kernel_timespec next_timeout(void)
{
    const struct timer *first = timers_first();
    uint64_t due_ms = first ? first->due_ms : UINT64_MAX;
    if (accept_again_ms && accept_again_ms < due_ms)
        due_ms = accept_again_ms;
    if (talks.is_draining && drain_end_ms < due_ms)
        due_ms = drain_end_ms;
    uint64_t wait_ms = due_ms > talks.now_ms ? due_ms - talks.now_ms + 1 : 0; /* +1: both clocks were cut to whole ms */
    if (due_ms == UINT64_MAX)
        wait_ms = 3600 * 1000; /* nothing to do: an hour is as good as for ever */
    for (int i = 1; i < ring_count; i++) {
        if (io_uring_cq_ready(&rings[i].uring) > 0)
            wait_ms = 0;
    }
    return (struct __kernel_timespec){.tv_sec = (long long)(wait_ms / 1000), .tv_nsec = (long long)(wait_ms % 1000 * 1000000)};
}

/* One io_uring_enter() for the first ring, which sleeps, and one for each other. -errno when one fails. */
static int enter(void)
{
    for (int i = 1; i < ring_count; i++) {
        int result = io_uring_submit_and_get_events(&rings[i].uring);
        if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY)
            return result;
    }
    struct io_uring_cqe *first;
    struct __kernel_timespec timeout = next_timeout();
    int result = io_uring_submit_and_wait_timeout(&rings[0].uring, &first, 1, &timeout, NULL);
    /* EAGAIN, EBUSY: the kernel is short of memory for requests; what is not submitted stays queued. */
    return result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY ? 0 : result;
}

/* Hands each completion to whom it concerns. When the queue was full the kernel has kept the rest, and ends multishot
 * requests: that is why every one of them is made anew when a completion says it was the last. */
static void reap(struct ring *ring)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring->uring, head, cqe) {
        void *who = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)TAG_MASK);
        bool is_last = !(cqe->flags & IORING_CQE_F_MORE), has_buffer = cqe->flags & IORING_CQE_F_BUFFER;
        unsigned buffer_id = ring_buffer_id(cqe->flags);
        switch ((enum tag)(cqe->user_data & TAG_MASK)) {
        case TAG_RECEIVE:
            client_on_receive(who, cqe->res, has_buffer ? ring_buffer(ring, buffer_id) : NULL, is_last);
            if (has_buffer)
                ring_give_back(ring, buffer_id);
            break;
        case TAG_SEND: client_on_send(who, cqe->res); break;
        case TAG_LEAVE: client_on_leave(who); break;
        case TAG_SHUT: client_on_shut(who); break;
        case TAG_ACCEPT: on_accept(ring, cqe->res, is_last); break;
        case TAG_SIGNAL: must_stop = true; break;
        case TAG_WAKE:
            if (is_last) /* waking is all it is for: every ring is asked in every round */
                ring_watch_fd(&rings[0], wake_fd, TAG_WAKE);
            break;
        default: break; /* a cancel that came too late */
        }
        count++;
    }
    io_uring_cq_advance(&ring->uring, count);
}

static int fail(const char *what, int error)
{
    bool is_refused = error == ENOSYS || error == EPERM || error == EACCES || error == EINVAL;
    fprintf(stderr, is_refused ? "unsupported: %s: %s; needs Linux 6.1, seccomp that allows io_uring and kernel.io_uring_disabled=0\n"
                               : "%s: %s\n", what, strerror(error));
    return is_refused ? 3 : 1;
}

int main(void)
{
    const struct config config = config_read();
    reply_init("c-uring", config.nonce);
    stats_open(config.instance);

    const char *what;
    int error = ring_open(&rings[0], &what);
    if (error < 0)
        return fail(what, -error);
    ring_count = 1;

    sigset_t stop_signals; /* read as events, so that no turn is interrupted half-way */
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGTERM);
    sigaddset(&stop_signals, SIGINT);
    if (sigprocmask(SIG_BLOCK, &stop_signals, NULL) < 0 ||
        (signal_fd = signalfd(-1, &stop_signals, SFD_CLOEXEC | SFD_NONBLOCK)) < 0 ||
        (wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
        perror("sigprocmask, signalfd or eventfd");
        return 1;
    }
    listen_fd = config_listen(&config, "c-uring");
    ring_watch_fd(&rings[0], signal_fd, TAG_SIGNAL);
    ring_watch_fd(&rings[0], wake_fd, TAG_WAKE);
    spare_files = 2 * (unsigned)config.backlog; /* a whole queue, and who joins it meanwhile */

    talks.now_ms = read_clock_ms();
    while (!talks.is_draining || ((listen_fd >= 0 || client_count > 0) && talks.now_ms < drain_end_ms)) {
        accept_next();
        error = enter();
        if (error < 0) {
            fprintf(stderr, "io_uring_enter: %s\n", strerror(-error));
            return 1;
        }
        talks.now_ms = read_clock_ms();
        for (int i = 0; i < ring_count; i++)
            reap(&rings[i]);
        for (struct timer *due; (due = timers_first()) && due->due_ms <= talks.now_ms;)
            client_on_timer((struct client *)due);
        if (must_stop && !talks.is_draining)
            drain(config.drain_ms);
    }
    for (int i = 0; i < ring_count; i++)
        io_uring_submit(&rings[i].uring); /* the last closes; best effort */
    return 0; /* whoever is left has had LAB_DRAIN_S */
}

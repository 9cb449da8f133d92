/* c-threadpool: a fixed number of threads takes accepted connections from a queue.
 *
 * The main thread accepts and puts each connection into the queue; whichever worker is free takes it and stays with it,
 * blocking, until it ends. Nothing is created while clients come and go: memory and the scheduler's work are bounded by
 * LAB_THREADS, whatever the crowd.
 *
 * The lesson is what happens when all workers are taken. N threads serve N connections at once, and a connection that
 * waits, in /delay, in /hold, or idle in keep-alive, takes a thread as much as one that computes: client N + 1 stays in
 * the queue while the CPU sleeps. To hand a connection back between two requests one would have to watch it without a
 * thread, and that is an event loop (Apache's event MPM, Tomcat's NIO); this server keeps to the plain technique, with
 * the three rules such servers live by:
 *   1. while others wait in the queue, a reply says Connection: close;
 *   2. while others wait, who has been idle for a second is hung up on (Apache's KeepAliveTimeout);
 *   3. all workers but one may wait in /hold; who asks for more gets 503. Without that rule the POST /release that
 *      would free them, and every health check, would stand in the queue behind them for ever.
 *
 * Needs: Linux 2.6.28 (accept4). Leaves out: a bound on the queue (descriptors are one), growing and shrinking, TLS.
 * By hand: LAB_THREADS=2 ./server & for i in 1 2 3 4; do curl -s 'http://127.0.0.1:8080/delay?ms=1000' & done
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

enum {
    THREADS_DEFAULT = 256,   /* the size that servers of this kind ship with (Apache 256, Tomcat 200): far more than keep
                              * a CPU busy, and with some 35 KiB each still only 9 MiB */
    THREADS_MAX = 30000,     /* the kernel's usual pid_max is 32,768 */
    ACCEPT_BACKOFF_MS = 100, /* after EMFILE: long enough not to spin, short beside a client's patience */
    CROWDED_MS = 100,        /* how often idle connections are looked for while others wait */
    IDLE_MS = 1000,          /* rule 2: a busy client's pauses are shorter */
};

static void check(int error, const char *what)
{
    if (error == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(1);
}

/* ---- the queue ----------------------------------------------------------------------------------------------------- */

struct waiting {
    int fd;
    long long accepted_ms; /* its first head's time runs here too */
    struct waiting *next;
};

static struct waiting *first, **last = &first; /* under `lock`, as the next one */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t one_came = PTHREAD_COND_INITIALIZER;
static atomic_int surplus; /* connections in the queue less workers on their way to it */

static bool others_wait(void) { return atomic_load(&surplus) > 0; }

/* False when memory is short. */
static bool put(int fd)
{
    struct waiting *w = malloc(sizeof *w);
    if (!w)
        return false;
    *w = (struct waiting){.fd = fd, .accepted_ms = blocking_clock_ms()};
    atomic_fetch_add(&surplus, 1);
    pthread_mutex_lock(&lock);
    *last = w;
    last = &w->next;
    pthread_cond_signal(&one_came); /* one connection, one worker */
    pthread_mutex_unlock(&lock);
    return true;
}

static struct waiting take(void)
{
    atomic_fetch_sub(&surplus, 1);
    pthread_mutex_lock(&lock);
    while (!first)
        pthread_cond_wait(&one_came, &lock);
    struct waiting *w = first, taken = *w;
    first = w->next;
    if (!first)
        last = &first;
    pthread_mutex_unlock(&lock);
    free(w);
    return taken;
}

/* ---- the workers --------------------------------------------------------------------------------------------------- */

static void *work(void *argument)
{
    struct blocking_seat *seat = argument;
    for (;;) { /* until the process ends */
        struct waiting w = take();
        blocking_serve(seat, w.fd, w.accepted_ms);
    }
    return NULL;
}

static void start_workers(int count)
{
    pthread_attr_t attributes;
    check(blocking_thread_attributes(&attributes), "thread attributes");
    struct blocking_seat *seats = calloc((size_t)count, sizeof *seats);
    check(seats ? 0 : ENOMEM, "seats");
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        int error = pthread_create(&thread, &attributes, work, &seats[i]);
        if (error == 0)
            continue;
        fprintf(stderr, "LAB_THREADS: expected room for %d threads, got %d: %s\n", count, i, strerror(error));
        exit(1); /* a pool of another size would be measured as this one */
    }
}

/* ---- the listener -------------------------------------------------------------------------------------------------- */

/* Accepts until the kernel's queue is empty. Returns how long to leave it alone, in ms. */
static int accept_all(int listen_fd)
{
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            atomic_fetch_add(&stats->accepted, 1);
            atomic_fetch_add(&stats->active, 1); /* who waits in the queue is a client too */
            if (!put(fd)) {
                stats_count_error(ENOMEM);
                atomic_fetch_sub(&stats->active, 1);
                blocking_turn_away(fd);
            }
        } else if (errno == EAGAIN)
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
    const int threads = config_number("LAB_THREADS", THREADS_DEFAULT, 2, THREADS_MAX);
    reply_init("c-threadpool", config.nonce);
    stats_open(config.instance);

    sigset_t stop_signals, blocked; /* blocked here, so in every thread to come */
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGTERM);
    sigaddset(&stop_signals, SIGINT);
    blocked = stop_signals;
    sigaddset(&blocked, SIGUSR1); /* what /release wakes workers with */
    check(sigprocmask(SIG_BLOCK, &blocked, NULL) < 0 ? errno : 0, "sigprocmask");
    int signal_fd = signalfd(-1, &stop_signals, SFD_CLOEXEC);
    check(signal_fd < 0 ? errno : 0, "signalfd");
    check(blocking_init(false), "preparing threads");
    blocking_set_limits(others_wait, threads - 1);
    start_workers(threads);

    int listen_fd = config_listen(&config, "c-threadpool");
    blocking_prepare_listener(listen_fd);
    for (int backoff_ms = 0;;) {
        struct pollfd entries[] = {{.fd = signal_fd, .events = POLLIN}, {.fd = listen_fd, .events = POLLIN}};
        int timeout_ms = backoff_ms ? backoff_ms : others_wait() ? CROWDED_MS : -1;
        int ready = poll(entries, backoff_ms ? 1 : 2, timeout_ms);
        check(ready < 0 && errno != EINTR ? errno : 0, "poll");
        if (ready > 0 && entries[0].revents)
            break;
        blocking_hang_up_idle(atomic_load(&surplus), IDLE_MS);
        backoff_ms = accept_all(listen_fd);
    }

    accept_all(listen_fd); /* who is queued already: closing the listener would reset them */
    close(listen_fd);      /* best effort */
    const struct timespec end = blocking_end_in_ms(config.drain_ms);
    blocking_drain(&end); /* of the queue too: whoever waits there is active */
    return 0;             /* whoever is left has had LAB_DRAIN_S */
}

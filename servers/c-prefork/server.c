/* c-prefork: processes forked ahead of the crowd, each blocking in accept() on the one listener.
 *
 * How Apache 1 served the web. The kernel hands each new connection to one of the processes that sleep in accept(); that
 * process serves it, blocking, to its end, and goes back to sleep. Processes share nothing by accident: one that crashes
 * takes one client with it, and code that is not thread-safe is at home here. What they must share they share on
 * purpose, in memory mapped before the first fork: the counters, and who waits in /hold.
 *
 * The parent accepts nothing. It keeps SPARE_LEAST processes ready (each accept() that leaves fewer tells it), lets a
 * surplus go, replaces who dies, and stops at LAB_PROCESSES_MOST. That is the wall: beyond, clients wait in the kernel's
 * queue, in no server's sight, and the plain technique has three answers:
 *   1. while others wait, a reply says Connection: close;
 *   2. while others wait, who has been idle for a second is hung up on (Apache's KeepAliveTimeout);
 *   3. all processes but one may wait in /hold; who asks for more gets 503, or nobody would hear POST /release.
 *
 * Needs: Linux 2.6.28 (accept4). Leaves out: a lock around accept() (Linux wakes one process for each connection since
 * 2.4), ending a process after so many requests, TLS. LAB_PROCESSES is not asked: here the load says how many.
 * By hand: LAB_PORT=8080 ./server & for i in $(seq 40); do curl -s 'http://127.0.0.1:8080/delay?ms=9000' & done; ps f
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "prefork.h"
#include "shared/blocking_wait.h"
#include "shared/reply.h"
#include "shared/stats.h"

enum {
    MOST_DEFAULT = 1024,     /* the contract's crowd of 1,000 fits; README.md has what a process costs */
    MOST_MAX = 30000,        /* the kernel's usual pid_max is 32,768 */
    SPARE_LEAST = 8,         /* a fork takes some 0.2 ms: enough for who comes meanwhile */
    CALM_MS = 1000,          /* how often the surplus is let go, half of a large one; Apache looks once a second too */
    CROWDED_MS = 100,        /* how often idle connections are looked for while others wait */
    IDLE_MS = 1000,          /* rule 2: a busy client's pauses are shorter */
    ACCEPT_BACKOFF_MS = 100, /* after EMFILE: long enough not to spin, short beside a client's patience */
};

static int listen_fd;

/* ---- a process ------------------------------------------------------------------------------------------------------- */

static void on_stop(int number)
{
    (void)number;
    blocking_stop_inviting();
    blocking_hang_up_own(&own->seat);
}

static void on_nudge(int number) { (void)number; } /* only there to end accept() with EINTR */

/* With every process taken and somebody in the kernel's queue: rule 1. */
static bool others_wait(void)
{
    struct pollfd entry = {.fd = listen_fd, .events = POLLIN};
    return atomic_load(&shared->is_full) && atomic_load(&shared->spare) == 0 && poll(&entry, 1, 0) > 0;
}

static void serve(int fd)
{
    atomic_fetch_add(&stats->accepted, 1);
    atomic_fetch_add(&stats->active, 1);
    blocking_serve(&own->seat, fd, blocking_clock_ms());
}

/* Sleeps in accept(), serves, and so on, until it is a surplus or the server ends. */
static void accept_and_serve(int wake_fd)
{
    const uint64_t one = 1;
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        const int error = errno;
        int was = SPARE;
        bool is_wanted = atomic_compare_exchange_strong(&own->state, &was, BUSY);
        if (is_wanted && atomic_fetch_sub(&shared->spare, 1) <= SPARE_LEAST && !atomic_load(&shared->is_full) &&
            write(wake_fd, &one, sizeof one) < 0)
            stats_count_error(errno); /* EAGAIN: 2^64 calls are unread; the parent is awake then */
        if (fd >= 0)
            serve(fd);
        else if (error == EAGAIN || error == EINVAL) /* the parent has taken the queue over and closed the listener */
            return;
        else if (error != EINTR) {
            stats_count_error(error);
            if (error != ECONNABORTED && error != EPROTO) /* EMFILE, ENFILE, ENOBUFS, ENOMEM: asking at once would spin */
                poll(NULL, 0, ACCEPT_BACKOFF_MS);
        }
        if (!is_wanted || blocking_is_draining())
            return;
        atomic_store(&own->state, SPARE);
        atomic_fetch_add(&shared->spare, 1);
    }
}

static _Noreturn void be_child(int fd, int signal_fd, int wake_fd)
{
    const struct sigaction stop = {.sa_handler = on_stop}, nudge = {.sa_handler = on_nudge}; /* no SA_RESTART */
    sigset_t open;
    sigemptyset(&open);
    sigaddset(&open, SIGTERM);
    sigaddset(&open, SIGUSR2);
    close(signal_fd); /* the parent's; best effort */
    check(sigaction(SIGTERM, &stop, NULL), "sigaction");
    check(sigaction(SIGUSR2, &nudge, NULL), "sigaction");
    check(sigprocmask(SIG_UNBLOCK, &open, NULL), "sigprocmask");
    if (fd >= 0)
        serve(fd); /* the parent took it from the queue to close the listener */
    else
        accept_and_serve(wake_fd);
    leave();
}

/* ---- the parent ------------------------------------------------------------------------------------------------------ */

/* The signals whose turn it is. True: it shall stop. */
static bool heed_signals(int signal_fd)
{
    bool must_stop = false;
    for (int number; (number = read_signal(signal_fd)) > 0;) {
        if (number == SIGCHLD)
            reap_processes();
        else
            must_stop = true;
    }
    return must_stop;
}

/* Takes who is queued, closes the listener, tells all, and waits until `end`. */
static void drain(int signal_fd, int wake_fd, long long end_ms)
{
    static int queued[1 << 16];
    int count = 0, next = 0;
    blocking_stop_inviting(); /* whoever is forked from now on inherits it */
    /* All processes share this flag: who comes back to accept() returns at once instead of taking in somebody new. */
    check(fcntl(listen_fd, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
    while (count < (int)(sizeof queued / sizeof *queued) &&
           ((queued[count] = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EINTR))
        count += queued[count] >= 0;
    shutdown(listen_fd, SHUT_RDWR); /* for all: a listener is closed when its last process has closed it; best effort */
    close(listen_fd);               /* the same */
    signal_processes(SIGTERM);
    while (next < count || count_processes() > 0) {
        for (pid_t process; next < count && (process = fork_process(queued[next])) >= 0;) {
            if (process == 0)
                be_child(queued[next], signal_fd, wake_fd);
            close(queued[next++]); /* the child has it; best effort */
        }
        long long left_ms = end_ms - blocking_clock_ms();
        if (left_ms <= 0)
            break;
        struct pollfd entry = {.fd = signal_fd, .events = POLLIN};
        poll(&entry, 1, left_ms > ACCEPT_BACKOFF_MS ? ACCEPT_BACKOFF_MS : (int)left_ms); /* best effort: it is asked again */
        heed_signals(signal_fd);
    }
    signal_processes(SIGKILL); /* whoever is left has had LAB_DRAIN_S */
}

int main(void)
{
    const struct config config = config_read();
    const int most = config_number("LAB_PROCESSES_MOST", MOST_DEFAULT, 2, MOST_MAX);
    reply_init("c-prefork", config.nonce);
    check(blocking_init(true), "preparing processes");
    blocking_set_limits(others_wait, most - 1);
    int signal_fd = prepare_processes(most, config.instance);
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); /* a process's call for another spare one */
    check(wake_fd < 0 ? -1 : 0, "eventfd");
    listen_fd = config_listen(&config, "c-prefork");
    blocking_prepare_listener(listen_fd);
    check(fcntl(listen_fd, F_SETFL, 0), "blocking listener");

    for (long long calm_ms = blocking_clock_ms() + CALM_MS;;) {
        bool is_short = false;
        while (!is_short && atomic_load(&shared->spare) < SPARE_LEAST && count_processes() < most) {
            pid_t process = fork_process(-1);
            if (process == 0)
                be_child(-1, signal_fd, wake_fd);
            is_short = process < 0; /* EAGAIN: a limit on processes. Those who are there go on. */
        }
        bool is_crowded = count_processes() == most && atomic_load(&shared->spare) == 0;
        if (is_crowded)
            blocking_hang_up_idle(count_queued(listen_fd), IDLE_MS);
        if (blocking_clock_ms() >= calm_ms) {
            int surplus = atomic_load(&shared->spare) - SPARE_LEAST;
            dismiss_processes(surplus > 2 * SPARE_LEAST ? surplus / 2 : surplus);
            calm_ms = blocking_clock_ms() + CALM_MS;
        }
        struct pollfd entries[] = {{.fd = signal_fd, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
        bool must_look = count_processes() > SPARE_LEAST || count_processes() == most; /* there nobody calls */
        int ready = poll(entries, 2, is_crowded || is_short ? CROWDED_MS : must_look ? CALM_MS : -1);
        check(ready < 0 && errno != EINTR ? -1 : 0, "poll");
        uint64_t calls;
        if (ready > 0 && entries[1].revents && read(wake_fd, &calls, sizeof calls) < 0)
            check(errno == EAGAIN ? 0 : -1, "eventfd");
        if (ready > 0 && entries[0].revents && heed_signals(signal_fd))
            break;
    }
    drain(signal_fd, wake_fd, blocking_clock_ms() + config.drain_ms);
    return 0;
}

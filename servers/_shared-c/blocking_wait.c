#define _GNU_SOURCE
#include "blocking_wait.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

/* The mask in which SIGUSR1 comes through. ppoll() puts it in place only while it sleeps, so a call that comes just
 * before is not lost but ends the sleep at once. */
static sigset_t wake_open;

static void on_wake(int number) { (void)number; } /* only there to end ppoll() with EINTR */

int blocking_wait_init(void)
{
    const struct sigaction wake = {.sa_handler = on_wake};
    if (sigaction(SIGUSR1, &wake, NULL) < 0)
        return errno;
    int error = pthread_sigmask(SIG_BLOCK, NULL, &wake_open);
    sigdelset(&wake_open, SIGUSR1);
    return error;
}

long long blocking_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct timespec blocking_end_in_ms(long long from_now)
{
    const long long end_ms = blocking_clock_ms() + from_now;
    return (struct timespec){.tv_sec = end_ms / 1000, .tv_nsec = end_ms % 1000 * 1000000};
}

int blocking_wait(int fd, short events, long long deadline_ms)
{
    struct pollfd entry = {.fd = fd, .events = events};
    struct timespec left, *timeout = NULL;
    if (deadline_ms) {
        long long now_ms = blocking_clock_ms(), left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
        left = (struct timespec){.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
        timeout = &left;
    }
    return ppoll(&entry, 1, timeout, &wake_open);
}

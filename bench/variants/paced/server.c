/* A server that is slower than it need be, by a known share: the instrument that calibrates the lab's verdicts.
 *
 * c-epoll as it stands (servers/c-epoll/server.c, here as c-epoll.h), with its epoll_wait() replaced: before each wait
 * it spins for PACE_PERCENT (100 without it) of the time that serving has just taken. Serving is everything from the
 * return of the last wait until the events of the next are in hand, the wait itself included where it did not block, and
 * with it whatever the kernel did on the way: interrupts and the loopback's other half are in it, because it is wall
 * time of a loop that never sleeps while it is saturated. A saturated loop therefore takes 1 + PACE_PERCENT / 100 times
 * as long as its serving for each request: paces of 100 and of 120 differ by 2.2 / 2.0 = 1.10 on any machine, whatever
 * a request costs there, if serving costs both the same.
 *
 * For that the pace comes from the environment: both are one program in one image. Two builds that differed by this
 * number alone were seen to differ by a per cent or two besides (docs/bench.md). The kernel's account of CPU time must
 * agree all the same, and `make bench` compares it.
 *
 * A spin that ends late, because somebody else had the core meanwhile, is taken off the next ones: otherwise both
 * spin some per cent too long on a busy machine, and differ by slightly less than a tenth.
 *
 * Why not 0 and 10: one core of load must keep this server saturated in every window, and with c-epoll itself it is not
 * clear who waits for whom.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

#include "shared/config.h"

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock; read without a system call where the TSC is used */
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t since_ns; /* when the last wait returned; 0 before the first */
static int64_t owed_ns;  /* still to spin; below 0 after a spin that ended late */

static int pace_percent(void)
{
    static int told = -1;
    if (told < 0)
        told = config_number("PACE_PERCENT", 100, 0, 1000);
    return told;
}

static int paced_wait(int epoll, struct epoll_event *events, int most, int timeout_ms)
{
    const int64_t handled_ns = clock_ns();
    const int count = epoll_wait(epoll, events, most, 0);
    const int64_t polled_ns = clock_ns();
    /* A poll that found nothing is no part of serving: a loop that goes to sleep has time to spare anyway. */
    const int64_t served_ns = since_ns == 0 ? 0 : (count != 0 ? polled_ns : handled_ns) - since_ns;
    owed_ns += served_ns * pace_percent() / 100;
    while ((since_ns = clock_ns()) < polled_ns + owed_ns)
        ;
    owed_ns -= since_ns - polled_ns;
    if (count != 0 || timeout_ms == 0)
        return count;
    const int later = epoll_wait(epoll, events, most, timeout_ms);
    since_ns = clock_ns();
    return later;
}

#define epoll_wait paced_wait
#include "c-epoll.h"

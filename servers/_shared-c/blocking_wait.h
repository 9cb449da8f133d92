/* Wait for a socket until a deadline, or until another thread or process calls. */
#pragma once
#include <time.h>

/* Before the first wait, with SIGUSR1 blocked in everyone who serves. Returns 0 or an errno. */
int blocking_wait_init(void);

long long blocking_clock_ms(void);                    /* CLOCK_MONOTONIC */
struct timespec blocking_end_in_ms(long long from_now); /* the same clock */

/* Waits for poll(2)'s `events` until the deadline (0: none). 1: they came, 0: time is up, -1: errno, and EINTR means
 * that somebody sent SIGUSR1, now or since the last wait. */
int blocking_wait(int fd, short events, long long deadline_ms);

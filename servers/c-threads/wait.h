/* Wait for a socket until a deadline, or until another thread calls. */
#pragma once

/* Before the first wait, with SIGUSR1 blocked in every thread. Returns 0 or an errno. */
int wait_init(void);

long long read_clock_ms(void); /* CLOCK_MONOTONIC */

/* Waits for poll(2)'s `events` until the deadline (0: none). 1: they came, 0: time is up, -1: errno, and EINTR means
 * that another thread sent SIGUSR1, now or since the last wait. */
int wait_until(int fd, short events, long long deadline_ms);

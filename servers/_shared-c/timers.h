/* Deadlines in a binary heap: setting and cancelling cost O(log n), the next one O(1).
 *
 * A timer lives inside the structure it belongs to, so nothing is allocated when one is set.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
    uint64_t due_ms; /* CLOCK_MONOTONIC */
    size_t slot;     /* place in the heap, from 1; 0 = not set */
};

/* Makes sure that `count` timers can be set; false when memory is short. */
bool timers_reserve(size_t count);

/* Sets the timer, or moves it if it is set. */
void timers_set(struct timer *timer, uint64_t due_ms);

void timers_cancel(struct timer *timer);

/* The timer due first, or NULL. */
struct timer *timers_first(void);

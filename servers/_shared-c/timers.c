#include "timers.h"

#include <stdlib.h>

static struct timer **heap; /* heap[1] is due first; heap[i] is due no later than heap[2i] and heap[2i+1] */
static size_t heap_len, heap_cap;

bool timers_reserve(size_t count)
{
    if (count < heap_cap)
        return true;
    size_t cap = (count + 1) * 2;
    struct timer **grown = realloc(heap, cap * sizeof *grown);
    if (!grown)
        return false;
    heap = grown;
    heap_cap = cap;
    return true;
}

static void place(struct timer *timer, size_t slot)
{
    heap[slot] = timer;
    timer->slot = slot;
}

/* Moves the timer up or down from `slot` until its neighbours are in order. */
static void settle(struct timer *timer, size_t slot)
{
    while (slot > 1 && timer->due_ms < heap[slot / 2]->due_ms) {
        place(heap[slot / 2], slot);
        slot /= 2;
    }
    for (size_t child; (child = slot * 2) <= heap_len; slot = child) {
        if (child < heap_len && heap[child + 1]->due_ms < heap[child]->due_ms)
            child++;
        if (timer->due_ms <= heap[child]->due_ms)
            break;
        place(heap[child], slot);
    }
    place(timer, slot);
}

void timers_set(struct timer *timer, uint64_t due_ms)
{
    timer->due_ms = due_ms;
    settle(timer, timer->slot ? timer->slot : ++heap_len);
}

void timers_cancel(struct timer *timer)
{
    if (!timer->slot)
        return;
    size_t slot = timer->slot;
    struct timer *last = heap[heap_len--];
    timer->slot = 0;
    if (last != timer)
        settle(last, slot);
}

struct timer *timers_first(void) { return heap_len ? heap[1] : NULL; }

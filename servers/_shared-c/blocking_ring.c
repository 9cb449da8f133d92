#define _GNU_SOURCE
#include "blocking_ring.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blocking_wait.h"
#include "stats.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { STACK_BYTES = 1024 * 1024 }; /* a sanitizer sets guards around every variable */
#else
enum { STACK_BYTES = 64 * 1024 }; /* the deepest path, /stats, needs under 20 KiB (checked with -fstack-usage) */
#endif

static struct ring {
    pthread_mutex_t lock; /* all prev and next; while it is held, no seat's fd is closed and no process is reaped */
    struct blocking_seat head;
    atomic_int holding;
} *ring, own_ring;

static bool is_across_processes;
static pthread_cond_t last_one_left;
static atomic_bool is_draining;

int blocking_init(bool across)
{
    pthread_condattr_t steady; /* wall time may jump while we drain */
    pthread_mutexattr_t kind;
    int error;
    is_across_processes = across;
    ring = &own_ring;
    if (across && (ring = mmap(NULL, sizeof *ring, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) == MAP_FAILED)
        return errno;
    ring->head.prev = ring->head.next = &ring->head;
    if ((error = pthread_mutexattr_init(&kind)) ||
        (across && ((error = pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED)) ||
                    (error = pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST)))) ||
        (error = pthread_mutex_init(&ring->lock, &kind)) || (error = pthread_condattr_init(&steady)) ||
        (error = pthread_condattr_setclock(&steady, CLOCK_MONOTONIC)) ||
        (error = pthread_cond_init(&last_one_left, &steady)))
        return error;
    return blocking_wait_init();
}

int blocking_thread_attributes(pthread_attr_t *attributes)
{
    int error;
    if ((error = pthread_attr_init(attributes)) ||
        (error = pthread_attr_setdetachstate(attributes, PTHREAD_CREATE_DETACHED)))
        return error;
    return pthread_attr_setstacksize(attributes, STACK_BYTES);
}

/* ---- taking a seat, leaving it ------------------------------------------------------------------------------------- */

static void lock_ring(void)
{
    if (pthread_mutex_lock(&ring->lock) == EOWNERDEAD) /* a process was killed at the worst moment */
        pthread_mutex_consistent(&ring->lock);
}

void blocking_link(struct blocking_seat *s)
{
    lock_ring();
    s->prev = &ring->head;
    s->next = ring->head.next;
    s->next->prev = s;
    ring->head.next = s;
    pthread_mutex_unlock(&ring->lock);
}

static void cut(struct blocking_seat *s)
{
    s->prev->next = s->next;
    s->next->prev = s->prev;
    s->prev = s->next = NULL;
}

void blocking_unlink(struct blocking_seat *s)
{
    lock_ring();
    cut(s);
    if (atomic_fetch_sub(&stats->active, 1) == 1 && !is_across_processes)
        pthread_cond_signal(&last_one_left);
    pthread_mutex_unlock(&ring->lock);
}

/* ---- /hold and /release -------------------------------------------------------------------------------------------- */

bool blocking_take_hold(int most)
{
    if (atomic_fetch_add(&ring->holding, 1) < most)
        return true;
    blocking_give_hold();
    return false;
}

void blocking_give_hold(void) { atomic_fetch_sub(&ring->holding, 1); }

void blocking_wake_holders(void)
{
    lock_ring();
    for (struct blocking_seat *s = ring->head.next; s != &ring->head; s = s->next) {
        if (atomic_load(&s->is_holding)) /* who came after the release is woken too, and waits on */
            tgkill(s->process, s->thread, SIGUSR1); /* cannot fail: it leaves the ring before it ends */
    }
    pthread_mutex_unlock(&ring->lock);
}

/* ---- shutting down ------------------------------------------------------------------------------------------------- */

bool blocking_is_draining(void) { return atomic_load(&is_draining); }

void blocking_stop_inviting(void) { atomic_store(&is_draining, true); }

void blocking_hang_up_own(struct blocking_seat *s)
{
    if (atomic_load(&s->is_idle))
        shutdown(s->fd, SHUT_RD); /* recv() returns what has come already, then 0; best effort */
}

void blocking_hang_up_idle(int most, long long silent_ms)
{
    const long long before_ms = blocking_clock_ms() - silent_ms;
    lock_ring();
    for (struct blocking_seat *s = ring->head.prev; most > 0 && s != &ring->head; s = s->prev) { /* the oldest first */
        if (!atomic_load(&s->is_idle) || (silent_ms && atomic_load(&s->idle_since_ms) > before_ms))
            continue;
        if (is_across_processes)
            kill(s->process, SIGTERM); /* cannot fail: blocking_bury() has to wait for the lock */
        else
            blocking_hang_up_own(s);
        most--;
    }
    pthread_mutex_unlock(&ring->lock);
}

void blocking_drain(const struct timespec *end)
{
    blocking_stop_inviting();
    blocking_hang_up_idle(INT_MAX, 0);
    lock_ring();
    while (atomic_load(&stats->active) > 0 && pthread_cond_timedwait(&last_one_left, &ring->lock, end) == 0)
        ;
    pthread_mutex_unlock(&ring->lock);
}

int blocking_bury(struct blocking_seat *s, pid_t process)
{
    int status = 0;
    lock_ring();
    if (s->next) { /* it was killed while it served */
        cut(s);
        if (atomic_exchange(&s->is_holding, false))
            stats_unhold(s->hold), blocking_give_hold();
        atomic_store(&s->is_idle, false);
        s->in = s->out = (struct buffer){0}; /* they went with its memory */
    }
    waitpid(process, &status, 0); /* cannot fail: it is our child and has ended */
    pthread_mutex_unlock(&ring->lock);
    return status;
}

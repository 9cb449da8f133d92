/* The engine's thread, and how calls reach it. What they ask for: calls.c.
 *
 * Nothing is shared but one `struct call`: the caller leaves a function there, wakes the thread and waits; the thread carries it
 * out between two events or two groups' turns. So there are no locks on the hot path, and a caller waits for one of those
 * at most.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

enum {
    EVENTS_MAX = 256,      /* per epoll_wait */
    CLOSES_PER_TURN = 256, /* of groups that ended */
    NICE = 5,
    WALK_NS = 2 * 1000 * 1000, /* of turns in a row: answers must not wait until a thousand groups had theirs */
    IDLE_NS = 1000 * 1000 * 1000
};

uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the thread --------------------------------------------------------------------------------- */

static void answer_call(struct engine *e)
{
    if (!atomic_load_explicit(&e->call.is_pending, memory_order_acquire))
        return;
    e->call.work(e, e->call.argument);
    atomic_store_explicit(&e->call.is_pending, false, memory_order_release);
    sem_post(&e->call.done);
}

/* Puts everybody up to `last` behind the others. */
static void rotate(struct engine *e, struct group *last)
{
    struct group *end = last;
    while (end->next)
        end = end->next;
    end->next = e->groups;
    e->groups = last->next;
    last->next = NULL;
}

/* Gives groups that are due their turns, those left over first the next time; returns when the next one is due. */
static uint64_t take_turns(struct engine *e, uint64_t now_ns)
{
    uint64_t due_ns = now_ns + IDLE_NS;
    size_t closes = CLOSES_PER_TURN;
    for (struct group **link = &e->groups, *g; (g = *link);) {
        if (g->is_ending) {
            if (group_close_some(g, &closes)) {
                *link = g->next;
                group_free(g);
                continue;
            }
            due_ns = 0;
        } else if (g->due_ns <= now_ns) {
            group_turn(g, now_ns);
            answer_call(e); /* whoever it adds is met in the next walk, which its wake-up begins */
            if (g->next && clock_ns() - now_ns > WALK_NS) {
                rotate(e, g);
                return 0;
            }
        }
        if (g->due_ns < due_ns)
            due_ns = g->due_ns;
        link = &g->next;
    }
    return due_ns;
}

/* epoll_pwait2 (Linux 5.11) waits for nanoseconds; before, whole milliseconds, cut downwards: early is spinning, late is lag. */
static int wait_until(struct engine *e, struct epoll_event *events, uint64_t due_ns)
{
    static _Atomic bool is_old_kernel;
    const uint64_t now_ns = clock_ns(), left_ns = due_ns > now_ns ? due_ns - now_ns : 0;
#ifdef SYS_epoll_pwait2
    if (!atomic_load_explicit(&is_old_kernel, memory_order_relaxed)) {
        const struct timespec left = {(time_t)(left_ns / 1000000000u), (long)(left_ns % 1000000000u)};
        const long count = syscall(SYS_epoll_pwait2, e->epoll_fd, events, EVENTS_MAX, &left, NULL, 0);
        if (count >= 0 || errno != ENOSYS)
            return (int)count;
        atomic_store(&is_old_kernel, true);
    }
#endif
    return epoll_wait(e->epoll_fd, events, EVENTS_MAX, (int)(left_ns / 1000000));
}

static void *live(void *argument)
{
    struct engine *e = argument;
    struct epoll_event events[EVENTS_MAX];
    prctl(PR_SET_NAME, "engine", 0, 0, 0);
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE); /* best effort: heartbeats first, where both share a core */
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* arrivals are planned to the microsecond; the default slack is fifty */
    while (!e->is_stopping) {
        answer_call(e);
        const uint64_t due_ns = take_turns(e, clock_ns());
        const int count = wait_until(e, events, due_ns);
        for (int i = 0; i < count; i++) {
            struct conn *c = events[i].data.ptr;
            if (c) {
                conn_event(c, events[i].events);
            } else {
                uint64_t woken;
                (void)!read(e->wake_fd, &woken, sizeof woken); /* nothing to read: woken for an earlier call */
            }
            answer_call(e);
        }
    }
    return NULL;
}

/* ---- calls -------------------------------------------------------------------------------------- */

void engine_call(struct engine *e, void (*work)(struct engine *, void *), void *argument)
{
    pthread_mutex_lock(&e->callers);
    e->call.work = work;
    e->call.argument = argument;
    atomic_store_explicit(&e->call.is_pending, true, memory_order_release);
    const uint64_t one = 1;
    (void)!write(e->wake_fd, &one, sizeof one); /* full is as good as written */
    while (sem_wait(&e->call.done) < 0 && errno == EINTR)
        ;
    pthread_mutex_unlock(&e->callers);
}

static int make(struct engine *e)
{
    sigset_t all, before;
    struct epoll_event wake = {.events = EPOLLIN};
    sem_init(&e->call.done, 0, 0); /* cannot fail with these arguments */
    pthread_mutex_init(&e->callers, NULL);
    e->wake_fd = -1;
    if ((e->epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
        (e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
        epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->wake_fd, &wake) < 0)
        return errno;
    sigfillset(&all); /* signals are Python's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int wrong = pthread_create(&e->thread, NULL, live, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return wrong ? wrong : pthread_getcpuclockid(e->thread, &e->cpu_clock);
}

static void destroy(struct engine *e)
{
    for (struct group *g = e->groups, *next; g; g = next) {
        next = g->next;
        size_t all = SIZE_MAX;
        group_close_some(g, &all);
        group_free(g);
    }
    for (size_t i = 0; i < e->rows_len; i++) {
        row_free(e->rows[i]);
        free(e->rows[i]);
    }
    free(e->rows);
    if (e->wake_fd >= 0)
        close(e->wake_fd);
    if (e->epoll_fd >= 0)
        close(e->epoll_fd);
    sem_destroy(&e->call.done);
    pthread_mutex_destroy(&e->callers);
    free(e);
}

int engine_start(struct engine **made)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return ENOMEM;
    const int wrong = make(e);
    if (wrong)
        destroy(e);
    else
        *made = e;
    return wrong;
}

static void do_stop(struct engine *e, void *argument)
{
    (void)argument;
    e->is_stopping = true;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    engine_call(e, do_stop, NULL);
    pthread_join(e->thread, NULL);
    destroy(e);
}

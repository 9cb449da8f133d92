/* The engine's thread, and the calls that reach it.
 *
 * Nothing is shared but one `struct call`: the caller leaves a function there, wakes the thread and waits; the thread carries it
 * out between two events. So there are no locks on the hot path, and a caller waits for one event's work at most.
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

/* Gives every group that is due its turn; returns when the next one is. */
static uint64_t take_turns(struct engine *e, uint64_t now_ns)
{
    uint64_t due_ns = now_ns + IDLE_NS;
    size_t closes = CLOSES_PER_TURN;
    for (struct group **link = &e->groups, *g; (g = *link);) {
        if (g->is_ending) {
            if (closes && group_close_some(g, closes)) {
                *link = g->next;
                group_free(g);
                continue;
            }
            closes = 0;
            due_ns = 0;
        } else {
            if (g->due_ns <= now_ns)
                group_turn(g, now_ns);
            if (g->due_ns < due_ns)
                due_ns = g->due_ns;
        }
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

static void call(struct engine *e, void (*work)(struct engine *, void *), void *argument)
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
        while (!group_close_some(g, 1 << 20))
            ;
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
    call(e, do_stop, NULL);
    pthread_join(e->thread, NULL);
    destroy(e);
}

struct add_row {
    bool is_by_start;
    int result;
};

static void do_add_row(struct engine *e, void *argument)
{
    struct add_row *asked = argument;
    struct row *row = calloc(1, sizeof *row);
    struct row **grown = realloc(e->rows, (e->rows_len + 1) * sizeof *grown);
    if (grown)
        e->rows = grown;
    bool has_made = row && grown && row_init(row, asked->is_by_start);
    if (has_made && e->window_end_ns)
        has_made = (row->scored = record_new()) != NULL;
    asked->result = -ENOMEM;
    if (has_made) {
        asked->result = (int)e->rows_len;
        e->rows[e->rows_len++] = row;
        return;
    }
    if (row)
        row_free(row);
    free(row);
}

int engine_add_row(struct engine *e, int scored_by_start)
{
    struct add_row asked = {.is_by_start = scored_by_start != 0};
    call(e, do_add_row, &asked);
    return asked.result;
}

struct add_group {
    const struct engine_group *told;
    int result;
};

static void do_add_group(struct engine *e, void *argument)
{
    struct add_group *asked = argument;
    int wrong = EINVAL;
    struct group *g = NULL;
    if (asked->told->row >= 0 && (size_t)asked->told->row < e->rows_len)
        g = group_new(e, asked->told, &wrong);
    asked->result = -wrong;
    if (!g)
        return;
    g->number = asked->result = e->groups_made++;
    g->next = e->groups;
    e->groups = g;
}

int engine_add_group(struct engine *e, const struct engine_group *group)
{
    struct add_group asked = {.told = group};
    call(e, do_add_group, &asked);
    return asked.result;
}

struct change_group {
    int group, connections, count_unanswered;
    double rate_per_s;
    int result;
};

static struct group *find(struct engine *e, int number)
{
    struct group *g = e->groups;
    while (g && (g->number != number || g->is_ending))
        g = g->next;
    return g;
}

static void do_end_group(struct engine *e, void *argument)
{
    struct change_group *asked = argument;
    struct group *g = find(e, asked->group);
    asked->result = g ? 0 : -ENOENT;
    if (g)
        group_end(g, asked->count_unanswered != 0, clock_ns());
}

int engine_end_group(struct engine *e, int group, int count_unanswered)
{
    struct change_group asked = {.group = group, .count_unanswered = count_unanswered};
    call(e, do_end_group, &asked);
    return asked.result;
}

static void do_change_group(struct engine *e, void *argument)
{
    struct change_group *asked = argument;
    struct group *g = find(e, asked->group);
    asked->result = g ? 0 : -ENOENT;
    if (g && asked->rate_per_s >= 0) {
        if (g->told.kind != ENGINE_OPEN || !(asked->rate_per_s > 0 && asked->rate_per_s <= 1e8))
            asked->result = -EINVAL;
        else
            group_set_rate(g, asked->rate_per_s, clock_ns());
    }
    if (g && asked->connections >= 0) {
        if (g->told.kind != ENGINE_CLOSED || (size_t)asked->connections < g->connections)
            asked->result = -EINVAL;
        else if ((size_t)asked->connections > g->connections &&
                 !group_extend(g, (size_t)asked->connections - g->connections))
            asked->result = -ENOMEM;
    }
}

int engine_change_group(struct engine *e, int group, double rate_per_s, int connections)
{
    struct change_group asked = {.group = group, .rate_per_s = rate_per_s, .connections = connections};
    call(e, do_change_group, &asked);
    return asked.result;
}

struct ask_row {
    int row;
    struct engine_counts *counts;
    struct engine_record *record;
    struct record *taken;
};

static void do_counts(struct engine *e, void *argument)
{
    struct ask_row *asked = argument;
    if (asked->row >= 0 && (size_t)asked->row < e->rows_len)
        *asked->counts = e->rows[asked->row]->now;
}

void engine_counts(struct engine *e, int row, struct engine_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    call(e, do_counts, &(struct ask_row){.row = row, .counts = counts});
}

static void do_take(struct engine *e, void *argument)
{
    struct ask_row *asked = argument;
    if (asked->row < 0 || (size_t)asked->row >= e->rows_len)
        return;
    struct row *row = e->rows[asked->row];
    struct record *fresh = asked->taken;
    asked->taken = row->running;
    row->running = fresh;
}

struct engine_record *engine_take(struct engine *e, int row)
{
    struct ask_row asked = {.row = row, .taken = record_new()};
    if (!asked.taken)
        return NULL;
    call(e, do_take, &asked);
    struct engine_record *made = record_render(asked.taken); /* on the caller's time */
    record_free(asked.taken);
    return made;
}

static void do_window(struct engine *e, void *argument)
{
    const uint64_t *times = argument;
    e->window_start_ns = times[0];
    e->window_end_ns = times[1];
    for (size_t i = 0; i < e->rows_len; i++) {
        struct row *row = e->rows[i];
        record_free(row->scored);
        row->scored = record_new(); /* without memory: NULL, and engine_scored says so */
        struct engine_counts *now = &row->now;
        now->answered = now->failed = now->planned = now->sent = now->late = now->dropped = 0;
        now->first_connect_ns = now->last_established_ns = 0;
    }
}

void engine_window(struct engine *e, uint64_t start_ns, uint64_t end_ns)
{
    uint64_t times[2] = {start_ns, end_ns};
    call(e, do_window, times);
}

/* Adds what of one group belongs to the window and has no outcome yet. */
static void find_unanswered(const struct engine *e, const struct group *g, struct engine_record *record)
{
    static const enum state under_way[] = {CONNECTING, ASKING, WAITING};
    const bool is_clocked = g->told.kind == ENGINE_OPEN || g->told.kind == ENGINE_STORM;
    uint64_t oldest_ns = record->oldest_ns ? record->oldest_ns : UINT64_MAX;
    for (size_t i = 0; i < sizeof under_way / sizeof *under_way; i++)
        for (const struct conn *c = g->lists[under_way[i]].first; c; c = c->next) {
            if (!c->intended_ns || c->intended_ns >= e->window_end_ns ||
                ((is_clocked || g->row->is_by_start) && c->intended_ns < e->window_start_ns))
                continue;
            record->unanswered++;
            if (c->intended_ns < oldest_ns)
                oldest_ns = c->intended_ns;
        }
    for (size_t i = 0; i < g->queue_len; i++) {
        const uint64_t planned_ns = g->queue[(g->queue_first + i) & (g->queue_cap - 1)];
        if (planned_ns < e->window_start_ns || planned_ns >= e->window_end_ns)
            continue;
        record->unanswered++;
        if (planned_ns < oldest_ns)
            oldest_ns = planned_ns;
    }
    if (g->burst_left > 0 && g->burst_ns >= e->window_start_ns && g->burst_ns < e->window_end_ns) {
        record->unanswered += g->burst_left;
        oldest_ns = g->burst_ns < oldest_ns ? g->burst_ns : oldest_ns;
    }
    record->oldest_ns = record->unanswered ? oldest_ns : 0;
}

static void do_scored(struct engine *e, void *argument)
{
    struct ask_row *asked = argument;
    if (asked->row < 0 || (size_t)asked->row >= e->rows_len || !e->rows[asked->row]->scored)
        return;
    asked->record = record_render(e->rows[asked->row]->scored);
    for (const struct group *g = e->groups; g && asked->record; g = g->next)
        if (g->row == e->rows[asked->row] && !g->is_ending)
            find_unanswered(e, g, asked->record);
}

struct engine_record *engine_scored(struct engine *e, int row)
{
    struct ask_row asked = {.row = row};
    call(e, do_scored, &asked);
    return asked.record;
}

uint64_t engine_cpu_ns(struct engine *e)
{
    struct timespec t = {0};
    clock_gettime(e->cpu_clock, &t); /* the thread lives as long as e */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

const char *engine_errno_name(int number) { return strerrorname_np(number); }

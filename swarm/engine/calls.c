/* What the callers' thread may ask: each function here has a part that the engine's own thread carries out. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

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
    engine_call(e, do_add_row, &asked);
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
    engine_call(e, do_add_group, &asked);
    return asked.result;
}

struct change_group {
    int group, connections, count_unanswered;
    double rate_per_s, phase;
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
    engine_call(e, do_end_group, &asked);
    return asked.result;
}

static void do_change_group(struct engine *e, void *argument)
{
    struct change_group *asked = argument;
    struct group *g = find(e, asked->group);
    asked->result = g ? 0 : -ENOENT;
    if (g && asked->rate_per_s >= 0) {
        if (g->told.kind != ENGINE_OPEN || !(asked->rate_per_s > 0 && asked->rate_per_s <= 1e8) ||
            !(asked->phase >= 0 && asked->phase < 1))
            asked->result = -EINVAL;
        else
            group_set_rate(g, asked->rate_per_s, asked->phase, clock_ns());
    }
    if (g && asked->connections >= 0) {
        if (g->told.kind != ENGINE_CLOSED || (size_t)asked->connections < g->connections)
            asked->result = -EINVAL;
        else if ((size_t)asked->connections > g->connections &&
                 !group_extend(g, (size_t)asked->connections - g->connections))
            asked->result = -ENOMEM;
    }
}

int engine_change_group(struct engine *e, int group, double rate_per_s, double phase, int connections)
{
    struct change_group asked = {
        .group = group, .rate_per_s = rate_per_s, .phase = phase, .connections = connections};
    engine_call(e, do_change_group, &asked);
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
    engine_call(e, do_counts, &(struct ask_row){.row = row, .counts = counts});
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
    engine_call(e, do_take, &asked);
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
    engine_call(e, do_window, times);
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
    engine_call(e, do_scored, &asked);
    return asked.record;
}

uint64_t engine_cpu_ns(struct engine *e)
{
    struct timespec t = {0};
    clock_gettime(e->cpu_clock, &t); /* the thread lives as long as e */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

const char *engine_errno_name(int number) { return strerrorname_np(number); }

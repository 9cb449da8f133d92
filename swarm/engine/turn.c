/* A group's turn: whatever is due by the clock. */
#include "internal.h"

enum {
    OPENS_PER_TURN = 64, /* answers must not wait for a burst of connects */
    FAILS_PER_TURN = 256, /* nor for that of closes when a whole crowd's patience ends */
    SOON_NS = 100 * 1000 * 1000,
    FIRST_PAUSE_NS = 10 * 1000 * 1000
};

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* When the next first connect may begin. Later ones, which take the place of those that ended, are not held back. */
static uint64_t next_open_ns(struct group *g, uint64_t now_ns)
{
    if (g->opens_from_ns == 0)
        g->opens_from_ns = now_ns;
    if (g->told.opens_per_s <= 0 || g->opens >= g->connections)
        return 0;
    return g->opens_from_ns + (uint64_t)((double)g->opens * 1e9 / g->told.opens_per_s);
}

/* Opens what may be opened now; returns when there may be more: 0 at once, UINT64_MAX when something else happens first. */
static uint64_t open_some(struct group *g, uint64_t now_ns)
{
    for (int i = 0; i < OPENS_PER_TURN; i++) {
        struct conn *c = g->lists[UNOPENED].first;
        if (!c || g->lists[CONNECTING].len >= (size_t)g->told.opening)
            return UINT64_MAX;
        const uint64_t due_ns = next_open_ns(g, now_ns);
        if (due_ns > now_ns)
            return due_ns;
        const uint64_t begun_ns = clock_ns();
        g->opens++;
        conn_open(c, g->told.kind == ENGINE_HOLD ? begun_ns : 0, begun_ns);
    }
    return 0;
}

/* Begins what is left of a burst, and the next burst when its time has come; returns when there is more to do. */
static uint64_t storm_some(struct group *g, uint64_t now_ns)
{
    if (g->burst_left == 0 && g->next_ns <= now_ns) {
        g->burst_ns = g->next_ns;
        g->burst_left = (size_t)g->told.connections;
        g->next_ns += g->told.every_ns;
        for (int i = 0; i < g->told.connections; i++)
            row_planned(g->engine, g->row, g->burst_ns);
    }
    for (int i = 0; i < OPENS_PER_TURN && g->burst_left > 0; i++) {
        struct conn *c = g->lists[UNOPENED].first;
        g->burst_left--;
        if (!c) { /* still busy with the burst before */
            row_dropped(g->engine, g->row, g->burst_ns);
            continue;
        }
        const uint64_t begun_ns = clock_ns();
        row_sent(g->engine, g->row, g->burst_ns, begun_ns);
        conn_open(c, g->burst_ns, begun_ns);
    }
    return g->burst_left > 0 ? 0 : g->next_ns;
}

static uint64_t end_pauses(struct group *g, uint64_t now_ns)
{
    uint64_t due_ns = UINT64_MAX;
    for (unsigned level = 0; level < PAUSES; level++) {
        const uint64_t pause_ns = (uint64_t)FIRST_PAUSE_NS << level;
        struct conn *c;
        while ((c = g->pauses[level].first) && c->since_ns + pause_ns <= now_ns) {
            conn_move(c, UNOPENED, now_ns);
            if (c->pause + 1 < PAUSES)
                c->pause++;
        }
        if (c)
            due_ns = least(due_ns, c->since_ns + pause_ns);
    }
    return due_ns;
}

static uint64_t end_patience(struct group *g, uint64_t now_ns)
{
    static const enum state impatient[] = {CONNECTING, ASKING, WAITING};
    uint64_t due_ns = UINT64_MAX;
    unsigned fails = 0;
    for (unsigned i = 0; i < sizeof impatient / sizeof *impatient; i++) {
        struct conn *c;
        while ((c = g->lists[impatient[i]].first) && c->since_ns + g->told.patience_ns <= now_ns) {
            if (fails++ == FAILS_PER_TURN)
                return 0;
            conn_fail(c, conn_phase(c), ENGINE_WRONG_TIMEOUT, now_ns);
        }
        if (c)
            due_ns = least(due_ns, c->since_ns + g->told.patience_ns);
    }
    return due_ns;
}

void group_turn(struct group *g, uint64_t now_ns)
{
    uint64_t due_ns = least(now_ns + SOON_NS, end_patience(g, now_ns));
    due_ns = least(due_ns, end_pauses(g, now_ns));
    due_ns = least(due_ns, g->told.kind == ENGINE_STORM ? storm_some(g, now_ns) : open_some(g, now_ns));
    if (g->told.kind == ENGINE_OPEN) {
        group_arrive(g, now_ns);
        due_ns = least(due_ns, g->next_ns);
    }
    g->due_ns = due_ns;
}

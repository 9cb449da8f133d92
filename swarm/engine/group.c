/* Groups: making them, their arrivals, their end. What they do in between: turn.c. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { QUEUE_MAX = 1 << 22, CONNECTIONS_MAX = 1 << 24 };

static char *copy(const char *bytes, int len)
{
    char *made = malloc((size_t)len + 1);
    if (made) {
        memcpy(made, bytes, (size_t)len);
        made[len] = 0;
    }
    return made;
}

/* Only loopback: the engine loads this machine's own servers and nothing else, whoever asks. */
static bool is_loopback(struct in_addr address) { return (ntohl(address.s_addr) >> 24) == 127; }

static int read_sources(struct group *g, const char *text)
{
    size_t room = 1;
    for (const char *at = text; *at; at++)
        room += *at == ' ';
    g->sources = calloc(room, sizeof *g->sources);
    char *copied = copy(text, (int)strlen(text)), *rest = copied, *word;
    if (!g->sources || !copied) {
        free(copied);
        return ENOMEM;
    }
    int wrong = 0;
    while (!wrong && (word = strsep(&rest, " ")))
        if (*word && inet_pton(AF_INET, word, &g->sources[g->sources_len]) != 1)
            wrong = EINVAL;
        else if (*word && !is_loopback(g->sources[g->sources_len++]))
            wrong = EACCES;
    free(copied);
    return wrong;
}

static int check(const struct engine_group *told)
{
    const bool is_clocked = told->kind == ENGINE_OPEN || told->kind == ENGINE_STORM;
    if (told->kind < ENGINE_CLOSED || told->kind > ENGINE_STORM || told->port < 1 || told->port > 65535 ||
        !told->request || told->request_len < 1 || told->body_len < 0 || (told->sample > 0 && !told->body) ||
        told->connections < 1 || told->connections > CONNECTIONS_MAX || told->patience_ns == 0 || told->sample < 0 ||
        (is_clocked && told->first_ns == 0))
        return EINVAL;
    if (!(told->opens_per_s >= 0 && told->opens_per_s <= 1e8))
        return EINVAL;
    if (told->kind == ENGINE_OPEN && !(told->rate_per_s > 0 && told->rate_per_s <= 1e8))
        return EINVAL;
    if (told->kind == ENGINE_STORM && told->every_ns < 1000 * 1000)
        return EINVAL;
    return 0;
}

struct group *group_new(struct engine *e, const struct engine_group *told, int *wrong)
{
    struct group *g = NULL;
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((uint16_t)told->port)};
    if ((*wrong = check(told)))
        return NULL;
    if (inet_pton(AF_INET, told->host, &target.sin_addr) != 1 || !is_loopback(target.sin_addr)) {
        *wrong = EACCES;
        return NULL;
    }
    if (!(g = calloc(1, sizeof *g))) {
        *wrong = ENOMEM;
        return NULL;
    }
    g->engine = e;
    g->row = e->rows[told->row];
    g->told = *told;
    g->target = target;
    g->random = told->seed * 0x9E3779B97F4A7C15ull + 1;
    g->told.request = g->request = copy(told->request, told->request_len);
    g->told.body = g->body = told->body ? copy(told->body, told->body_len) : NULL;
    g->told.sources = NULL;
    if (told->opening < 1)
        g->told.opening = told->connections;
    *wrong = !g->request || (told->body && !g->body) || !group_extend(g, (size_t)told->connections) ? ENOMEM : 0;
    if (!*wrong && told->sources)
        *wrong = read_sources(g, told->sources);
    if (*wrong) {
        group_free(g);
        return NULL;
    }
    if (told->kind == ENGINE_OPEN) {
        g->base_ns = (double)told->first_ns;
        g->gap_ns = 1e9 / told->rate_per_s;
        g->next_ns = told->first_ns;
    } else if (told->kind == ENGINE_STORM) {
        g->next_ns = told->first_ns;
    }
    return g;
}

bool group_extend(struct group *g, size_t connections)
{
    struct chunk *chunk = calloc(1, sizeof *chunk + connections * sizeof chunk->conns[0]);
    if (!chunk)
        return false;
    chunk->len = connections;
    chunk->next = g->chunks;
    g->chunks = chunk;
    struct list *list = &g->lists[UNOPENED];
    for (size_t i = 0; i < connections; i++) {
        struct conn *c = &chunk->conns[i];
        *c = (struct conn){.group = g, .fd = -1, .prev = list->last};
        *(list->last ? &list->last->next : &list->first) = c;
        list->last = c;
        list->len++;
    }
    g->connections += connections;
    g->due_ns = 0;
    return true;
}

void group_free(struct group *g)
{
    for (struct chunk *chunk = g->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(g->request);
    free(g->body);
    free(g->sources);
    free(g->queue);
    free(g);
}

/* ---- arrivals ----------------------------------------------------------------------------------- */

static double random_unit(struct group *g) /* in (0, 1]; xorshift64* */
{
    g->random ^= g->random >> 12;
    g->random ^= g->random << 25;
    g->random ^= g->random >> 27;
    return (double)((g->random * 0x2545F4914F6CDD1Dull >> 11) + 1) / 9007199254740992.0;
}

static void plan_next(struct group *g)
{
    g->arrivals++;
    if (g->told.arrivals == ENGINE_POISSON) {
        g->base_ns -= log(random_unit(g)) * g->gap_ns; /* base_ns is the last arrival */
        g->next_ns = (uint64_t)g->base_ns;
    } else {
        g->next_ns = (uint64_t)(g->base_ns + (double)g->arrivals * g->gap_ns);
    }
}

/* The next arrival is the first one from now on; constant ones keep to the grid that all groups of this rate share. */
void group_set_rate(struct group *g, double rate_per_s, double phase, uint64_t now_ns)
{
    g->gap_ns = 1e9 / rate_per_s;
    g->base_ns = (double)now_ns;
    g->arrivals = 0;
    if (g->told.arrivals == ENGINE_CONSTANT) {
        g->base_ns = phase * g->gap_ns;
        g->arrivals = (double)now_ns > g->base_ns ? (uint64_t)(((double)now_ns - g->base_ns) / g->gap_ns) : 0;
    }
    plan_next(g);
    g->due_ns = 0;
}

static bool enqueue(struct group *g, uint64_t planned_ns)
{
    if (g->queue_len == g->queue_cap) {
        const size_t cap = g->queue_cap ? g->queue_cap * 2 : 1024;
        uint64_t *grown = cap <= QUEUE_MAX ? malloc(cap * sizeof *grown) : NULL;
        if (!grown)
            return false;
        for (size_t i = 0; i < g->queue_len; i++)
            grown[i] = g->queue[(g->queue_first + i) & (g->queue_cap - 1)];
        free(g->queue);
        g->queue = grown;
        g->queue_cap = cap;
        g->queue_first = 0;
    }
    g->queue[(g->queue_first + g->queue_len++) & (g->queue_cap - 1)] = planned_ns;
    g->row->now.backlog++;
    return true;
}

bool group_next_arrival(struct group *g, uint64_t *planned_ns)
{
    if (g->queue_len == 0)
        return false;
    *planned_ns = g->queue[g->queue_first];
    g->queue_first = (g->queue_first + 1) & (g->queue_cap - 1);
    g->queue_len--;
    g->row->now.backlog--;
    return true;
}

/* Plans what is due, at most some at a time: events come in between, and a stall must not become a longer one. */
void group_arrive(struct group *g, uint64_t now_ns)
{
    for (int i = 0; i < 256 && g->next_ns <= now_ns; i++) {
        const uint64_t planned_ns = g->next_ns;
        plan_next(g);
        row_planned(g->engine, g->row, planned_ns);
        struct conn *free_one = g->lists[READY].first;
        if (free_one && g->queue_len == 0)
            conn_ask(free_one, planned_ns, clock_ns());
        else if (!enqueue(g, planned_ns))
            row_dropped(g->engine, g->row, planned_ns);
    }
    struct conn *free_one;
    uint64_t planned_ns;
    while ((free_one = g->lists[READY].first) && group_next_arrival(g, &planned_ns))
        conn_ask(free_one, planned_ns, clock_ns());
    while (g->queue_len > 0 && g->queue[g->queue_first] + g->told.patience_ns <= now_ns &&
           group_next_arrival(g, &planned_ns))
        row_dropped(g->engine, g->row, planned_ns);
}

/* ---- the end ------------------------------------------------------------------------------------ */

void group_end(struct group *g, bool count_unanswered, uint64_t now_ns)
{
    const bool is_arrival = g->told.kind == ENGINE_OPEN || g->told.kind == ENGINE_STORM;
    static const enum state under_way[] = {CONNECTING, ASKING, WAITING};
    for (size_t i = 0; count_unanswered && i < sizeof under_way / sizeof *under_way; i++)
        for (struct conn *c = g->lists[under_way[i]].first; c; c = c->next)
            if (c->intended_ns)
                row_failed(g->engine, g->row, c->intended_ns, now_ns, is_arrival, conn_phase(c), ENGINE_WRONG_UNANSWERED);
    for (uint64_t planned_ns; group_next_arrival(g, &planned_ns);)
        if (count_unanswered)
            row_dropped(g->engine, g->row, planned_ns);
    for (; count_unanswered && g->burst_left > 0; g->burst_left--)
        row_dropped(g->engine, g->row, g->burst_ns);
    /* The counters speak of what is wanted, from now on; the descriptors follow in slices. */
    struct engine_counts *counts = &g->row->now;
    counts->connecting -= (int64_t)g->lists[CONNECTING].len;
    counts->waiting -= (int64_t)g->lists[WAITING].len;
    g->lists[CONNECTING].len = g->lists[WAITING].len = 0;
    g->is_ending = true;
}

bool group_close_some(struct group *g, size_t *most)
{
    while (g->chunks) {
        struct chunk *chunk = g->chunks;
        while (chunk->len > 0) {
            struct conn *c = &chunk->conns[chunk->len - 1];
            if (c->fd >= 0) {
                if (*most == 0)
                    return false;
                conn_drop(c);
                --*most;
            }
            chunk->len--;
        }
        g->chunks = chunk->next;
        free(chunk);
    }
    return true;
}

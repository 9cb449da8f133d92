/* What the engine's own files share. Everything here is touched by the engine's thread only, but for `struct call`. */
#ifndef INTERNAL_H
#define INTERNAL_H
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "answer.h"
#include "counts.h"
#include "engine.h"

enum { PAUSES = 8 }; /* 10 ms after a first failure, doubling to 1.28 s: a dead server must not make the engine spin */

/* ---- lists of connections ----------------------------------------------------------------------- */

struct conn;
struct list {
    struct conn *first, *last;
    size_t len;
};

enum state {
    UNOPENED,   /* no descriptor, free to be opened */
    CONNECTING, /* connect() under way */
    ASKING,     /* part of the request is not sent yet */
    WAITING,    /* asked */
    READY,      /* open, nothing asked */
    PAUSED,     /* failed, to be opened again after a while */
    SPENT,      /* its one exchange is over */
    STATES
};

struct conn {
    struct group *group;
    struct conn *prev, *next; /* in the group's list of `state` (PAUSED: of its pause) */
    uint64_t intended_ns;     /* when the exchange under way was meant to begin; 0: none */
    uint64_t since_ns;        /* of the state, for patience and pauses */
    int fd;
    uint32_t sent;            /* bytes of the request */
    uint8_t state;
    uint8_t pause;            /* the next failure's pause */
    bool is_established;
    bool is_sampled;          /* this answer's body is compared */
    struct answer answer;
};

/* ---- rows --------------------------------------------------------------------------------------- */

struct record {
    struct counts answered, failed, lag, errors;
    uint64_t planned, sent, late, dropped;
};

struct row {
    bool is_by_start;
    struct engine_counts now;
    struct record *running, *scored; /* scored: NULL until a window was opened */
};

struct engine;

bool row_init(struct row *row, bool is_by_start);
void row_free(struct row *row);
struct record *record_new(void);
void record_free(struct record *record);
struct engine_record *record_render(const struct record *record);

/* What became of an exchange. done_ns: now. is_arrival: it was planned (open, storm). */
void row_answered(struct engine *e, struct row *row, uint64_t intended_ns, uint64_t done_ns, bool is_arrival);
void row_failed(struct engine *e, struct row *row, uint64_t intended_ns, uint64_t done_ns, bool is_arrival,
                enum engine_phase phase, int wrong);
/* A connection broke that had no exchange under way: an error of the running record, and of no window. */
void row_broken(struct row *row, enum engine_phase phase, int wrong);
/* Arrivals: planned; sent (storm: its connect begun) at now_ns; or never sent. now.sent is counted by whoever sends. */
void row_planned(struct engine *e, struct row *row, uint64_t planned_ns);
void row_sent(struct engine *e, struct row *row, uint64_t planned_ns, uint64_t now_ns);
void row_dropped(struct engine *e, struct row *row, uint64_t planned_ns);

/* ---- groups ------------------------------------------------------------------------------------- */

struct chunk {
    struct chunk *next;
    size_t len;
    struct conn conns[];
};

struct group {
    struct engine *engine;
    struct group *next;
    int number;
    struct row *row;
    struct engine_group told; /* its pointers are the group's own copies */
    char *request, *body;
    struct sockaddr_in target;
    struct in_addr *sources;
    size_t sources_len, source_turn;
    struct chunk *chunks;
    size_t connections; /* in all chunks */
    struct list lists[STATES], pauses[PAUSES];
    uint64_t due_ns;    /* no turn is needed before */
    uint64_t answers;   /* for the sample */
    uint64_t random;
    /* open: the k-th arrival since base_ns is the next one; what is due and not sent waits in a ring */
    double base_ns, gap_ns;
    uint64_t arrivals, next_ns;
    uint64_t *queue;
    size_t queue_cap, queue_first, queue_len;
    uint64_t opens_from_ns, opens; /* opens_per_s: since the first turn */
    size_t burst_left; /* storm: connects of the present burst that were not begun */
    uint64_t burst_ns;
    bool is_ending;
};

struct group *group_new(struct engine *e, const struct engine_group *told, int *wrong);
bool group_extend(struct group *g, size_t connections);
void group_set_rate(struct group *g, double rate_per_s, double phase, uint64_t now_ns);
/* Accounts for everything under way; group_close_some then closes up to *most, and takes off how many it was; true once
 * nothing is left. */
void group_end(struct group *g, bool count_unanswered, uint64_t now_ns);
bool group_close_some(struct group *g, size_t *most);
void group_free(struct group *g);
/* Opens, sends, times out whatever is due; sets due_ns. */
void group_turn(struct group *g, uint64_t now_ns);
void group_arrive(struct group *g, uint64_t now_ns); /* open: plans and sends what is due */
bool group_next_arrival(struct group *g, uint64_t *planned_ns); /* takes the oldest one that waits */

/* ---- connections -------------------------------------------------------------------------------- */

void conn_move(struct conn *c, enum state state, uint64_t now_ns);
/* Opens it. intended_ns: hold, storm: when the exchange was meant to begin; 0: nothing to ask yet. */
void conn_open(struct conn *c, uint64_t intended_ns, uint64_t now_ns);
void conn_ask(struct conn *c, uint64_t intended_ns, uint64_t now_ns);
void conn_event(struct conn *c, uint32_t events);
void conn_fail(struct conn *c, enum engine_phase phase, int wrong, uint64_t now_ns);
enum engine_phase conn_phase(const struct conn *c);
void conn_drop(struct conn *c); /* closes the descriptor, nothing else */
bool conn_watch(struct conn *c, int operation, uint32_t interest);
int conn_send_rest(struct conn *c);                      /* 0: the whole request; EAGAIN: not now; or what went wrong */
void conn_asked(struct conn *c, uint64_t begun_ns);      /* the request has left */
void conn_rest(struct conn *c, uint64_t now_ns);         /* open and without an exchange */
void conn_on_connect_over(struct conn *c, uint64_t now_ns);

/* ---- the engine --------------------------------------------------------------------------------- */

struct call {
    _Atomic bool is_pending;
    sem_t done;
    void (*work)(struct engine *e, void *argument);
    void *argument;
};

struct engine {
    pthread_t thread;
    pthread_mutex_t callers; /* one call at a time */
    struct call call;
    int epoll_fd, wake_fd;
    bool is_stopping;
    struct row **rows;
    size_t rows_len;
    struct group *groups; /* in the order of their next turns */
    int groups_made;
    uint64_t window_start_ns, window_end_ns; /* 0 and 0: none was opened */
    clockid_t cpu_clock;
    char input[64 * 1024];
};

uint64_t clock_ns(void);

/* Has `work` done by the engine's thread, between two events, and waits for it. */
void engine_call(struct engine *e, void (*work)(struct engine *, void *), void *argument);

#endif

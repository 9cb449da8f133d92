/* The load engine: opens, drives and closes many client connections to one or more servers from one thread of its own.
 *
 * One `struct engine` per process. It owns an epoll instance and a thread; the callers' thread only talks to it through the
 * functions below, each of which waits until the engine's thread has carried it out (some two milliseconds at most: it looks
 * between any two events and any two groups' turns). All functions may be called from one caller's thread at a time. Times
 * are CLOCK_MONOTONIC ns.
 *
 * A *row* is what is counted together: one variant under one name. A *group* is a number of connections that behave
 * alike: one EngineUser. Groups of one row share its counters and histograms.
 *
 * Latency is a whole number of microseconds, from the intended start to the answer's last byte:
 *   closed   from just before the send, which follows the last answer at once
 *   hold     from just before the connect; one exchange per connection
 *   open     from the instant the arrival was planned for, however late it left
 *   storm    from the instant the burst was planned for, before the connect
 * Plain data at the boundary (ints, pointers), so that cffi reads this header as it is.
 */
#ifndef ENGINE_H
#define ENGINE_H
#include <stddef.h>
#include <stdint.h>

enum engine_kind { ENGINE_CLOSED = 0, ENGINE_OPEN = 1, ENGINE_HOLD = 2, ENGINE_STORM = 3 };
enum engine_arrivals { ENGINE_CONSTANT = 0, ENGINE_POISSON = 1 };

/* Where an exchange went wrong. */
enum engine_phase {
    ENGINE_IN_SOCKET = 0, /* socket(), bind(), epoll_ctl() */
    ENGINE_IN_CONNECT = 1,
    ENGINE_IN_SEND = 2,
    ENGINE_IN_FIRST_BYTE = 3, /* asked, nothing of the answer has come */
    ENGINE_IN_BODY = 4,       /* part of the answer has come */
    ENGINE_IN_CLOSE = 5       /* answered, and reset while it was idle; a server that ends it in order is no error */
};

/* What went wrong: an errno (1..4095), or one of these. */
enum engine_wrong {
    ENGINE_WRONG_TIMEOUT = 5000,    /* no answer within the group's patience */
    ENGINE_WRONG_CLOSED = 5001,     /* the server closed before the answer was whole */
    ENGINE_WRONG_MALFORMED = 5002,  /* the bytes are not an HTTP/1.1 answer, or more came than was asked for */
    ENGINE_WRONG_LENGTH = 5003,     /* a whole answer of another length than body_len */
    ENGINE_WRONG_BODY = 5004,       /* a sampled body differs */
    ENGINE_WRONG_UNANSWERED = 5005, /* stopped, or the window closed, before the answer */
    ENGINE_WRONG_STATUS = 6000      /* 6000 + the status that came instead of 200; redirects are never followed */
};

struct engine_group {
    int row;
    int kind;                 /* enum engine_kind */
    char host[48];            /* a literal IPv4 address in 127.0.0.0/8; anything else is refused with EACCES */
    int port;
    const char *request;      /* the bytes to send, copied */
    int request_len;
    const char *body;         /* the right answer's body, copied */
    int body_len;
    int sample;               /* compare the body of every n-th answer with `body`; 1: each, 0: none. Length: always */
    int connections;          /* closed, hold: open at once; open: the pool's size; storm: one burst */
    int opening;              /* connects under way at once, at most; storm: no limit */
    double opens_per_s;       /* closed, hold: first connects are spread at this rate; 0: as fast as `opening` lets them */
    uint64_t patience_ns;     /* a connect, and then an answer, that takes longer has failed with TIMEOUT */
    int once;                 /* hold: one exchange per connection, then no more. 0: go on with the next connection */
    int stays;                /* hold: keep the connection open after its answer, until the group ends */
    double rate_per_s;        /* open: this group's share of the arrivals */
    int arrivals;             /* enum engine_arrivals */
    uint64_t first_ns;        /* open, storm: when the first arrival or burst is planned */
    uint64_t every_ns;        /* storm: from burst to burst */
    uint64_t seed;            /* of Poisson arrivals, and of the pauses after errors */
    const char *sources;      /* source addresses, "127.64.0.1 127.64.0.2 ...", copied; used in turn */
};

/* What a row counted. Those marked * since the row's last window was opened or the row began, whichever is later;
 * the others now. Plain counters: reading them is free of side effects. */
struct engine_counts {
    int64_t connecting;       /* connects under way */
    int64_t established;      /* connections open */
    int64_t waiting;          /* asked and not answered yet */
    uint64_t opened;          /* connections ever established */
    uint64_t answered;        /* * right answers */
    uint64_t failed;          /* * wrong or missing ones */
    uint64_t planned;         /* * open, storm: arrivals whose time has come */
    uint64_t sent;            /* * requests sent */
    uint64_t late;            /* * open: sent more than 1 ms after the plan */
    uint64_t dropped;         /* * open: never sent, no connection was free within the patience */
    uint64_t backlog;         /* open: planned, due, and waiting for a free connection now */
    uint64_t first_connect_ns;    /* * the first connect began; 0: none */
    uint64_t last_established_ns; /* * the last connect was done; 0: none */
    uint64_t bytes_received;  /* ever */
};

/* One cell of a histogram or of the errors. Errors: key = phase << 16 | wrong. */
struct engine_cell {
    uint64_t key;   /* whole microseconds */
    uint64_t count;
};

/* One record: what was gathered in some interval. Valid until engine_record_free. */
struct engine_record {
    struct engine_cell *answered; /* latency of right answers, sparse, unordered */
    size_t answered_len;
    struct engine_cell *failed; /* age of wrong and missing ones */
    size_t failed_len;
    struct engine_cell *lag; /* open, storm: from plan to send (connect) */
    size_t lag_len;
    struct engine_cell *errors; /* running: also a pool's failed connects and resets of idle connections */
    size_t errors_len;
    uint64_t planned, sent, late, dropped; /* open, storm: of the record's interval (running: since the last take) */
    uint64_t unanswered;  /* scored records: arrivals or exchanges that belong to the window and have no outcome yet */
    uint64_t oldest_ns;   /* scored records: the earliest intended start among those; 0: none */
};

struct engine;

/* Starts the thread. 0 and *made, or an errno. */
int engine_start(struct engine **made);

/* Stops every group, ends the thread, frees everything. */
void engine_free(struct engine *e);

/* Makes a row and returns its number, from 0; -errno on failure. scored_by_start: hold's rule for windows (below). */
int engine_add_row(struct engine *e, int scored_by_start);

/* Begins a group; returns its number, or -errno: EACCES for a foreign address, EINVAL for nonsense, ENOMEM. */
int engine_add_group(struct engine *e, const struct engine_group *group);

/* Ends a group: closes its connections; exchanges under way count as UNANSWERED if count_unanswered. 0 or -errno. */
int engine_end_group(struct engine *e, int group, int count_unanswered);

/* Changes a running group: its rate (open) or its number of connections (closed: only upwards). Negative: as it is.
 * phase, in [0, 1): constant arrivals go on at (n + phase) periods of the new rate since the clock's 0, whenever the
 * group is told: groups of one rate stay interleaved. */
int engine_change_group(struct engine *e, int group, double rate_per_s, double phase, int connections);

void engine_counts(struct engine *e, int row, struct engine_counts *counts);

/* Takes away what the row gathered since the last take. NULL when memory is short. */
struct engine_record *engine_take(struct engine *e, int row);

/* Opens a window on all rows, those made later included: from now on outcomes are also scored if they belong to it. Rows:
 *   not by start: closed: completed in [start, end); open, storm: planned in [start, end), completed whenever
 *   by start (hold): begun at or after start, and completed before the record is read
 * An earlier window's record is dropped. */
void engine_window(struct engine *e, uint64_t start_ns, uint64_t end_ns);

/* The window's record of one row so far; it may be read again. NULL when memory is short. */
struct engine_record *engine_scored(struct engine *e, int row);

void engine_record_free(struct engine_record *record);

/* CPU time of the engine's thread, ns. */
uint64_t engine_cpu_ns(struct engine *e);

/* The name of an errno, as in "ECONNRESET"; NULL for none. */
const char *engine_errno_name(int number);

#endif

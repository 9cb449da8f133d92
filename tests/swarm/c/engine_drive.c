/* Drives the whole engine through its interface, for test_engine_sanitized.py: every call, right and wrong.
 *
 *   engine_drive MILLISECONDS NOFILE FAIL_EVERY KIND:PORT...
 *
 * One row and one group for each KIND (closed, open, hold, storm) and PORT. Half of the groups are ended on the way, the
 * others die with the engine. NOFILE: the descriptors it may have, 0: as it is. FAIL_EVERY: every so manieth allocation
 * of the engine fails, 0: none. Prints for each row what it counted; the last line is "freed".
 */
#define _GNU_SOURCE
#include "../../../swarm/engine/engine.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { MOST_GROUPS = 64, STEP_MS = 20, MOST_ERRORS = 64, RATE_PER_S = 400, BURST_NS = 50 * 1000 * 1000 };

static const char REQUEST[] = "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n", BODY[] = "Hello, world!";
static const char *const KINDS[] = {"closed", "open", "hold", "storm"}; /* enum engine_kind */

/* ---- allocations that fail (linked with --wrap) ------------------------------------------------- */

static _Atomic unsigned long fail_every, allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool is_short(void)
{
    unsigned long every = fail_every;
    return every && ++allocations % every == 0;
}

void *__wrap_malloc(size_t size)
{
    return is_short() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return is_short() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_short() ? NULL : __real_realloc(old, size);
}

/* ---- what is tried ------------------------------------------------------------------------------ */

struct driven {
    int kind, port, row, group;
    bool has_ended;
    unsigned long answered, failed, records; /* summed over the records taken */
    uint64_t errors[MOST_ERRORS], times[MOST_ERRORS];
};

static void demand(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "engine_drive: broken: %s\n", what);
    exit(3);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct engine_group describe(const struct driven *d, unsigned turn)
{
    struct engine_group g = {.row = d->row,
                             .kind = d->kind,
                             .host = "127.0.0.1",
                             .port = d->port,
                             .request = REQUEST,
                             .request_len = sizeof REQUEST - 1,
                             .body = BODY,
                             .body_len = sizeof BODY - 1,
                             .sample = 1 + (int)turn % 2,
                             .connections = 4,
                             .opening = 2,
                             .patience_ns = 150 * 1000 * 1000,
                             .once = turn % 2 == 0,
                             .stays = turn % 4 < 2,
                             .rate_per_s = RATE_PER_S,
                             .arrivals = turn % 2 ? ENGINE_POISSON : ENGINE_CONSTANT,
                             .first_ns = now_ns(),
                             .every_ns = BURST_NS,
                             .seed = turn + 1,
                             .sources = "127.64.0.1 127.64.0.2"};
    return g;
}

/* Everything that must be refused, and nothing of it may leak. */
static void try_nonsense(struct engine *e, const struct driven *d)
{
    struct engine_group wrong[10];
    for (unsigned i = 0; i < 10; i++)
        wrong[i] = describe(d, i);
    strcpy(wrong[0].host, "192.0.2.1"); /* TEST-NET-1: refused before anything is sent */
    strcpy(wrong[1].host, "localhost");
    wrong[2].port = 0;
    wrong[3].row = 12345;
    wrong[4].row = -1;
    wrong[5].request_len = 0;
    wrong[6].connections = 0;
    wrong[7].sources = "127.64.0.1 10.0.0.1";
    wrong[8].sources = "nobody";
    wrong[9].patience_ns = 0;
    for (unsigned i = 0; i < 10; i++)
        demand(engine_add_group(e, &wrong[i]) < 0, "nonsense is refused");
    demand(engine_end_group(e, 12345, 1) == -ENOENT, "an unknown group cannot end");
    demand(engine_change_group(e, 12345, 1, 0, 1) == -ENOENT, "an unknown group cannot change");
    struct engine_counts counts;
    engine_counts(e, 12345, &counts);
    demand(counts.opened == 0, "an unknown row counted nothing");
    engine_record_free(engine_take(e, 12345));
    engine_record_free(engine_scored(e, -1));
    engine_record_free(NULL);
}

static void gather(struct engine *e, struct driven *d)
{
    struct engine_record *record = engine_take(e, d->row);
    if (!record) {
        demand(fail_every != 0, "with memory there is a record");
        return;
    }
    d->records++;
    for (size_t i = 0; i < record->answered_len; i++)
        d->answered += record->answered[i].count;
    for (size_t i = 0; i < record->failed_len; i++)
        d->failed += record->failed[i].count;
    for (size_t i = 0; i < record->errors_len; i++)
        for (size_t k = 0; k < MOST_ERRORS; k++)
            if (d->times[k] == 0 || d->errors[k] == record->errors[i].key) {
                d->errors[k] = record->errors[i].key;
                d->times[k] += record->errors[i].count;
                break;
            }
    engine_record_free(record);
    engine_record_free(engine_scored(e, d->row));
    struct engine_counts counts;
    engine_counts(e, d->row, &counts);
    demand(counts.connecting >= 0 && counts.established >= 0 && counts.waiting >= 0, "nothing is counted below none");
}

static void end_half(struct engine *e, struct driven *driven, unsigned n)
{
    for (unsigned i = 0; i < n; i += 2) {
        driven[i].has_ended = true;
        if (driven[i].group < 0)
            continue;
        demand(engine_end_group(e, driven[i].group, i % 4 == 0) == 0, "a running group can end");
        demand(engine_end_group(e, driven[i].group, 0) == -ENOENT, "and only once");
    }
}

static void drive(struct engine *e, struct driven *driven, unsigned n, unsigned milliseconds)
{
    uint64_t begun_ns = now_ns(), end_ns = begun_ns + (uint64_t)milliseconds * 1000000;
    bool has_window = false, has_changed = false, has_ended = false;
    for (unsigned i = 0; i < n; i++) {
        driven[i].row = engine_add_row(e, driven[i].kind == ENGINE_HOLD);
        struct engine_group told = describe(&driven[i], i);
        driven[i].group = driven[i].row < 0 ? -1 : engine_add_group(e, &told);
        demand(driven[i].group >= 0 || fail_every, "a sound group begins");
    }
    if (n)
        try_nonsense(e, &driven[0]);
    for (uint64_t t; (t = now_ns()) < end_ns;) {
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000 * 1000}, NULL);
        if (!has_window && t > begun_ns + (end_ns - begun_ns) / 5) {
            engine_window(e, t, end_ns);
            has_window = true;
        }
        if (!has_changed && t > begun_ns + (end_ns - begun_ns) / 3) {
            for (unsigned i = 0; i < n; i++)
                engine_change_group(e, driven[i].group, RATE_PER_S * 2, 0.5, 6); /* refused where it has no meaning */
            has_changed = true;
        }
        if (!has_ended && t > begun_ns + (end_ns - begun_ns) * 2 / 3) {
            end_half(e, driven, n);
            has_ended = true;
        }
        for (unsigned i = 0; i < n; i++)
            if (driven[i].row >= 0)
                gather(e, &driven[i]);
    }
    demand(engine_cpu_ns(e) > 0, "the thread used the processor");
}

static void report(struct engine *e, const struct driven *d)
{
    struct engine_counts counts;
    engine_counts(e, d->row, &counts);
    printf("%s %d opened=%lu answered=%lu failed=%lu records=%lu established=%ld", KINDS[d->kind], d->port,
           (unsigned long)counts.opened, d->answered, d->failed, d->records, (long)counts.established);
    for (size_t k = 0; k < MOST_ERRORS && d->times[k]; k++)
        printf(" %lu/%lu=%lu", (unsigned long)(d->errors[k] >> 16), (unsigned long)(d->errors[k] & 0xFFFF),
               (unsigned long)d->times[k]);
    printf("\n");
}

int main(int argc, char **argv)
{
    static struct driven driven[MOST_GROUPS];
    unsigned n = 0;
    if (argc < 4)
        return 2;
    for (int i = 4; i < argc && n < MOST_GROUPS; i++, n++) {
        char *port = strchr(argv[i], ':');
        demand(port != NULL, "KIND:PORT");
        *port++ = 0;
        driven[n].port = atoi(port);
        while (strcmp(KINDS[driven[n].kind], argv[i]) != 0)
            demand(++driven[n].kind <= ENGINE_STORM, "a known kind");
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = atoi(argv[2]) ? (rlim_t)atoi(argv[2]) : limit.rlim_cur;
    setrlimit(RLIMIT_NOFILE, &limit);
    setvbuf(stdout, malloc(BUFSIZ), _IOLBF, BUFSIZ); /* before allocations fail */

    fail_every = strtoul(argv[3], NULL, 10);
    struct engine *e, *idle;
    while (engine_start(&e) != 0)
        demand(fail_every != 0, "an engine starts");
    drive(e, driven, n, (unsigned)atoi(argv[1]));
    for (unsigned i = 0; i < n; i++)
        if (driven[i].row >= 0)
            report(e, &driven[i]);
    engine_free(e);
    while (engine_start(&idle) != 0) /* one that never did anything is freed as well */
        demand(fail_every != 0, "another engine starts");
    engine_free(idle);
    engine_free(NULL);
    printf("freed\n");
    return 0;
}

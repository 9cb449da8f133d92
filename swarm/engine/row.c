/* Rows: what is counted, in the running record and in the window's. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { LATE_NS = 1000 * 1000 };

struct record *record_new(void)
{
    struct record *record = calloc(1, sizeof *record);
    if (record)
        record->errors.is_sparse = record->failed.is_sparse = true;
    return record;
}

void record_free(struct record *record)
{
    if (!record)
        return;
    counts_free(&record->answered);
    counts_free(&record->failed);
    counts_free(&record->lag);
    counts_free(&record->errors);
    free(record);
}

bool row_init(struct row *row, bool is_by_start)
{
    *row = (struct row){.is_by_start = is_by_start};
    return (row->running = record_new()) != NULL;
}

void row_free(struct row *row)
{
    record_free(row->running);
    record_free(row->scored);
}

struct engine_record *record_render(const struct record *record)
{
    struct engine_record *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    made->answered = counts_cells(&record->answered, &made->answered_len);
    made->failed = counts_cells(&record->failed, &made->failed_len);
    made->lag = counts_cells(&record->lag, &made->lag_len);
    made->errors = counts_cells(&record->errors, &made->errors_len);
    made->planned = record->planned;
    made->sent = record->sent;
    made->late = record->late;
    made->dropped = record->dropped;
    const bool has_lost = (made->answered_len && !made->answered) || (made->failed_len && !made->failed) ||
                          (made->lag_len && !made->lag) || (made->errors_len && !made->errors) ||
                          record->answered.has_lost || record->failed.has_lost || record->lag.has_lost ||
                          record->errors.has_lost;
    if (has_lost) { /* a record with holes is no record */
        engine_record_free(made);
        return NULL;
    }
    return made;
}

void engine_record_free(struct engine_record *record)
{
    if (!record)
        return;
    free(record->answered);
    free(record->failed);
    free(record->lag);
    free(record->errors);
    free(record);
}

/* The window's record if an exchange belongs to it. Arrivals are told by their planned time, as a hold is by its start. */
static struct record *scored(struct engine *e, struct row *row, uint64_t intended_ns, uint64_t done_ns, bool is_arrival)
{
    if (!row->scored)
        return NULL;
    if (row->is_by_start)
        return intended_ns >= e->window_start_ns ? row->scored : NULL;
    const uint64_t at_ns = is_arrival ? intended_ns : done_ns;
    return at_ns >= e->window_start_ns && at_ns < e->window_end_ns ? row->scored : NULL;
}

static uint64_t age_us(uint64_t from_ns, uint64_t to_ns) { return to_ns > from_ns ? (to_ns - from_ns) / 1000 : 0; }

void row_answered(struct engine *e, struct row *row, uint64_t intended_ns, uint64_t done_ns, bool is_arrival)
{
    const uint64_t us = age_us(intended_ns, done_ns);
    row->now.answered++;
    counts_add(&row->running->answered, us, 1);
    struct record *record = scored(e, row, intended_ns, done_ns, is_arrival);
    if (record)
        counts_add(&record->answered, us, 1);
}

void row_failed(struct engine *e, struct row *row, uint64_t intended_ns, uint64_t done_ns, bool is_arrival,
                enum engine_phase phase, int wrong)
{
    const uint64_t us = age_us(intended_ns, done_ns), kind = (uint64_t)phase << 16 | (uint64_t)wrong;
    row->now.failed++;
    counts_add(&row->running->failed, us, 1);
    counts_add(&row->running->errors, kind, 1);
    struct record *record = scored(e, row, intended_ns, done_ns, is_arrival);
    if (record) {
        counts_add(&record->failed, us, 1);
        counts_add(&record->errors, kind, 1);
    }
}

void row_broken(struct row *row, enum engine_phase phase, int wrong)
{
    counts_add(&row->running->errors, (uint64_t)phase << 16 | (uint64_t)wrong, 1);
}

void row_planned(struct engine *e, struct row *row, uint64_t planned_ns)
{
    row->now.planned++;
    row->running->planned++;
    struct record *record = scored(e, row, planned_ns, planned_ns, true);
    if (record)
        record->planned++;
}

void row_sent(struct engine *e, struct row *row, uint64_t planned_ns, uint64_t now_ns)
{
    const bool is_late = now_ns > planned_ns + LATE_NS;
    const uint64_t us = age_us(planned_ns, now_ns);
    row->now.late += is_late;
    struct record *records[] = {row->running, scored(e, row, planned_ns, now_ns, true)};
    for (size_t i = 0; i < 2 && records[i]; i++) {
        records[i]->sent++;
        records[i]->late += is_late;
        counts_add(&records[i]->lag, us, 1);
    }
}

void row_dropped(struct engine *e, struct row *row, uint64_t planned_ns)
{
    row->now.dropped++;
    row->running->dropped++;
    struct record *record = scored(e, row, planned_ns, planned_ns, true);
    if (record)
        record->dropped++;
}

/* Fuzzes the parser of answers: however the same bytes are cut, the same must come of them.
 *
 * Input: bytes as a server may send them, then the cuts (2 bytes each, little-endian, modulo the length + 1), then one
 * byte: how many cuts, modulo 8. They are fed in one piece, in the pieces between the cuts, and one by one, each piece
 * from memory of exactly its size, so that AddressSanitizer sees a read beyond it. What follows an answer that leaves the
 * connection open is fed to the next one, as the engine does it.
 *
 * `make fuzz` drives it with libFuzzer; replay.c drives it without.
 */
#include "../answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CUTS = 7, MOST_ANSWERS = 8, ONE_BY_ONE_BYTES = 4096 };
static const char EXPECTED[] = "Hello, world!";

struct outcome {
    int step; /* enum answer_step */
    int begun, whole_at_end, keeps_alive, status, differs;
    uint32_t body_len;
    size_t end; /* where in the bytes it ended */
};

struct reading {
    struct answer answer;
    struct outcome outcomes[MOST_ANSWERS];
    size_t n, place;
    bool is_over;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "answer_fuzz: broken: %s\n", what);
    abort();
}

static void begin(struct reading *r)
{
    memset(r, 0, sizeof *r);
    memset(&r->answer, 0xA5, sizeof r->answer);
    answer_begin(&r->answer);
    demand(!answer_begun(&r->answer) && !answer_keeps_alive(&r->answer), "a new answer is a blank one");
}

static void note(struct reading *r, enum answer_step step)
{
    struct outcome *o = &r->outcomes[r->n++];
    o->step = step;
    o->begun = answer_begun(&r->answer);
    o->whole_at_end = answer_end(&r->answer);
    o->status = r->answer.status;
    o->body_len = r->answer.body_len;
    o->differs = r->answer.body_differs;
    o->keeps_alive = answer_keeps_alive(&r->answer);
    o->end = r->place;
    if (step == ANSWER_MALFORMED) { /* how far it saw depends on the pieces */
        demand(!o->whole_at_end && !o->keeps_alive, "what is malformed never becomes whole");
        memset(o, 0, sizeof *o);
        o->step = step;
        return;
    }
    demand(o->body_len <= ANSWER_BODY_MAX, "the body is within its limit");
    demand(step != ANSWER_DONE || (o->whole_at_end && o->status >= 101 && o->status <= 999), "whole ones have a status");
    demand(!o->keeps_alive || step == ANSWER_DONE, "only whole ones keep the connection");
}

static void feed(struct reading *r, const uint8_t *bytes, size_t len)
{
    while (!r->is_over && len) {
        size_t used = (size_t)-1;
        char *piece = malloc(len);
        if (!piece)
            abort();
        memcpy(piece, bytes, len);
        enum answer_step step = answer_feed(&r->answer, piece, len, &used, EXPECTED, sizeof EXPECTED - 1);
        free(piece);
        demand(used <= len && (step != ANSWER_MORE || used == len), "used counts the bytes taken");
        demand(answer_begun(&r->answer), "an answer that was fed has begun");
        r->place += used;
        if (step == ANSWER_MORE)
            return;
        demand(used > 0 || step == ANSWER_MALFORMED, "an answer ends with a byte of its own");
        note(r, step);
        r->is_over = step == ANSWER_MALFORMED || !r->outcomes[r->n - 1].keeps_alive || r->n == MOST_ANSWERS;
        answer_begin(&r->answer);
        bytes += used;
        len -= used;
    }
}

static void end(struct reading *r)
{
    if (!r->is_over)
        note(r, ANSWER_MORE);
}

static void compare(const struct reading *a, const struct reading *b, const char *how)
{
    if (a->n == b->n && memcmp(a->outcomes, b->outcomes, sizeof a->outcomes) == 0)
        return;
    for (size_t i = 0; i < MOST_ANSWERS; i++) {
        const struct outcome *x = &a->outcomes[i], *y = &b->outcomes[i];
        fprintf(stderr, "answer %zu: whole %d %d %u bytes end %zu keeps %d; %s %d %d %u bytes end %zu keeps %d\n", i,
                x->step, x->status, x->body_len, x->end, x->keeps_alive, how, y->step, y->status, y->body_len, y->end,
                y->keeps_alive);
    }
    demand(false, how);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t n_cuts = data[size - 1] % (MOST_CUTS + 1u);
    if (size - 1 < 2 * n_cuts)
        n_cuts = 0;
    size_t len = size - 1 - 2 * n_cuts, cuts[MOST_CUTS + 1];
    for (size_t i = 0; i < n_cuts; i++) {
        size_t cut = (data[len + 2 * i] | (size_t)data[len + 2 * i + 1] << 8) % (len + 1), at = i;
        for (; at > 0 && cuts[at - 1] > cut; at--)
            cuts[at] = cuts[at - 1];
        cuts[at] = cut;
    }
    cuts[n_cuts] = len;

    struct reading whole, cut, single;
    begin(&whole);
    feed(&whole, data, len);
    end(&whole);
    begin(&cut);
    for (size_t i = 0, from = 0; i <= n_cuts; from = cuts[i++])
        feed(&cut, data + from, cuts[i] - from);
    end(&cut);
    compare(&whole, &cut, "in pieces");
    if (len > ONE_BY_ONE_BYTES)
        return 0;
    begin(&single);
    for (size_t i = 0; i < len; i++)
        feed(&single, data + i, 1);
    end(&single);
    compare(&whole, &single, "byte by byte");
    return 0;
}

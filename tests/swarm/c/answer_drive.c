/* Feeds an answer to the engine's parser in pieces, for test_answer.py.
 *
 * Every piece is copied to memory of exactly its size first, so that a sanitizer sees a read beyond it.
 */
#include "../../../swarm/engine/answer.h"

#include <stdlib.h>
#include <string.h>

enum verdict { WHOLE = 0, MALFORMED = 1, CLOSED_EARLY = 2, CONFUSED = 3 };

struct outcome {
    int verdict, status, keeps_alive, differs, needed_close;
    unsigned body_len;
    size_t used;
};

size_t size_of_answer(void);
void drive(const char *wire, size_t len, const size_t *cuts, size_t n_cuts, const char *expected, size_t expected_len,
           struct outcome *out);

size_t size_of_answer(void)
{
    return sizeof(struct answer);
}

/* cuts: ascending places inside of the wire. The peer closes after the last piece. */
void drive(const char *wire, size_t len, const size_t *cuts, size_t n_cuts, const char *expected, size_t expected_len,
           struct outcome *out)
{
    struct answer a;
    enum answer_step step = ANSWER_MORE;
    memset(out, 0, sizeof *out);
    memset(&a, 0xA5, sizeof a); /* as memory comes; answer_begin has to do it all */
    answer_begin(&a);
    bool confused = answer_begun(&a);
    for (size_t i = 0, from = 0; i <= n_cuts && step == ANSWER_MORE; i++) {
        size_t to = i < n_cuts ? cuts[i] : len, used = (size_t)-1;
        char *piece = malloc(to - from ? to - from : 1);
        if (!piece)
            abort();
        memcpy(piece, wire + from, to - from);
        step = answer_feed(&a, piece, to - from, &used, expected, expected_len);
        free(piece);
        confused |= used > to - from || (step == ANSWER_MORE && used != to - from) || answer_begun(&a) != (to > 0);
        out->used += used;
        from = to;
    }
    if (step == ANSWER_MORE && answer_end(&a)) {
        step = ANSWER_DONE;
        out->needed_close = 1;
    }
    out->verdict = confused ? CONFUSED : step == ANSWER_DONE ? WHOLE : step == ANSWER_MALFORMED ? MALFORMED : CLOSED_EARLY;
    out->status = a.status;
    out->body_len = a.body_len;
    out->differs = a.body_differs;
    out->keeps_alive = answer_keeps_alive(&a);
}

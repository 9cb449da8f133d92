#include "talk.h"

#include "processes.h"
#include "reply.h"
#include "stats.h"

struct talks talks = {.open = {.prev = &talks.open, .next = &talks.open}};

static void set_limit(struct talk *t, enum limit limit)
{
    static const int limit_ms[] = {
        [LIMIT_HEAD] = HTTP_HEAD_TIMEOUT_MS, [LIMIT_BODY] = HTTP_BODY_TIMEOUT_MS, [LIMIT_SEND] = HTTP_SEND_TIMEOUT_MS};
    t->limit = limit;
    if (limit == LIMIT_NOTHING)
        timers_cancel(&t->timer);
    else
        timers_set(&t->timer, talks.now_ms + (uint64_t)limit_ms[limit]);
}

void talk_begin(struct talk *t)
{
    t->prev = talks.open.prev;
    t->next = &talks.open;
    talks.open.prev->next = t;
    talks.open.prev = t;
    talks.count++;
    atomic_fetch_add(&stats->accepted, 1);
    atomic_fetch_add(&stats->active, 1);
    set_limit(t, LIMIT_HEAD);
}

void talk_end(struct talk *t)
{
    if (t->state == HOLDING)
        stats_unhold(t->hold);
    timers_cancel(&t->timer);
    t->prev->next = t->next;
    t->next->prev = t->prev;
    talks.count--;
    atomic_fetch_sub(&stats->active, 1);
}

/* Only their timers are set: answering them here could recurse into another /release. */
void talk_release_all(void)
{
    for (struct talk *t = talks.open.next; t != &talks.open; t = t->next) {
        if (t->state != HOLDING || !stats_is_released(t->hold))
            continue;
        t->state = WAITING;
        timers_set(&t->timer, talks.now_ms);
    }
}

static void wait_for_answer(struct talk *t, const struct request *r)
{
    t->request = *r;
    t->limit = LIMIT_NOTHING;
    if (r->route == ROUTE_DELAY) {
        t->state = WAITING;
        timers_set(&t->timer, talks.now_ms + (uint64_t)r->delay_ms);
    } else {
        t->state = HOLDING;
        t->hold = stats_hold();
        timers_cancel(&t->timer);
    }
}

/* A reply, unless the request has to wait. */
static bool answer(struct talk *t, struct request *r, struct buffer *out)
{
    if (!r->is_broken)
        atomic_fetch_add_explicit(&stats->requests, 1, memory_order_relaxed);
    if (r->route == ROUTE_DELAY || r->route == ROUTE_HOLD)
        return wait_for_answer(t, r), true;
    r->keep_alive = r->keep_alive && !talks.is_draining;
    t->is_closing = !r->keep_alive;
    t->is_broken = r->is_broken;
    if (r->route != ROUTE_RELEASE)
        return reply(out, r);

    long released = stats_release();
    processes_wake_others();
    talk_release_all();
    return reply_released(out, r, released);
}

bool talk_answer(struct talk *t, struct buffer *in, struct buffer *out, bool may_ask)
{
    struct request r;
    enum parsed parsed;
    while (may_ask && t->state == READING && !t->is_closing && (parsed = http_parse(&t->parser, in, &r)) != PARSED_NOTHING) {
        if (parsed == PARSED_REQUEST && t->limit != LIMIT_NOTHING)
            set_limit(t, LIMIT_NOTHING); /* the next request gets limits of its own */
        if (!(parsed == PARSED_REQUEST ? answer(t, &r, out) : reply_continue(out)))
            return false;
    }
    t->is_broken = t->is_broken || (t->is_closing && in->start < in->len); /* it asked on after "Connection: close" */
    if (t->is_closing)
        in->start = in->len;
    if (in != &t->in)
        return in->start == in->len || buffer_append(&t->in, in->data + in->start, in->len - in->start);
    buffer_compact(in);
    return true;
}

void talk_limit(struct talk *t, bool is_stalled)
{
    enum limit limit = LIMIT_NOTHING;
    if (is_stalled)
        limit = LIMIT_SEND;
    else if (http_in_body(&t->parser))
        limit = LIMIT_BODY;
    else if (t->in.len > 0)
        limit = LIMIT_HEAD;
    if (limit != t->limit) /* a limit is not moved by each byte: who sends slowly gains nothing */
        set_limit(t, limit);
}

bool talk_due(struct talk *t, struct buffer *out)
{
    t->state = READING;
    t->request.keep_alive = t->request.keep_alive && !talks.is_draining;
    t->is_closing = !t->request.keep_alive;
    return reply(out, &t->request);
}

void talk_linger(struct talk *t)
{
    t->state = LINGERING;
    timers_set(&t->timer, talks.now_ms + HTTP_LINGER_MS);
}

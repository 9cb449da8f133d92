/* The turns of one connection: data come in, every complete request is answered, one send is queued.
 *
 * Beside an epoll server the questions are the other way round. There the kernel says "you may read"; here it says "this
 * was read", so whatever a request uses, its buffers and the connection itself, stays until its completion has come.
 */
#define _GNU_SOURCE /* POLLRDHUP */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "shared/reply.h"
#include "shared/stats.h"

static void free_when_done(struct client *c)
{
    if (c->is_receiving || c->is_sending || c->is_watched || c->shutdowns > 0)
        return;
    buffer_free(&c->in);
    buffer_free(&c->sending);
    buffer_free(&c->out);
    free(c);
    loop.client_count--;
}

static void close_file(struct client *c)
{
    ring_close(c->ring, c->file, c->is_receiving || c->is_sending || c->is_watched);
    c->ring->files_open--;
    atomic_fetch_sub(&stats->direct_fds, 1);
    free_when_done(c);
}

static void shut(struct client *c, int how)
{
    c->shutdowns++;
    ring_shutdown(c->ring, c->file, how, c);
}

void client_on_shut(struct client *c)
{
    if (--c->shutdowns == 0 && c->is_closed)
        close_file(c);
}

static void close_client(struct client *c)
{
    if (c->state == HOLDING)
        stats_unhold(c->hold);
    timers_cancel(&c->timer);
    c->prev->next = c->next;
    c->next->prev = c->prev;
    atomic_fetch_sub(&stats->active, 1);
    c->is_closed = true;
    if (c->shutdowns == 0)
        close_file(c);
}

static void close_after(struct client *c, int error)
{
    stats_count_error(error);
    close_client(c);
}

static void set_limit(struct client *c, enum limit limit)
{
    static const int limit_ms[] = {
        [LIMIT_HEAD] = HTTP_HEAD_TIMEOUT_MS, [LIMIT_BODY] = HTTP_BODY_TIMEOUT_MS, [LIMIT_SEND] = HTTP_SEND_TIMEOUT_MS};
    c->limit = limit;
    if (limit == LIMIT_NOTHING)
        timers_cancel(&c->timer);
    else
        timers_set(&c->timer, loop.now_ms + (uint64_t)limit_ms[limit]);
}

/* A reply, unless the request has to wait. */
static bool answer(struct client *c, struct request *r)
{
    if (!r->is_broken)
        atomic_fetch_add_explicit(&stats->requests, 1, memory_order_relaxed);
    if (r->route == ROUTE_DELAY || r->route == ROUTE_HOLD) {
        c->request = *r;
        c->limit = LIMIT_NOTHING;
        if (r->route == ROUTE_DELAY) {
            c->state = WAITING;
            timers_set(&c->timer, loop.now_ms + (uint64_t)r->delay_ms);
        } else {
            c->state = HOLDING;
            c->hold = stats_hold();
            timers_cancel(&c->timer);
        }
        return true;
    }
    r->keep_alive = r->keep_alive && !loop.is_draining;
    c->is_closing = !r->keep_alive;
    c->is_broken = r->is_broken;
    if (r->route != ROUTE_RELEASE)
        return reply(&c->out, r);

    long released = stats_release(); /* only their timers are set: answering them here could recurse into another /release */
    for (struct client *other = loop.clients.next; other != &loop.clients; other = other->next) {
        if (other->state != HOLDING || !stats_is_released(other->hold))
            continue;
        other->state = WAITING;
        timers_set(&other->timer, loop.now_ms);
    }
    return reply_released(&c->out, r, released);
}

/* Queues what this turn has produced, unless an earlier send is still under way: two at once could change places. */
static void flush(struct client *c)
{
    if (c->is_sending || c->out.len == 0)
        return;
    c->sending = c->out;
    c->out = (struct buffer){0};
    c->is_sending = true;
    /* Without waiting: a client that reads in time costs neither a poll in the kernel nor a timer here. */
    ring_send(c->ring, c->file, c->sending.data, c->sending.len, MSG_DONTWAIT, c);
}

/* Asks the kernel for what this connection waits for now, and sets its timer. */
static void settle(struct client *c)
{
    bool is_full = c->in.len >= HTTP_INPUT_MAX; /* asks on and on while waiting: only hear it leave */
    if (c->has_left && (c->state != READING || !c->is_sending)) /* nobody is there to answer, or all is answered */
        return close_client(c);
    if (!is_full && !c->is_receiving && !c->has_left) {
        c->is_receiving = true;
        ring_receive(c->ring, c->file, c);
    } else if (is_full && c->is_receiving && !c->is_pausing) {
        c->is_pausing = true;
        ring_cancel(c->ring, c, TAG_RECEIVE);
    } else if (is_full && !c->is_receiving && !c->is_watched) {
        c->is_watched = true;
        ring_watch_file(c->ring, c->file, POLLRDHUP, c);
    }
    if (c->state != READING)
        return; /* the timer is already set or not wanted */
    bool is_idle = c->in.len == 0 && !http_in_body(&c->parser) && !c->is_sending;
    if (loop.is_draining && is_idle && !c->is_shut) { /* what has come is still received, and behind it the end */
        c->is_shut = true;
        shut(c, SHUT_RD);
    }
    enum limit limit = LIMIT_NOTHING;
    if (c->is_stalled)
        limit = LIMIT_SEND;
    else if (http_in_body(&c->parser))
        limit = LIMIT_BODY;
    else if (c->in.len > 0)
        limit = LIMIT_HEAD;
    if (limit != c->limit) /* a limit is not moved by each byte: who sends slowly gains nothing */
        set_limit(c, limit);
}

/* Answers every complete request in `in`, in order, with one send; stops at one that has to wait, and while replies pile
 * up: who does not read gets no further turn to ask. */
static void serve(struct client *c, struct buffer *in)
{
    struct request r;
    enum parsed parsed;
    bool has_room = c->out.len == 0 && !c->is_stalled;
    while (has_room && c->state == READING && !c->is_closing &&
           (parsed = http_parse(&c->parser, in, &r)) != PARSED_NOTHING) {
        if (parsed == PARSED_REQUEST && c->limit != LIMIT_NOTHING)
            set_limit(c, LIMIT_NOTHING); /* the next request gets limits of its own */
        if (!(parsed == PARSED_REQUEST ? answer(c, &r) : reply_continue(&c->out)))
            return close_after(c, ENOMEM);
    }
    c->is_broken = c->is_broken || (c->is_closing && in->start < in->len); /* it asked on after "Connection: close" */
    if (c->is_closing)
        in->start = in->len;
    if (in == &c->in)
        buffer_compact(in);
    else if (in->start < in->len && !buffer_append(&c->in, in->data + in->start, in->len - in->start))
        return close_after(c, ENOMEM);
    flush(c);
    if (c->is_closing && !c->is_sending && c->state == READING) {
        if (!c->is_broken || c->has_left)
            return close_client(c);
        c->state = LINGERING; /* closing with unread input would make the kernel send a reset that can overtake the reply */
        shut(c, SHUT_WR);
        timers_set(&c->timer, loop.now_ms + HTTP_LINGER_MS);
    }
    settle(c);
}

/* A piece of input, or the end of the multishot receive, or both. */
void client_on_receive(struct client *c, int result, char *data, bool is_last)
{
    if (is_last)
        c->is_receiving = c->is_pausing = false;
    if (c->is_closed)
        return free_when_done(c);
    if (result < 0 && result != -ENOBUFS && result != -ECANCELED && result != -EINTR)
        return close_after(c, -result);
    /* -ENOBUFS: more came at once than there are buffers. They are back before it is asked for again, in settle(). */
    if (result <= 0 || c->is_closing) {
        c->has_left = c->has_left || result == 0; /* whatever it waited for is cancelled */
        c->is_broken = c->is_broken || result > 0; /* it asks on after the last reply: discarded, but see serve() */
        return settle(c);
    }
    if (c->in.len > 0)
        return buffer_append(&c->in, data, (size_t)result) ? serve(c, &c->in) : close_after(c, ENOMEM);
    serve(c, &(struct buffer){.data = data, .len = (size_t)result, .cap = (size_t)result}); /* parsed where it lies */
}

/* The kernel is done with `sending`: all of it is sent, a part, or nothing. */
void client_on_send(struct client *c, int result)
{
    c->is_sending = c->is_stalled = false;
    if (c->is_closed)
        return free_when_done(c);
    if (result < 0 && result != -EAGAIN && result != -EINTR)
        return close_after(c, -result);
    if (result > 0)
        c->sending.start += (size_t)result;
    size_t left = c->sending.len - c->sending.start;
    if (left > 0) { /* the client is slow: now the kernel shall wait for it, and so does a timer */
        c->is_sending = c->is_stalled = true;
        ring_send(c->ring, c->file, c->sending.data + c->sending.start, left, MSG_WAITALL, c);
        return settle(c);
    }
    buffer_free(&c->sending); /* an idle connection costs no buffer */
    serve(c, &c->in);         /* what it asked meanwhile, or its close */
}

/* The poll of a connection that is not received from has ended: it has left, or broke. */
void client_on_leave(struct client *c)
{
    c->is_watched = false;
    if (c->is_closed)
        free_when_done(c);
    else if (!c->is_receiving)
        close_client(c); /* else it is received from again, and that will tell */
}

void client_on_timer(struct client *c)
{
    timers_cancel(&c->timer);
    if (c->state != WAITING) /* too slow to ask, to read or to leave */
        return close_client(c);
    c->state = READING;
    c->request.keep_alive = c->request.keep_alive && !loop.is_draining;
    c->is_closing = !c->request.keep_alive;
    if (!reply(&c->out, &c->request))
        return close_after(c, ENOMEM);
    serve(c, &c->in); /* and whatever it asked meanwhile */
}

void client_on_drain(struct client *c) { settle(c); }

void client_open(struct ring *ring, int file)
{
    ring->files_open++;
    struct client *c = calloc(1, sizeof *c);
    if (!c || !timers_reserve(loop.client_count + 1)) {
        stats_count_error(ENOMEM);
        free(c);
        ring_close(ring, file, false);
        ring->files_open--;
        return;
    }
    *c = (struct client){.ring = ring, .file = file, .prev = loop.clients.prev, .next = &loop.clients};
    loop.clients.prev->next = c;
    loop.clients.prev = c;
    loop.client_count++;
    atomic_fetch_add(&stats->accepted, 1);
    atomic_fetch_add(&stats->active, 1);
    atomic_fetch_add(&stats->direct_fds, 1);
    c->is_receiving = true;
    ring_receive(ring, file, c);
    set_limit(c, LIMIT_HEAD);
}

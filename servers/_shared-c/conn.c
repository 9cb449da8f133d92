/* The turns of one connection: read once, answer every complete request, send once. */
#define _GNU_SOURCE /* POLLRDHUP */
#include "conn.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "processes.h"
#include "reply.h"
#include "stats.h"

static struct buffer scratch_in, scratch_out; /* shared by all turns: an idle connection holds no buffer */
static struct conn ring = {.prev = &ring, .next = &ring}; /* all that are open; this one is only the knot */
static size_t count;

static void conn_close(struct conn *c)
{
    if (c->state == HOLDING)
        stats_unhold(c->hold);
    timers_cancel(&c->timer);
    c->prev->next = c->next;
    c->next->prev = c->prev;
    ev.readiness->remove(&c->watch);
    close(c->watch.fd); /* best effort */
    buffer_free(&c->in);
    buffer_free(&c->out);
    free(c);
    count--;
    atomic_fetch_sub(&stats->active, 1);
}

static void close_after(struct conn *c, int error)
{
    stats_count_error(error);
    conn_close(c);
}

/* Only their timers are set: answering them here could recurse into another /release. */
void conn_release_all(void)
{
    for (struct conn *c = ring.next; c != &ring; c = c->next) {
        if (c->state != HOLDING || !stats_is_released(c->hold))
            continue;
        c->state = WAITING;
        timers_set(&c->timer, ev.now_ms);
    }
}

/* A reply, unless the request has to wait. */
static bool answer(struct conn *c, struct request *r)
{
    if (!r->is_broken)
        atomic_fetch_add_explicit(&stats->requests, 1, memory_order_relaxed);
    if (r->route == ROUTE_DELAY || r->route == ROUTE_HOLD) {
        c->request = *r;
        c->limit = LIMIT_NOTHING;
        if (r->route == ROUTE_DELAY) {
            c->state = WAITING;
            timers_set(&c->timer, ev.now_ms + (uint64_t)r->delay_ms);
        } else {
            c->state = HOLDING;
            c->hold = stats_hold();
            timers_cancel(&c->timer);
        }
        return true;
    }
    r->keep_alive = r->keep_alive && !ev.is_draining;
    c->is_closing = !r->keep_alive;
    c->is_broken = r->is_broken;
    if (r->route != ROUTE_RELEASE)
        return reply(&scratch_out, r);

    long released = stats_release();
    processes_wake_others();
    conn_release_all();
    return reply_released(&scratch_out, r, released);
}

/* Sends what this turn has produced; keeps what the client does not take. False when the connection is lost. */
static bool flush(struct conn *c)
{
    if (c->out.len > 0) { /* earlier output goes first */
        if (!buffer_append(&c->out, scratch_out.data, scratch_out.len))
            return errno = ENOMEM, false;
        scratch_out.len = 0;
    }
    struct buffer *out = c->out.len > 0 ? &c->out : &scratch_out;
    if (out->len == out->start)
        return true;
    ssize_t sent = send(c->watch.fd, out->data + out->start, out->len - out->start, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return false;
    if (sent > 0)
        out->start += (size_t)sent;
    if (out == &c->out)
        buffer_compact(out);
    else if (out->start < out->len && !buffer_append(&c->out, out->data + out->start, out->len - out->start))
        return errno = ENOMEM, false;
    scratch_out.start = scratch_out.len = 0;
    return true;
}

static void set_limit(struct conn *c, enum limit limit)
{
    static const int limit_ms[] = {
        [LIMIT_HEAD] = HTTP_HEAD_TIMEOUT_MS, [LIMIT_BODY] = HTTP_BODY_TIMEOUT_MS, [LIMIT_SEND] = HTTP_SEND_TIMEOUT_MS};
    c->limit = limit;
    if (limit == LIMIT_NOTHING)
        timers_cancel(&c->timer);
    else
        timers_set(&c->timer, ev.now_ms + (uint64_t)limit_ms[limit]);
}

/* Tells the loop and the timer what this connection waits for now. No system call unless that changed. */
static void settle(struct conn *c)
{
    uint32_t interest = POLLIN;
    if (c->out.len > 0 && (c->state == READING || c->state == LINGERING))
        interest = POLLOUT; /* who does not read gets no further turn to ask */
    else if (c->out.len > 0)
        interest = POLLIN | POLLOUT;
    if (c->in.len >= HTTP_INPUT_MAX) /* asks on and on while waiting: only hear it leave */
        interest = (interest & ~(uint32_t)POLLIN) | POLLRDHUP;
    if (interest != c->watch.interest) {
        c->watch.interest = interest;
        ev.readiness->change(&c->watch);
    }

    if (c->state != READING)
        return; /* the timer is already set or not wanted */
    enum limit limit = LIMIT_NOTHING;
    if (c->out.len > 0)
        limit = LIMIT_SEND;
    else if (http_in_body(&c->parser))
        limit = LIMIT_BODY;
    else if (c->in.len > 0)
        limit = LIMIT_HEAD;
    if (limit != c->limit) /* a limit is not moved by each byte: who sends slowly gains nothing */
        set_limit(c, limit);
}

/* Answers every complete request in `in`, in order, with one send; stops at one that has to wait. */
static void serve(struct conn *c, struct buffer *in)
{
    struct request r;
    enum parsed parsed;
    while (c->state == READING && !c->is_closing && (parsed = http_parse(&c->parser, in, &r)) != PARSED_NOTHING) {
        if (parsed == PARSED_REQUEST && c->limit != LIMIT_NOTHING)
            set_limit(c, LIMIT_NOTHING); /* the next request gets limits of its own */
        if (!(parsed == PARSED_REQUEST ? answer(c, &r) : reply_continue(&scratch_out))) {
            scratch_out.len = 0;
            return close_after(c, ENOMEM);
        }
    }
    c->is_broken = c->is_broken || (c->is_closing && in->start < in->len); /* it asked on after "Connection: close" */
    if (c->is_closing)
        in->start = in->len;
    if (in == &c->in)
        buffer_compact(in);
    else if (in->start < in->len && !buffer_append(&c->in, in->data + in->start, in->len - in->start))
        return close_after(c, ENOMEM);
    if (!flush(c)) {
        scratch_out.start = scratch_out.len = 0;
        return close_after(c, errno);
    }
    if (c->is_closing && c->out.len == 0) {
        if (!c->is_broken || shutdown(c->watch.fd, SHUT_WR) < 0)
            return conn_close(c);
        c->state = LINGERING; /* closing with unread input would make the kernel send a reset that can overtake the reply */
        timers_set(&c->timer, ev.now_ms + HTTP_LINGER_MS);
    }
    settle(c);
}

static void read_from(struct conn *c)
{
    struct buffer *in = c->in.len > 0 ? &c->in : &scratch_in;
    scratch_in.start = scratch_in.len = 0;
    if (!buffer_reserve(in, in == &c->in ? 16 * 1024 : HTTP_INPUT_MAX))
        return close_after(c, ENOMEM);
    size_t room = in->cap - in->len;
    ssize_t got = recv(c->watch.fd, in->data + in->len, room, 0);
    c->watch.read = got == (ssize_t)room ? EV_READ_FULL : got > 0 ? EV_READ_SHORT : EV_READ_DRAINED;
    if (got < 0 && errno == EINTR)
        c->watch.read = EV_READ_FULL;
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
        if (ev.is_draining && c->state == READING && c->in.len == 0 && c->out.len == 0 && !http_in_body(&c->parser))
            conn_close(c); /* idle */
        return;
    }
    if (got < 0)
        return close_after(c, errno);
    if (got == 0) /* it left: whatever it waited for is cancelled */
        return conn_close(c);
    if (c->state == LINGERING)
        return;
    in->len += (size_t)got;
    serve(c, in);
}

void conn_on_timer(struct timer *timer)
{
    struct conn *c = (struct conn *)((char *)timer - offsetof(struct conn, timer));
    timers_cancel(timer);
    if (c->state != WAITING) /* too slow to ask, to read or to leave */
        return conn_close(c);
    c->state = READING;
    c->request.keep_alive = c->request.keep_alive && !ev.is_draining;
    c->is_closing = !c->request.keep_alive;
    if (!reply(&scratch_out, &c->request))
        return close_after(c, ENOMEM);
    serve(c, &c->in); /* and whatever it asked meanwhile */
}

static void on_ready(struct ev_watch *watch, uint32_t events)
{
    struct conn *c = (struct conn *)watch;
    if (events & POLLOUT)
        serve(c, &c->in); /* room again: send, then go on with what it asked meanwhile */
    else if (events & (POLLIN | POLLERR | POLLHUP))
        read_from(c); /* an error is what recv() then reports */
    else
        conn_close(c); /* POLLRDHUP */
}

void conn_open(int fd)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c || !timers_reserve(count + 1)) {
        stats_count_error(ENOMEM);
        free(c);
        close(fd); /* best effort */
        return;
    }
    *c = (struct conn){.watch = {.fd = fd, .interest = POLLIN, .on_ready = on_ready}};
    if (!ev.readiness->add(&c->watch)) {
        stats_count_error(errno);
        char unread[4096];
        recv(fd, unread, sizeof unread, 0); /* so that close() does not reset it; best effort, like the close */
        close(fd);
        free(c);
        return;
    }
    c->prev = ring.prev;
    c->next = &ring;
    ring.prev->next = c;
    ring.prev = c;
    count++;
    atomic_fetch_add(&stats->accepted, 1);
    atomic_fetch_add(&stats->active, 1);
    set_limit(c, LIMIT_HEAD);
}

bool conn_any_open(void) { return count > 0; }

void conn_drain_all(void)
{
    for (struct conn *c = ring.next, *next; c != &ring; c = next) {
        next = c->next;
        if (c->state == READING && c->out.len == 0)
            read_from(c); /* serves a request that has just come, or closes */
    }
}

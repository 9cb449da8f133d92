/* The turns of one connection: read once, answer every complete request (talk.c), send once. */
#define _GNU_SOURCE /* POLLRDHUP */
#include "conn.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stats.h"

static struct buffer scratch_in, scratch_out; /* shared by all turns: an idle connection holds no buffer */

static struct conn *conn_of(struct talk *t) { return (struct conn *)((char *)t - offsetof(struct conn, talk)); }

static void conn_close(struct conn *c)
{
    talk_end(&c->talk);
    ev.readiness->remove(&c->watch);
    close(c->watch.fd); /* best effort */
    buffer_free(&c->talk.in);
    buffer_free(&c->out);
    free(c);
}

static void close_after(struct conn *c, int error)
{
    stats_count_error(error);
    conn_close(c);
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

/* Tells the loop and the timer what this connection waits for now. No system call unless that changed. */
static void settle(struct conn *c)
{
    const enum state state = c->talk.state;
    uint32_t interest = POLLIN;
    if (c->out.len > 0 && (state == READING || state == LINGERING))
        interest = POLLOUT; /* who does not read gets no further turn to ask */
    else if (c->out.len > 0)
        interest = POLLIN | POLLOUT;
    if (c->talk.in.len >= HTTP_INPUT_MAX) /* asks on and on while waiting: only hear it leave */
        interest = (interest & ~(uint32_t)POLLIN) | POLLRDHUP;
    if (interest != c->watch.interest) {
        c->watch.interest = interest;
        ev.readiness->change(&c->watch);
    }
    if (state == READING) /* otherwise the timer is already set or not wanted */
        talk_limit(&c->talk, c->out.len > 0);
}

/* Answers what is complete in `in`, with one send. */
static void serve(struct conn *c, struct buffer *in)
{
    struct talk *t = &c->talk;
    if (!talk_answer(t, in, &scratch_out, true)) {
        scratch_out.len = 0;
        return close_after(c, ENOMEM);
    }
    if (!flush(c)) {
        scratch_out.start = scratch_out.len = 0;
        return close_after(c, errno);
    }
    if (t->is_closing && c->out.len == 0) {
        if (!t->is_broken || shutdown(c->watch.fd, SHUT_WR) < 0)
            return conn_close(c);
        talk_linger(t); /* closing with unread input would make the kernel send a reset that can overtake the reply */
    }
    settle(c);
}

static void read_from(struct conn *c)
{
    struct talk *t = &c->talk;
    struct buffer *in = t->in.len > 0 ? &t->in : &scratch_in;
    scratch_in.start = scratch_in.len = 0;
    if (!buffer_reserve(in, in == &t->in ? 16 * 1024 : HTTP_INPUT_MAX))
        return close_after(c, ENOMEM);
    size_t room = in->cap - in->len;
    ssize_t got = recv(c->watch.fd, in->data + in->len, room, 0);
    c->watch.read = got == (ssize_t)room ? EV_READ_FULL : got > 0 ? EV_READ_SHORT : EV_READ_DRAINED;
    if (got < 0 && errno == EINTR)
        c->watch.read = EV_READ_FULL;
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
        if (talks.is_draining && t->state == READING && t->in.len == 0 && c->out.len == 0 && !http_in_body(&t->parser))
            conn_close(c); /* idle */
        return;
    }
    if (got < 0)
        return close_after(c, errno);
    if (got == 0) /* it left: whatever it waited for is cancelled */
        return conn_close(c);
    if (t->state == LINGERING)
        return;
    in->len += (size_t)got;
    serve(c, in);
}

void conn_on_timer(struct timer *timer)
{
    struct talk *t = (struct talk *)timer;
    struct conn *c = conn_of(t);
    timers_cancel(timer);
    if (t->state != WAITING) /* too slow to ask, to read or to leave */
        return conn_close(c);
    if (!talk_due(t, &scratch_out))
        return close_after(c, ENOMEM);
    serve(c, &t->in); /* and whatever it asked meanwhile */
}

static void on_ready(struct ev_watch *watch, uint32_t events)
{
    struct conn *c = (struct conn *)watch;
    if (events & POLLOUT)
        serve(c, &c->talk.in); /* room again: send, then go on with what it asked meanwhile */
    else if (events & (POLLIN | POLLERR | POLLHUP))
        read_from(c); /* an error is what recv() then reports */
    else
        conn_close(c); /* POLLRDHUP */
}

void conn_open(int fd)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c || !timers_reserve(talks.count + 1)) {
        stats_count_error(ENOMEM);
        free(c);
        close(fd); /* best effort */
        return;
    }
    c->watch = (struct ev_watch){.fd = fd, .interest = POLLIN, .on_ready = on_ready};
    if (!ev.readiness->add(&c->watch)) {
        stats_count_error(errno);
        char unread[4096];
        recv(fd, unread, sizeof unread, 0); /* so that close() does not reset it; best effort, like the close */
        close(fd);
        free(c);
        return;
    }
    talk_begin(&c->talk);
}

void conn_drain_all(void)
{
    for (struct talk *t = talks.open.next, *next; t != &talks.open; t = next) {
        next = t->next;
        if (t->state == READING && conn_of(t)->out.len == 0)
            read_from(conn_of(t)); /* serves a request that has just come, or closes */
    }
}

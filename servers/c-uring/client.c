/* The turns of one connection: data come in, every complete request is answered (shared/talk.c), one send is queued.
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

#include "shared/stats.h"

size_t client_count;

static void free_when_done(struct client *c)
{
    if (c->is_receiving || c->is_sending || c->is_watched || c->shutdowns > 0)
        return;
    buffer_free(&c->talk.in);
    buffer_free(&c->sending);
    buffer_free(&c->out);
    free(c);
    client_count--;
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
    talk_end(&c->talk);
    c->is_closed = true;
    if (c->shutdowns == 0)
        close_file(c);
}

static void close_after(struct client *c, int error)
{
    stats_count_error(error);
    close_client(c);
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
    const struct talk *t = &c->talk;
    bool is_full = t->in.len >= HTTP_INPUT_MAX; /* asks on and on while waiting: only hear it leave */
    if (c->has_left && (t->state != READING || !c->is_sending)) /* nobody is there to answer, or all is answered */
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
    if (t->state != READING)
        return; /* the timer is already set or not wanted */
    bool is_idle = t->in.len == 0 && !http_in_body(&t->parser) && !c->is_sending;
    if (talks.is_draining && is_idle && !c->is_shut) { /* what has come is still received, and behind it the end */
        c->is_shut = true;
        shut(c, SHUT_RD);
    }
    talk_limit(&c->talk, c->is_stalled);
}

/* Answers what is complete in `in`, with one send, unless replies pile up: who does not read gets no further turn to ask. */
static void serve(struct client *c, struct buffer *in)
{
    struct talk *t = &c->talk;
    if (!talk_answer(t, in, &c->out, c->out.len == 0 && !c->is_stalled))
        return close_after(c, ENOMEM);
    flush(c);
    if (t->is_closing && !c->is_sending && t->state == READING) {
        if (!t->is_broken || c->has_left)
            return close_client(c);
        talk_linger(t); /* closing with unread input would make the kernel send a reset that can overtake the reply */
        shut(c, SHUT_WR);
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
    struct talk *t = &c->talk;
    if (result <= 0 || t->is_closing) {
        c->has_left = c->has_left || result == 0; /* whatever it waited for is cancelled */
        t->is_broken = t->is_broken || result > 0; /* it asks on after the last reply: discarded, but see serve() */
        return settle(c);
    }
    if (t->in.len > 0)
        return buffer_append(&t->in, data, (size_t)result) ? serve(c, &t->in) : close_after(c, ENOMEM);
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
    serve(c, &c->talk.in);    /* what it asked meanwhile, or its close */
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
    timers_cancel(&c->talk.timer);
    if (c->talk.state != WAITING) /* too slow to ask, to read or to leave */
        return close_client(c);
    if (!talk_due(&c->talk, &c->out))
        return close_after(c, ENOMEM);
    serve(c, &c->talk.in); /* and whatever it asked meanwhile */
}

void client_on_drain(struct client *c) { settle(c); }

void client_open(struct ring *ring, int file)
{
    ring->files_open++;
    struct client *c = calloc(1, sizeof *c);
    if (!c || !timers_reserve(talks.count + 1)) {
        stats_count_error(ENOMEM);
        free(c);
        ring_close(ring, file, false);
        ring->files_open--;
        return;
    }
    c->ring = ring;
    c->file = file;
    client_count++;
    talk_begin(&c->talk);
    atomic_fetch_add(&stats->direct_fds, 1);
    c->is_receiving = true;
    ring_receive(ring, file, c);
}

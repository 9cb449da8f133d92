#define _GNU_SOURCE
#include "blocking.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blocking_ring.h"
#include "blocking_wait.h"
#include "reply.h"
#include "stats.h"

static bool (*others_wait)(void);
static int holds_most = INT_MAX;

/* ---- receiving, sending, waiting ---------------------------------------------------------------------------------- */

/* Takes in what the client sends. False: it left, or errno was counted. */
static bool receive(struct blocking_seat *s, int flags)
{
    if (!buffer_reserve(&s->in, 4096)) {
        stats_count_error(ENOMEM);
        return false;
    }
    ssize_t got = recv(s->fd, s->in.data + s->in.len, s->in.cap - s->in.len, flags);
    if (got > 0)
        s->in.len += (size_t)got;
    else if (got < 0 && errno == EINTR)
        return true;
    else if (got < 0 && errno != EAGAIN)
        stats_count_error(errno);
    return got > 0;
}

static bool flush(struct blocking_seat *s)
{
    while (s->out.start < s->out.len) {
        size_t len = s->out.len - s->out.start;
        ssize_t sent = send(s->fd, s->out.data + s->out.start, len, MSG_NOSIGNAL);
        if (sent == (ssize_t)len)
            break;
        if (sent < 0 && errno == EINTR)
            continue;
        stats_count_error(sent < 0 ? errno : EAGAIN); /* EAGAIN, or a part only: SO_SNDTIMEO has passed */
        return false;
    }
    s->out.start = s->out.len = 0;
    return true;
}

/* The wait of /delay, until the deadline, and of /hold, until released. Listens meanwhile, because a client that
 * leaves must not keep its thread. False: it left. */
static bool wait_for_answer(struct blocking_seat *s, long long deadline_ms)
{
    while (!atomic_load(&s->is_holding) || !stats_is_released(s->hold)) {
        bool is_full = s->in.len >= HTTP_INPUT_MAX; /* asks on and on: only hear it leave */
        int ready = blocking_wait(s->fd, is_full ? POLLRDHUP : POLLIN, deadline_ms);
        if (ready == 0)
            return true;
        if (ready < 0 && errno != EINTR) {
            stats_count_error(errno);
            return false;
        }
        if (ready > 0 && (is_full || !receive(s, MSG_DONTWAIT)))
            return false;
    }
    return true;
}

static bool hold(struct blocking_seat *s)
{
    s->hold = stats_hold();
    atomic_store(&s->is_holding, true); /* then it looks for its release; release_all() goes the other way round */
    bool is_here = wait_for_answer(s, 0);
    atomic_store(&s->is_holding, false);
    stats_unhold(s->hold);
    return is_here;
}

static long release_all(void)
{
    long released = stats_release();
    blocking_wake_holders();
    return released;
}

/* ---- one connection ------------------------------------------------------------------------------------------------ */

enum outcome { GO_ON, CLOSE, LINGER };

static enum outcome answer(struct blocking_seat *s, struct request *r)
{
    if (!r->is_broken)
        atomic_fetch_add_explicit(&stats->requests, 1, memory_order_relaxed);
    bool may_hold = r->route == ROUTE_HOLD && blocking_take_hold(holds_most);
    if (r->route == ROUTE_HOLD && !may_hold) { /* somebody must stay free to hear POST /release */
        r->route = ROUTE_FAIL;
        r->status = 503;
    }
    if (r->route == ROUTE_DELAY || r->route == ROUTE_HOLD) {
        bool is_here = flush(s); /* earlier replies do not wait with this one */
        if (is_here)
            is_here = r->route == ROUTE_HOLD ? hold(s) : wait_for_answer(s, blocking_clock_ms() + r->delay_ms);
        if (may_hold)
            blocking_give_hold();
        if (!is_here)
            return CLOSE;
    }
    long released = r->route == ROUTE_RELEASE ? release_all() : 0;
    r->keep_alive = r->keep_alive && !blocking_is_draining();
    if (r->keep_alive && others_wait && s->in.start == s->in.len) /* who has asked already is answered */
        r->keep_alive = !others_wait();
    if (!(r->route == ROUTE_RELEASE ? reply_released(&s->out, r, released) : reply(&s->out, r))) {
        stats_count_error(ENOMEM);
        return CLOSE;
    }
    if (r->keep_alive)
        return GO_ON;
    /* Closing with unread input would make the kernel send a reset that can overtake the reply. */
    return r->is_broken || s->in.start < s->in.len ? LINGER : CLOSE;
}

/* Answers every complete request held, in order; the replies go out together. */
static enum outcome answer_all(struct blocking_seat *s)
{
    struct request r;
    enum parsed parsed;
    enum outcome outcome = GO_ON;
    while (outcome == GO_ON && (parsed = http_parse(&s->parser, &s->in, &r)) != PARSED_NOTHING) {
        if (parsed == PARSED_REQUEST)
            s->limit = LIMIT_NOTHING, outcome = answer(s, &r);
        else if (!reply_continue(&s->out))
            outcome = CLOSE;
    }
    return flush(s) ? outcome : CLOSE;
}

/* A request's deadline is not moved by each byte: who sends slowly gains nothing. */
static long long next_deadline(struct blocking_seat *s, long long deadline_ms)
{
    enum blocking_limit limit = http_in_body(&s->parser) ? LIMIT_BODY : s->in.len > 0 ? LIMIT_HEAD : LIMIT_NOTHING;
    if (limit != LIMIT_NOTHING && limit == s->limit)
        return deadline_ms;
    s->limit = limit;
    if (limit == LIMIT_NOTHING)
        return 0;
    return blocking_clock_ms() + (limit == LIMIT_BODY ? HTTP_BODY_TIMEOUT_MS : HTTP_HEAD_TIMEOUT_MS);
}

static void linger(struct blocking_seat *s)
{
    const long long deadline_ms = blocking_clock_ms() + HTTP_LINGER_MS;
    int ready;
    do {
        s->in.start = s->in.len = 0;
        ready = blocking_wait(s->fd, POLLIN, deadline_ms);
    } while ((ready < 0 && errno == EINTR) || (ready > 0 && receive(s, MSG_DONTWAIT)));
}

static void talk(struct blocking_seat *s, long long deadline_ms)
{
    s->limit = LIMIT_HEAD; /* the first request's runs from accept */
    enum outcome outcome = GO_ON;
    while (outcome == GO_ON) {
        bool is_idle = s->in.start == s->in.len && !http_in_body(&s->parser);
        if (others_wait && is_idle)
            /* Who has not asked yet has its ten seconds, whoever waits. */
            atomic_store(&s->idle_since_ms, s->limit == LIMIT_HEAD ? LLONG_MAX : blocking_clock_ms());
        atomic_store(&s->is_idle, is_idle); /* then it asks whether to drain; blocking_drain() goes the other way round */
        bool must_leave = is_idle && blocking_is_draining(); /* unless a request has just come */
        /* A deadline costs a ppoll() before recv(): only the first request and incomplete ones have one. */
        if (deadline_ms && !must_leave) {
            int ready = blocking_wait(s->fd, POLLIN, deadline_ms);
            if (ready == 0)
                return;
            if (ready < 0 && errno == EINTR)
                continue;
            if (ready < 0)
                return stats_count_error(errno);
        }
        if (!receive(s, must_leave ? MSG_DONTWAIT : 0))
            return;
        atomic_store(&s->is_idle, false);

        outcome = answer_all(s);
        if (s->in.start == s->in.len)
            s->in.start = s->in.len = 0; /* the memory stays: this client will be back */
        else
            buffer_compact(&s->in);
        deadline_ms = next_deadline(s, deadline_ms);
    }
    if (outcome == LINGER && shutdown(s->fd, SHUT_WR) == 0)
        linger(s);
}

void blocking_serve(struct blocking_seat *s, int fd, long long accepted_ms)
{
    s->fd = fd;
    s->process = getpid();
    s->thread = gettid();
    s->parser = (struct parser){0};
    blocking_link(s);
    talk(s, accepted_ms + HTTP_HEAD_TIMEOUT_MS);
    atomic_store(&s->is_idle, false);

    blocking_unlink(s); /* before close(): nobody must shut down a descriptor that is someone else's by then */
    close(fd); /* best effort */
    buffer_free(&s->in);
    buffer_free(&s->out);
}

void blocking_turn_away(int fd)
{
    char unread[4096];
    recv(fd, unread, sizeof unread, MSG_DONTWAIT); /* so that close() does not reset it; best effort, like the close */
    close(fd);
}

void blocking_set_limits(bool (*wait)(void), int most)
{
    others_wait = wait;
    holds_most = most;
}

void blocking_prepare_listener(int listen_fd)
{
    const struct timeval patience = {.tv_sec = HTTP_SEND_TIMEOUT_MS / 1000};
    setsockopt(listen_fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* best effort */
}

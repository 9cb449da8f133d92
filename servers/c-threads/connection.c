/* The life of one connection, told from its thread's view: wait, read, answer, close. */
#define _GNU_SOURCE
#include "connection.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/http.h"
#include "shared/reply.h"
#include "shared/stats.h"
#include "wait.h"

#ifndef STACK_BYTES
#define STACK_BYTES (64 * 1024) /* the deepest path, /stats, needs under 20 KiB (checked with -fstack-usage) */
#endif

enum limit { LIMIT_NOTHING, LIMIT_HEAD, LIMIT_BODY }; /* what talk()'s deadline is for */

struct conn {
    int fd;
    enum limit limit; /* the thread's own */
    pthread_t thread;
    atomic_bool is_idle;     /* between two requests: may be closed at shutdown */
    unsigned hold;           /* while is_holding: stats_hold()'s */
    bool is_holding;         /* changed by its thread only, under `lock` */
    struct parser parser;
    struct buffer in, out;
    struct conn *prev, *next; /* under `lock` */
};

static struct conn connections = {.prev = &connections, .next = &connections}; /* a ring of all open ones */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;                        /* the ring, is_holding, `fd` being open */
static pthread_cond_t last_one_left;
static pthread_attr_t attributes; /* of every connection's thread */
static atomic_bool is_draining;

/* ---- receiving, sending, waiting ---------------------------------------------------------------------------------- */

/* Takes in what the client sends. False: it left, or errno was counted. */
static bool receive(struct conn *c, int flags)
{
    if (!buffer_reserve(&c->in, 4096)) {
        stats_count_error(ENOMEM);
        return false;
    }
    ssize_t got = recv(c->fd, c->in.data + c->in.len, c->in.cap - c->in.len, flags);
    if (got > 0)
        c->in.len += (size_t)got;
    else if (got < 0 && errno == EINTR)
        return true;
    else if (got < 0 && errno != EAGAIN)
        stats_count_error(errno);
    return got > 0;
}

static bool flush(struct conn *c)
{
    while (c->out.start < c->out.len) {
        size_t len = c->out.len - c->out.start;
        ssize_t sent = send(c->fd, c->out.data + c->out.start, len, MSG_NOSIGNAL);
        if (sent == (ssize_t)len)
            break;
        if (sent < 0 && errno == EINTR)
            continue;
        stats_count_error(sent < 0 ? errno : EAGAIN); /* EAGAIN, or a part only: SO_SNDTIMEO has passed */
        return false;
    }
    c->out.start = c->out.len = 0;
    return true;
}

/* The wait of /delay, until the deadline, and of /hold, until released. Listens meanwhile, because a client that
 * leaves must not keep its thread. False: it left. */
static bool wait_for_answer(struct conn *c, long long deadline_ms)
{
    while (!(c->is_holding && stats_is_released(c->hold))) {
        bool is_full = c->in.len >= HTTP_INPUT_MAX; /* asks on and on: only hear it leave */
        int ready = wait_until(c->fd, is_full ? POLLRDHUP : POLLIN, deadline_ms);
        if (ready == 0)
            return true;
        if (ready < 0 && errno != EINTR) {
            stats_count_error(errno);
            return false;
        }
        if (ready > 0 && (is_full || !receive(c, MSG_DONTWAIT)))
            return false;
    }
    return true;
}

static void set_holding(struct conn *c, bool is_holding)
{
    pthread_mutex_lock(&lock);
    if (is_holding)
        c->hold = stats_hold();
    else
        stats_unhold(c->hold);
    c->is_holding = is_holding;
    pthread_mutex_unlock(&lock);
}

static bool hold(struct conn *c)
{
    set_holding(c, true);
    bool is_here = wait_for_answer(c, 0);
    set_holding(c, false);
    return is_here;
}

static long release_all(void)
{
    long released = stats_release();
    pthread_mutex_lock(&lock);
    for (struct conn *c = connections.next; c != &connections; c = c->next) {
        if (c->is_holding) /* who came after the release is woken too, and waits on */
            pthread_kill(c->thread, SIGUSR1); /* cannot fail: the thread unlinks itself before it ends */
    }
    pthread_mutex_unlock(&lock);
    return released;
}

/* ---- one connection, one thread ---------------------------------------------------------------- */

enum outcome { GO_ON, CLOSE, LINGER };

static enum outcome answer(struct conn *c, struct request *r)
{
    if (!r->is_broken)
        atomic_fetch_add_explicit(&stats->requests, 1, memory_order_relaxed);
    if (r->route == ROUTE_DELAY || r->route == ROUTE_HOLD) {
        if (!flush(c)) /* earlier replies do not wait with this one */
            return CLOSE;
        if (!(r->route == ROUTE_HOLD ? hold(c) : wait_for_answer(c, read_clock_ms() + r->delay_ms)))
            return CLOSE;
    }
    long released = r->route == ROUTE_RELEASE ? release_all() : 0;
    r->keep_alive = r->keep_alive && !atomic_load(&is_draining);
    if (!(r->route == ROUTE_RELEASE ? reply_released(&c->out, r, released) : reply(&c->out, r))) {
        stats_count_error(ENOMEM);
        return CLOSE;
    }
    if (r->keep_alive)
        return GO_ON;
    /* Closing with unread input would make the kernel send a reset that can overtake the reply. */
    return r->is_broken || c->in.start < c->in.len ? LINGER : CLOSE;
}

/* Answers every complete request held, in order; the replies go out together. */
static enum outcome answer_all(struct conn *c)
{
    struct request r;
    enum parsed parsed;
    enum outcome outcome = GO_ON;
    while (outcome == GO_ON && (parsed = http_parse(&c->parser, &c->in, &r)) != PARSED_NOTHING) {
        if (parsed == PARSED_REQUEST)
            c->limit = LIMIT_NOTHING, outcome = answer(c, &r);
        else if (!reply_continue(&c->out))
            outcome = CLOSE;
    }
    return flush(c) ? outcome : CLOSE;
}

/* A request's deadline is not moved by each byte: who sends slowly gains nothing. */
static long long next_deadline(struct conn *c, long long deadline_ms)
{
    enum limit limit = http_in_body(&c->parser) ? LIMIT_BODY : c->in.len > 0 ? LIMIT_HEAD : LIMIT_NOTHING;
    if (limit != LIMIT_NOTHING && limit == c->limit)
        return deadline_ms;
    c->limit = limit;
    if (limit == LIMIT_NOTHING)
        return 0;
    return read_clock_ms() + (limit == LIMIT_BODY ? HTTP_BODY_TIMEOUT_MS : HTTP_HEAD_TIMEOUT_MS);
}

static void talk(struct conn *c)
{
    long long deadline_ms = read_clock_ms() + HTTP_HEAD_TIMEOUT_MS;
    c->limit = LIMIT_HEAD; /* the first request's runs from accept */
    enum outcome outcome = GO_ON;
    while (outcome == GO_ON) {
        bool is_idle = c->in.start == c->in.len && !http_in_body(&c->parser);
        atomic_store(&c->is_idle, is_idle); /* then is_draining is read; conns_drain() goes the other way round */
        bool must_leave = is_idle && atomic_load(&is_draining); /* unless a request has just come */
        /* A deadline costs a ppoll() before recv(): only the first request and incomplete ones have one. */
        if (deadline_ms && !must_leave) {
            int ready = wait_until(c->fd, POLLIN, deadline_ms);
            if (ready == 0)
                return;
            if (ready < 0 && errno == EINTR)
                continue;
            if (ready < 0)
                return stats_count_error(errno);
        }
        if (!receive(c, must_leave ? MSG_DONTWAIT : 0))
            return;
        atomic_store(&c->is_idle, false);

        outcome = answer_all(c);
        if (c->in.start == c->in.len)
            c->in.start = c->in.len = 0; /* the memory stays: this client will be back */
        else
            buffer_compact(&c->in);
        deadline_ms = next_deadline(c, deadline_ms);
    }
    if (outcome == LINGER && shutdown(c->fd, SHUT_WR) == 0) {
        deadline_ms = read_clock_ms() + HTTP_LINGER_MS;
        do
            c->in.start = c->in.len = 0;
        while (wait_until(c->fd, POLLIN, deadline_ms) > 0 && receive(c, MSG_DONTWAIT));
    }
}

static void *serve(void *argument)
{
    struct conn *c = argument;
    pthread_mutex_lock(&lock); /* main holds it until the connection is in the ring and `thread` is set */
    pthread_mutex_unlock(&lock);
    talk(c);
    pthread_mutex_lock(&lock); /* unlinked before close(): drain() must never see a descriptor that is someone else's */
    c->prev->next = c->next;
    c->next->prev = c->prev;
    if (atomic_fetch_sub(&stats->active, 1) == 1)
        pthread_cond_signal(&last_one_left);
    pthread_mutex_unlock(&lock);
    close(c->fd); /* best effort */
    buffer_free(&c->in);
    buffer_free(&c->out);
    free(c);
    return NULL;
}

void conn_start(int fd)
{
    const struct timeval patience = {.tv_sec = HTTP_SEND_TIMEOUT_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* best effort */
    atomic_fetch_add(&stats->accepted, 1);
    struct conn *c = calloc(1, sizeof *c);
    int error = ENOMEM;
    if (c) {
        c->fd = fd;
        pthread_mutex_lock(&lock);
        error = pthread_create(&c->thread, &attributes, serve, c);
        if (error == 0) {
            *c = (struct conn){.fd = fd, .thread = c->thread, .prev = connections.prev, .next = &connections};
            connections.prev->next = c;
            connections.prev = c;
            atomic_fetch_add(&stats->active, 1);
        }
        pthread_mutex_unlock(&lock);
    }
    if (error == 0)
        return;
    stats_count_error(error); /* EAGAIN: a limit on threads. This client is turned away, the others stay. */
    char unread[4096];
    recv(fd, unread, sizeof unread, MSG_DONTWAIT); /* so that close() does not reset it; best effort, like the close */
    close(fd);
    free(c);
}

/* ---- all connections ----------------------------------------------------------------------------- */

int conns_init(void)
{
    pthread_condattr_t steady; /* wall time may jump while we drain */
    int error;
    if ((error = wait_init()) || (error = pthread_attr_init(&attributes)) ||
        (error = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED)) ||
        (error = pthread_attr_setstacksize(&attributes, STACK_BYTES)) || (error = pthread_condattr_init(&steady)) ||
        (error = pthread_condattr_setclock(&steady, CLOCK_MONOTONIC)))
        return error;
    return pthread_cond_init(&last_one_left, &steady);
}

void conns_drain(const struct timespec *end)
{
    atomic_store(&is_draining, true);
    pthread_mutex_lock(&lock);
    for (struct conn *c = connections.next; c != &connections; c = c->next) {
        if (atomic_load(&c->is_idle))
            shutdown(c->fd, SHUT_RD); /* recv() returns what has come already, then 0; best effort */
    }
    while (atomic_load(&stats->active) > 0 && pthread_cond_timedwait(&last_one_left, &lock, end) == 0)
        ;
    pthread_mutex_unlock(&lock);
}

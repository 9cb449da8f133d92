/* One open connection: ask, read the answer, judge it, go on. How it comes to be open is opening.c.
 *
 * Three system calls for an exchange: epoll_wait (shared), recv, send. The interest in a socket is set once, when it is
 * open; only what cannot be sent at once needs a second epoll_ctl.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"

static struct list *list_of(struct conn *c)
{
    return c->state == PAUSED ? &c->group->pauses[c->pause] : &c->group->lists[c->state];
}

/* Every list is in the order of since_ns: what is due stands first. */
void conn_move(struct conn *c, enum state state, uint64_t now_ns)
{
    struct list *list = list_of(c);
    *(c->prev ? &c->prev->next : &list->first) = c->next;
    *(c->next ? &c->next->prev : &list->last) = c->prev;
    list->len--;
    struct engine_counts *counts = &c->group->row->now;
    counts->connecting += (state == CONNECTING) - (c->state == CONNECTING);
    counts->waiting += (state == WAITING) - (c->state == WAITING);
    if (state == UNOPENED || c->state == CONNECTING)
        c->group->due_ns = 0; /* one more may be opened */
    c->state = (uint8_t)state;
    c->since_ns = now_ns;
    list = list_of(c);
    c->prev = list->last;
    c->next = NULL;
    *(list->last ? &list->last->next : &list->first) = c;
    list->last = c;
    list->len++;
}

void conn_drop(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd); /* best effort; epoll forgets it */
    c->fd = -1;
    c->group->row->now.established -= c->is_established;
    c->is_established = false;
}

enum engine_phase conn_phase(const struct conn *c)
{
    switch (c->state) {
    case CONNECTING: return ENGINE_IN_CONNECT;
    case ASKING: return ENGINE_IN_SEND;
    case WAITING: return answer_begun(&c->answer) ? ENGINE_IN_BODY : ENGINE_IN_FIRST_BYTE;
    default: return ENGINE_IN_CLOSE;
    }
}

static bool is_arrival(const struct conn *c)
{
    return c->group->told.kind == ENGINE_OPEN || c->group->told.kind == ENGINE_STORM;
}

void conn_fail(struct conn *c, enum engine_phase phase, int wrong, uint64_t now_ns)
{
    struct group *g = c->group;
    /* A pool's connect that fails is no exchange, but with all of them failing nothing would show: it counts. */
    if (c->intended_ns)
        row_failed(g->engine, g->row, c->intended_ns, now_ns, is_arrival(c), phase, wrong);
    else
        row_broken(g->row, phase, wrong);
    c->intended_ns = 0;
    conn_drop(c);
    if (g->told.kind == ENGINE_STORM)
        return conn_move(c, UNOPENED, now_ns);
    if (g->told.kind == ENGINE_HOLD && g->told.once)
        return conn_move(c, SPENT, now_ns);
    conn_move(c, PAUSED, now_ns);
}

bool conn_watch(struct conn *c, int operation, uint32_t interest)
{
    struct epoll_event event = {.events = interest, .data.ptr = c};
    return epoll_ctl(c->group->engine->epoll_fd, operation, c->fd, &event) == 0;
}

/* Sends what is left of the request. 0: all of it; EAGAIN: not now; or what went wrong. */
int conn_send_rest(struct conn *c)
{
    const struct engine_group *told = &c->group->told;
    while (c->sent < (uint32_t)told->request_len) {
        ssize_t sent = send(c->fd, told->request + c->sent, (size_t)told->request_len - c->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EWOULDBLOCK ? EAGAIN : errno;
        c->sent += (uint32_t)sent;
    }
    return 0;
}

/* The request has left: count it once. */
void conn_asked(struct conn *c, uint64_t begun_ns)
{
    struct group *g = c->group;
    g->row->now.sent++;
    if (g->told.kind == ENGINE_OPEN)
        row_sent(g->engine, g->row, c->intended_ns, begun_ns);
    conn_move(c, WAITING, begun_ns);
}

void conn_ask(struct conn *c, uint64_t intended_ns, uint64_t now_ns)
{
    c->intended_ns = intended_ns;
    c->sent = 0;
    answer_begin(&c->answer);
    const int wrong = conn_send_rest(c);
    if (wrong == 0)
        return conn_asked(c, now_ns);
    if (wrong != EAGAIN)
        return conn_fail(c, ENGINE_IN_SEND, wrong, now_ns);
    conn_move(c, ASKING, now_ns);
    if (!conn_watch(c, EPOLL_CTL_MOD, EPOLLOUT)) /* not EPOLLIN: who answers early must not make the loop spin */
        conn_fail(c, ENGINE_IN_SEND, errno, now_ns);
}

/* An open connection without an exchange: the next arrival's, or it waits for one. */
void conn_rest(struct conn *c, uint64_t now_ns)
{
    uint64_t planned_ns;
    if (c->group->told.kind == ENGINE_OPEN && group_next_arrival(c->group, &planned_ns))
        return conn_ask(c, planned_ns, now_ns);
    conn_move(c, READY, now_ns);
}

/* A whole answer is in: judge it and go on. more: bytes came that belong to no answer. */
static void on_answer(struct conn *c, bool is_open, bool more)
{
    struct group *g = c->group;
    const struct engine_group *told = &g->told;
    const uint64_t now_ns = clock_ns();
    const struct answer *a = &c->answer;
    int wrong = 0;
    if (a->status != 200)
        wrong = ENGINE_WRONG_STATUS + a->status;
    else if (a->body_len != (uint32_t)told->body_len)
        wrong = ENGINE_WRONG_LENGTH;
    else if (a->body_differs)
        wrong = ENGINE_WRONG_BODY;
    else if (more)
        wrong = ENGINE_WRONG_MALFORMED;
    if (wrong)
        return conn_fail(c, ENGINE_IN_BODY, wrong, now_ns);
    row_answered(g->engine, g->row, c->intended_ns, now_ns, is_arrival(c));
    c->intended_ns = 0;
    c->pause = 0; /* in no list of pauses now */
    is_open = is_open && answer_keeps_alive(a);
    switch (told->kind) {
    case ENGINE_CLOSED:
        if (is_open)
            return conn_ask(c, now_ns, now_ns);
        break;
    case ENGINE_OPEN:
        if (is_open)
            return conn_rest(c, now_ns);
        break;
    case ENGINE_HOLD:
        if (told->stays && is_open)
            return conn_move(c, READY, now_ns);
        conn_drop(c);
        return conn_move(c, told->once ? SPENT : UNOPENED, now_ns);
    default:
        break;
    }
    conn_drop(c);
    conn_move(c, UNOPENED, now_ns);
}

/* A READY connection has something to read: the server ends it, as it may, or talks out of turn; or it was reset
 * (wrong: the errno). A reset counts, and a pool opens the connection again after a pause only. */
static void on_idle_input(struct conn *c, int wrong, uint64_t now_ns)
{
    const enum state next = c->group->told.kind == ENGINE_HOLD ? SPENT : wrong ? PAUSED : UNOPENED;
    if (wrong)
        row_broken(c->group->row, ENGINE_IN_CLOSE, wrong);
    conn_drop(c);
    conn_move(c, next, now_ns);
}

static void read_answer(struct conn *c, uint64_t now_ns)
{
    struct group *g = c->group;
    char *input = g->engine->input;
    const ssize_t got = recv(c->fd, input, sizeof g->engine->input, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (c->state == READY)
        return on_idle_input(c, got < 0 ? errno : 0, now_ns);
    if (got < 0)
        return conn_fail(c, conn_phase(c), errno, now_ns);
    if (got == 0) {
        if (c->state == WAITING && answer_end(&c->answer))
            return on_answer(c, false, false);
        return conn_fail(c, conn_phase(c), ENGINE_WRONG_CLOSED, now_ns);
    }
    g->row->now.bytes_received += (uint64_t)got;
    if (!answer_begun(&c->answer))
        c->is_sampled = g->told.sample > 0 && g->answers++ % (uint64_t)g->told.sample == 0;
    size_t used = 0;
    switch (answer_feed(&c->answer, input, (size_t)got, &used, c->is_sampled ? g->body : NULL,
                        (size_t)g->told.body_len)) {
    case ANSWER_MORE:
        return;
    case ANSWER_DONE:
        return on_answer(c, true, used < (size_t)got);
    case ANSWER_MALFORMED:
        return conn_fail(c, ENGINE_IN_BODY, ENGINE_WRONG_MALFORMED, now_ns);
    }
}

void conn_event(struct conn *c, uint32_t events)
{
    const uint64_t now_ns = clock_ns();
    if (c->fd < 0 || c->group->is_ending)
        return; /* ended by a call since epoll_wait returned */
    if (c->state == CONNECTING)
        return conn_on_connect_over(c, now_ns);
    if (c->state != ASKING)
        return read_answer(c, now_ns);
    if (events & (EPOLLERR | EPOLLHUP))
        return read_answer(c, now_ns); /* recv() says which error */
    const int wrong = conn_send_rest(c);
    if (wrong == EAGAIN)
        return;
    if (wrong || !conn_watch(c, EPOLL_CTL_MOD, EPOLLIN))
        return conn_fail(c, ENGINE_IN_SEND, wrong ? wrong : errno, now_ns);
    conn_asked(c, now_ns);
}

/* A connection until it is open: socket, source address, connect; then its first question.
 *
 * On loopback the handshake is over when connect() returns, so the request is sent right away and EPOLLOUT is waited
 * for only where that fails: one wake-up less for each of 100,000.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "internal.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24 /* linux/in.h: the port is chosen at connect, for each pair of addresses anew */
#endif

static void established(struct conn *c, uint64_t now_ns)
{
    struct engine_counts *counts = &c->group->row->now;
    c->is_established = true;
    counts->established++;
    counts->opened++;
    counts->last_established_ns = now_ns;
}

static int connect_from(struct conn *c)
{
    struct group *g = c->group;
    struct sockaddr_in source = {.sin_family = AF_INET};
    int one = 1;
    if (g->sources_len > 0) {
        source.sin_addr = g->sources[g->source_turn++ % g->sources_len];
        if (setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) < 0 ||
            bind(c->fd, (struct sockaddr *)&source, sizeof source) < 0)
            return errno;
    }
    if (connect(c->fd, (struct sockaddr *)&g->target, sizeof g->target) < 0)
        return errno;
    return 0;
}

/* Asks as soon as it is open: hold and storm since they meant to connect, closed from now on. */
static void open_and_ask(struct conn *c, uint64_t now_ns)
{
    const uint64_t begun_ns = clock_ns();
    if (c->group->told.kind == ENGINE_CLOSED)
        c->intended_ns = begun_ns;
    c->sent = 0;
    answer_begin(&c->answer);
    const int wrong = conn_send_rest(c);
    if (wrong == EAGAIN && c->sent == 0) { /* the handshake is not over */
        if (c->group->told.kind == ENGINE_CLOSED)
            c->intended_ns = now_ns;
        if (!conn_watch(c, EPOLL_CTL_ADD, EPOLLOUT))
            conn_fail(c, ENGINE_IN_SOCKET, errno, now_ns);
        return;
    }
    if (wrong != 0 && wrong != EAGAIN)
        return conn_fail(c, ENGINE_IN_CONNECT, wrong, now_ns); /* send() hands over what connect() ended with */
    established(c, begun_ns);
    if (!conn_watch(c, EPOLL_CTL_ADD, wrong == EAGAIN ? EPOLLOUT : EPOLLIN))
        return conn_fail(c, ENGINE_IN_SOCKET, errno, now_ns);
    if (wrong == EAGAIN)
        return conn_move(c, ASKING, begun_ns);
    conn_asked(c, begun_ns);
}

void conn_open(struct conn *c, uint64_t intended_ns, uint64_t now_ns)
{
    struct group *g = c->group;
    struct engine_counts *counts = &g->row->now;
    if (counts->first_connect_ns == 0)
        counts->first_connect_ns = now_ns;
    c->intended_ns = intended_ns ? intended_ns : g->told.kind == ENGINE_CLOSED ? now_ns : 0;
    conn_move(c, CONNECTING, now_ns);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return conn_fail(c, ENGINE_IN_SOCKET, errno, now_ns);
    const int wrong = connect_from(c);
    if (wrong != 0 && wrong != EINPROGRESS)
        return conn_fail(c, ENGINE_IN_CONNECT, wrong, now_ns);
    if (g->told.kind != ENGINE_OPEN)
        return open_and_ask(c, now_ns);
    if (!conn_watch(c, EPOLL_CTL_ADD, EPOLLOUT))
        conn_fail(c, ENGINE_IN_SOCKET, errno, now_ns);
}

void conn_on_connect_over(struct conn *c, uint64_t now_ns)
{
    int wrong = 0;
    socklen_t len = sizeof wrong;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &wrong, &len) < 0)
        wrong = errno;
    if (wrong)
        return conn_fail(c, ENGINE_IN_CONNECT, wrong, now_ns);
    established(c, now_ns);
    if (!conn_watch(c, EPOLL_CTL_MOD, EPOLLIN))
        return conn_fail(c, ENGINE_IN_SOCKET, errno, now_ns);
    if (c->group->told.kind == ENGINE_OPEN)
        return conn_rest(c, now_ns);
    conn_ask(c, c->group->told.kind == ENGINE_CLOSED ? now_ns : c->intended_ns, now_ns);
}

/* What happens between the SYN and accept(): two queues, what they do when they are full, and cookies instead of one. */
#define _GNU_SOURCE
#include "ground.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

void listener_closed(void)
{
    int port = 0, listener = listen_on(&port, 16, 0, 0), client = connect_to(port);
    close(listener);
    see_recv(client);
    close(client);
}

/* Twenty clients queue at two listeners of one port, of which one goes. How many were its own, the kernel's hash decides;
 * with net.ipv4.tcp_migrate_req=1 they go over to the other. */
void reuseport_closed(void)
{
    int port = 0, first = listen_on(&port, 64, 0, 1), second = listen_on(&port, 64, 0, 1), clients[20];
    for (int i = 0; i < 20; i++)
        clients[i] = connect_to(port);
    close(second);
    for (int i = 0; i < 20; i++)
        see_recv_now(clients[i]);
    for (int i = 0; i < 20; i++)
        close(clients[i]);
    close(first); /* whoever is still queued there has said goodbye already and is reset without anybody noticing */
}

static void wait_for_data(int listener)
{
    int seconds = 10;
    if (setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds) != 0)
        die("TCP_DEFER_ACCEPT");
}

/* Eight clients fill a queue of eight that waits for data; eight more are let in by SYN and send at last: one finds the
 * place that such a queue has beyond its number, seven find none. They wait, or with net.ipv4.tcp_abort_on_overflow=1 are
 * reset. */
void final_ack_overflow(void)
{
    int port = 0, listener = listen_on(&port, 8, 0, 0), clients[16];
    wait_for_data(listener);
    for (int i = 0; i < 16; i++) {
        clients[i] = connect_to(port);
        if (i < 8)
            see_send(clients[i]);
    }
    for (int i = 8; i < 16; i++)
        see_send(clients[i]);
    for (int i = 8; i < 16; i++)
        see_recv_now(clients[i]);
    for (int i = 0; i < 16; i++)
        vanish(clients[i]); /* or those who wait would send again, and those in the queue be reset with it */
    close(listener);
}

/* The queue is full and the SYN goes unanswered; the client gives up after it has sent it again, a second later. */
void accept_queue_full(int times)
{
    int *clients = calloc((size_t)times, sizeof *clients), *queued = calloc((size_t)times * 2, sizeof *queued);
    int *listeners = calloc((size_t)times, sizeof *listeners);
    unsigned int ms = 500;
    if (!clients || !queued || !listeners)
        die("memory");
    for (int i = 0; i < times; i++) {
        int port = 0;
        listeners[i] = listen_on(&port, 1, 0, 0);
        queued[2 * i] = connect_to(port);
        queued[2 * i + 1] = connect_to(port);
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (setsockopt(clients[i], IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms) != 0)
            die("TCP_USER_TIMEOUT");
        if (try_connect(clients[i], port) == 0 || errno != EINPROGRESS)
            die("a connect that has to wait");
    }
    for (int i = 0; i < times; i++) {
        struct pollfd entry = {.fd = clients[i], .events = POLLOUT};
        int error = 0;
        socklen_t size = sizeof error;
        if (poll(&entry, 1, 10000) != 1 || getsockopt(clients[i], SOL_SOCKET, SO_ERROR, &error, &size) != 0)
            die("the end of a connect");
        see(error ? strerrorname_np(error) : "connected");
        close(clients[i]);
        vanish(queued[2 * i]);
        vanish(queued[2 * i + 1]);
        int left[2] = {accept(listeners[i], NULL, NULL), accept(listeners[i], NULL, NULL)};
        vanish(left[0]);
        vanish(left[1]);
        close(listeners[i]);
    }
    free(clients);
    free(queued);
    free(listeners);
}

/* No descriptor is left at accept(): the client is connected and hears nothing, until there is one again. */
void accept_without_descriptors(void)
{
    int port = 0, listener = listen_on(&port, 16, 0, 0), client = connect_to(port), next = dup(listener);
    struct rlimit before, none;
    if (next < 0 || close(next) != 0 || getrlimit(RLIMIT_NOFILE, &before) != 0)
        die("descriptors");
    none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &none) != 0)
        die("RLIMIT_NOFILE");
    see(accept(listener, NULL, NULL) >= 0 ? "accepted" : strerrorname_np(errno));
    see_recv_now(client);
    if (setrlimit(RLIMIT_NOFILE, &before) != 0)
        die("RLIMIT_NOFILE");
    struct pair pair = {.listener = listener, .client = client, .server = accept(listener, NULL, NULL)};
    if (pair.server < 0)
        die("accept");
    close(pair.server);
    see_recv(client);
    close(client);
    close(listener);
}

/* A listener whose queue of handshakes two silent clients have filled, and a third who was let in by a cookie (the
 * default, net.ipv4.tcp_syncookies=1). */
struct cookied {
    struct pair pair;
    int silent[2];
};

static struct cookied connected_by_cookie(void)
{
    int port = 0;
    struct cookied all = {.pair = {.listener = listen_on(&port, 1, 0, 0)}};
    wait_for_data(all.pair.listener);
    all.silent[0] = connect_to(port);
    all.silent[1] = connect_to(port);
    all.pair.client = connect_to(port);
    all.pair.server = accept(all.pair.listener, NULL, NULL);
    if (all.pair.server < 0)
        die("accept");
    return all;
}

static void see_exchange(struct pair pair)
{
    see_send(pair.client);
    see_recv(pair.server);
    if (send(pair.server, REPLY, sizeof REPLY - 1, 0) != sizeof REPLY - 1)
        die("answer");
    see_recv(pair.client);
}

/* The cookie comes back and is as good as a place in the queue. */
void cookie_returned(void)
{
    struct cookied all = connected_by_cookie();
    see_exchange(all.pair);
    vanish(all.silent[0]);
    vanish(all.silent[1]);
    part(all.pair);
}

/* After cookies were sent, whatever acknowledges something unknown is tried as one: here a client whose server is gone. */
void cookie_wrong(void)
{
    struct cookied all = connected_by_cookie();
    see_exchange(all.pair); /* or its next acknowledgement would be the cookie once more */
    vanish(all.silent[0]);
    vanish(all.silent[1]);
    vanish(all.pair.server);
    see_send(all.pair.client);
    see_recv(all.pair.client);
    close(all.pair.client);
    close(all.pair.listener);
}

/* Forty clients whose final acknowledgement waits for their data: a backlog of sixteen keeps seventeen handshakes and sends
 * twenty-three cookies. All forty are connected; when they send, the queue for accept() has room for seventeen. */
void cookies_overflow(void)
{
    int port = 0, off = 0, listener = listen_on(&port, 16, SOCK_NONBLOCK, 0), clients[40], accepted;
    for (int i = 0; i < 40; i++) {
        clients[i] = open_socket();
        if (setsockopt(clients[i], IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off) != 0 || try_connect(clients[i], port) != 0)
            die("connect");
    }
    for (int i = 0; i < 40; i++)
        see_send(clients[i]);
    for (int i = 0; i < 40; i++)
        vanish(clients[i]); /* or those who are left out would send again, and get in */
    while ((accepted = accept(listener, NULL, NULL)) >= 0) {
        see("accepted");
        vanish(accepted);
    }
    close(listener);
}

/* A peer that says nothing any more: it is gone, or what is sent does not arrive.
 *
 * Nothing arrives at a socket whose filter (SO_ATTACH_FILTER) takes nothing: no netem, no route and no capability is needed.
 */
#define _GNU_SOURCE
#include "ground.h"

#include <linux/filter.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* The server's end goes without a word, its listener stays. */
void peer_vanished(void)
{
    struct pair pair = connected();
    vanish(pair.server);
    see_send(pair.client);
    see_recv(pair.client);
    close(pair.client);
    close(pair.listener);
}

static void deafen(int fd)
{
    struct sock_filter take_nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &take_nothing};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
        die("SO_ATTACH_FILTER");
}

static void hear_again(int fd)
{
    int unused = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) != 0)
        die("SO_DETACH_FILTER");
}

static struct pair *connected_to_the_deaf(int times)
{
    struct pair *pairs = calloc((size_t)times, sizeof *pairs);
    if (!pairs)
        die("memory");
    for (int i = 0; i < times; i++) {
        pairs[i] = connected();
        deafen(pairs[i].server);
    }
    return pairs;
}

static void see_the_end(struct pair *pairs, int times)
{
    for (int i = 0; i < times; i++) {
        see_recv(pairs[i].client);
        close(pairs[i].client);
        vanish(pairs[i].server);
        close(pairs[i].listener);
    }
    free(pairs);
}

static void set_tcp(int fd, int option, int value)
{
    if (setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value) != 0)
        die("a TCP option");
}

/* What is sent is not acknowledged in time. */
void user_timeout(int times)
{
    struct pair *pairs = connected_to_the_deaf(times);
    for (int i = 0; i < times; i++) {
        set_tcp(pairs[i].client, TCP_USER_TIMEOUT, 300); /* ms */
        see_send(pairs[i].client);
    }
    see_the_end(pairs, times);
}

/* Nothing is sent, and the one question whether the other is still there is not answered within a second. */
void keepalive_timeout(int times)
{
    struct pair *pairs = connected_to_the_deaf(times);
    for (int i = 0; i < times; i++) {
        int on = 1;
        set_tcp(pairs[i].client, TCP_KEEPIDLE, 1);
        set_tcp(pairs[i].client, TCP_KEEPINTVL, 1);
        set_tcp(pairs[i].client, TCP_KEEPCNT, 1);
        if (setsockopt(pairs[i].client, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0)
            die("SO_KEEPALIVE");
    }
    see_the_end(pairs, times);
}

/* One segment of each connection is lost, and sent again. */
void segment_dropped(int times)
{
    struct pair *pairs = connected_to_the_deaf(times);
    for (int i = 0; i < times; i++)
        see_send(pairs[i].client);
    for (int i = 0; i < times; i++)
        hear_again(pairs[i].server);
    for (int i = 0; i < times; i++) {
        see_recv(pairs[i].server);
        part(pairs[i]);
    }
    free(pairs);
}

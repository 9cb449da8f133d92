/* Sockets on 127.0.0.1: listening, connecting, and the ways of leaving that leave nothing behind. */
#define _GNU_SOURCE
#include "ground.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

noreturn void die(const char *what)
{
    fprintf(stderr, "ground: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

/* A listener on 127.0.0.1; port 0: one that is free, told through `port`. */
int listen_on(int *port, int backlog, int flags, int reuseport)
{
    struct sockaddr_in at = loopback(*port);
    socklen_t size = sizeof at;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        (reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) ||
        bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, backlog) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        die("listen");
    *port = ntohs(at.sin_port);
    return fd;
}

int open_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        die("socket");
    return fd;
}

int try_connect(int fd, int port)
{
    struct sockaddr_in at = loopback(port);
    return connect(fd, (struct sockaddr *)&at, sizeof at);
}

int connect_to(int port)
{
    int fd = open_socket();
    if (try_connect(fd, port) != 0)
        die("connect");
    return fd;
}

struct pair connected(void)
{
    int port = 0;
    struct pair pair = {.listener = listen_on(&port, 16, 0, 0)};
    pair.client = connect_to(port);
    pair.server = accept(pair.listener, NULL, NULL);
    if (pair.server < 0)
        die("accept");
    return pair;
}

void part(struct pair pair)
{
    char buffer[64];
    shutdown(pair.client, SHUT_WR);
    while (recv(pair.server, buffer, sizeof buffer, 0) > 0)
        ;
    close(pair.server);
    close(pair.client);
    close(pair.listener);
}

void reset_on_close(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) != 0)
        die("SO_LINGER");
}

void acknowledge_now(int fd)
{
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on) != 0)
        die("TCP_QUICKACK");
}

void vanish(int fd)
{
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) != 0)
        die("TCP_REPAIR");
    close(fd);
}

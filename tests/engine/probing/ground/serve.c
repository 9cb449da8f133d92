/* The server that counts its own system calls, and a client that checks every answer. */
#define _GNU_SOURCE
#include "ground.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 4096

static struct {
    unsigned long accept4, accept4_eagain, read, read_eagain, write, close, epoll_ctl, epoll_wait, events;
} counted;
static volatile sig_atomic_t is_over;

static void end_counting(int signal)
{
    (void)signal;
    is_over = 1;
}

static void accept_all(int epoll, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        counted.accept4++;
        if (fd < 0) {
            if (errno != EAGAIN)
                die("accept4");
            counted.accept4_eagain++;
            return;
        }
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            die("epoll_ctl");
        counted.epoll_ctl++;
    }
}

static void read_all(int fd)
{
    char buffer[1024];
    for (;;) {
        ssize_t got = read(fd, buffer, sizeof buffer);
        counted.read++;
        if (got < 0) {
            if (errno != EAGAIN)
                die("read");
            counted.read_eagain++;
            return;
        }
        if (got == 0) {
            close(fd);
            counted.close++;
            return;
        }
        if (write(fd, REPLY, sizeof REPLY - 1) != sizeof REPLY - 1)
            die("write");
        counted.write++;
    }
}

int serve(int port)
{
    struct sigaction action = {.sa_handler = end_counting}; /* no SA_RESTART: epoll_wait is to end */
    sigaction(SIGUSR1, &action, NULL);
    int listener = listen_on(&port, 4096, SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[16];
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0)
        die("epoll");
    memset(&counted, 0, sizeof counted);
    for (;;) {
        int found = epoll_wait(epoll, ready, sizeof ready / sizeof *ready, -1);
        if (is_over)
            break;
        if (found < 0)
            die("epoll_wait");
        counted.epoll_wait++;
        counted.events += (unsigned long)found;
        for (int i = 0; i < found; i++) {
            if (ready[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                read_all(ready[i].data.fd);
        }
    }
    printf("{\"accept4\": %lu, \"accept4 EAGAIN\": %lu, \"read\": %lu, \"read EAGAIN\": %lu, \"write\": %lu, "
           "\"close\": %lu, \"epoll_ctl\": %lu, \"epoll_wait\": %lu, \"events\": %lu}\n",
           counted.accept4, counted.accept4_eagain, counted.read, counted.read_eagain, counted.write, counted.close,
           counted.epoll_ctl, counted.epoll_wait, counted.events);
    return 0;
}

/* The whole answer in one piece, as every server here sends one that is short. */
static int is_answered(const char *answer, size_t length, int is_http)
{
    size_t body = sizeof REPLY - 1;
    if (!is_http)
        return length == body && memcmp(answer, REPLY, body) == 0;
    return length > body && memcmp(answer, "HTTP/1.1 200 ", 13) == 0 && memcmp(answer + length - body, REPLY, body) == 0;
}

int load(int port, int connections, int exchanges, int is_http)
{
    static int fds[MOST];
    const char *ask = is_http ? "GET /plain HTTP/1.1\r\nHost: ground\r\n\r\n" : "ask";
    char buffer[1024];
    if (connections > MOST)
        return 2;
    for (int i = 0; i < connections; i++)
        fds[i] = connect_to(port);
    for (int i = 0; i < exchanges; i++) {
        int fd = fds[i % connections];
        ssize_t sent = send(fd, ask, strlen(ask), 0), got = recv(fd, buffer, sizeof buffer, 0);
        if (sent != (ssize_t)strlen(ask) || got < 0 || !is_answered(buffer, (size_t)got, is_http))
            die("exchange");
    }
    for (int i = 0; i < connections; i++) {
        /* Like this the client's close leaves nothing behind that could be reset. */
        shutdown(fds[i], SHUT_WR);
        if (recv(fds[i], buffer, sizeof buffer, 0) != 0)
            die("end of a connection");
        close(fds[i]);
    }
    return 0;
}

/* One loop over sockets that are said to be readable: select, poll, epoll level- and edge-triggered. */
#define _GNU_SOURCE
#include "bare.h"

#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS_MOST = 1000, EVENTS = 512 };

static int accept_client(int listen_fd) { return accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); }

void serve_select(int listen_fd)
{
    fd_set watched;
    FD_ZERO(&watched);
    FD_SET(listen_fd, &watched);
    for (int most = listen_fd;;) {
        fd_set ready = watched;
        int left = select(most + 1, &ready, NULL, NULL, NULL);
        for (int fd = 0; fd <= most && left > 0; fd++) {
            if (!FD_ISSET(fd, &ready))
                continue;
            left--;
            if (fd != listen_fd && !converse(fd)) {
                FD_CLR(fd, &watched);
                close(fd);
            }
        }
        if (!FD_ISSET(listen_fd, &ready))
            continue;
        for (int fd; (fd = accept_client(listen_fd)) >= 0;) {
            if (fd >= FD_SETSIZE) {
                close(fd);
                continue;
            }
            FD_SET(fd, &watched);
            most = fd > most ? fd : most;
        }
    }
}

void serve_poll(int listen_fd)
{
    static struct pollfd watched[1 + CLIENTS_MOST];
    watched[0] = (struct pollfd){.fd = listen_fd, .events = POLLIN};
    for (nfds_t count = 1;;) {
        int left = poll(watched, count, -1);
        bool must_accept = watched[0].revents;
        left -= must_accept;
        for (nfds_t i = 1; i < count && left > 0; i++) {
            if (!watched[i].revents)
                continue;
            left--;
            if (!converse(watched[i].fd)) {
                close(watched[i].fd);
                watched[i--] = watched[--count];
            }
        }
        for (int fd; must_accept && count <= CLIENTS_MOST && (fd = accept_client(listen_fd)) >= 0;)
            watched[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
}

/* Edge-triggered, one recv() is enough as well: a client that waits for its answer has sent nothing behind its request. */
static void serve_epoll_with(int listen_fd, uint32_t edge)
{
    static struct epoll_event events[EVENTS];
    int epoll_fd = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct epoll_event entry = {.events = EPOLLIN, .data.fd = listen_fd};
    must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &entry), "epoll_ctl");
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listen_fd) {
                if (!converse(fd))
                    close(fd);
                continue;
            }
            while ((fd = accept_client(listen_fd)) >= 0) {
                entry = (struct epoll_event){.events = EPOLLIN | edge, .data.fd = fd};
                must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &entry), "epoll_ctl");
            }
        }
    }
}

void serve_epoll(int listen_fd) { serve_epoll_with(listen_fd, 0); }
void serve_epoll_et(int listen_fd) { serve_epoll_with(listen_fd, EPOLLET); }

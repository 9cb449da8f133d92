/* A thread or a process for each connection: it blocks, so there is nothing to keep between two requests. */
#define _GNU_SOURCE
#include "bare.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    POOL = 256,    /* as c-threadpool's default */
    PROCESSES = 64 /* more than wrk's 50 connections */
};

static void serve_one(int fd)
{
    while (converse(fd))
        ;
    close(fd);
}

static void *serve_thread(void *fd)
{
    serve_one((int)(intptr_t)fd);
    return NULL;
}

void serve_threads(int listen_fd)
{
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, 64 * 1024);
    for (;;) {
        pthread_t thread;
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0 && pthread_create(&thread, &detached, serve_thread, (void *)(intptr_t)fd) != 0)
            close(fd);
    }
}

static void accept_for_ever(int listen_fd)
{
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            serve_one(fd);
    }
}

static void *accept_in_thread(void *listen_fd)
{
    accept_for_ever((int)(intptr_t)listen_fd);
    return NULL;
}

void serve_pool(int listen_fd)
{
    for (int i = 1; i < POOL; i++) {
        pthread_t thread;
        errno = pthread_create(&thread, NULL, accept_in_thread, (void *)(intptr_t)listen_fd);
        must(errno ? -1 : 0, "pthread_create");
    }
    accept_for_ever(listen_fd);
}

void serve_prefork(int listen_fd)
{
    for (int i = 1; i < PROCESSES; i++) {
        if (must(fork(), "fork") == 0)
            break;
    }
    accept_for_ever(listen_fd);
}

/* What the bare servers share: the one reply, the one question, and the names of the models. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

enum { INPUT_BYTES = 4096 };

/* The contract's answer to GET /plain, made anew each second; this thread's own copy. */
const char *hello(size_t *len);

/* Whether a request ends here. Nothing else is looked at, and what came in pieces must end in one of four bytes or more. */
bool asks(const char *data, size_t len);

/* Receives once and answers. False: the client has left. For sockets that block, and for those said to be readable. */
bool converse(int fd);

/* -1: prints what failed and ends with 1. */
int must(int result, const char *what);

/* Each serves for ever. */
void serve_threads(int listen_fd);  /* a thread per connection */
void serve_pool(int listen_fd);     /* threads made beforehand, each accepting for itself */
void serve_prefork(int listen_fd);  /* processes made beforehand, the same */
void serve_select(int listen_fd);
void serve_poll(int listen_fd);
void serve_epoll(int listen_fd);    /* level-triggered */
void serve_epoll_et(int listen_fd); /* edge-triggered */
void serve_uring(int listen_fd);    /* multishot accept and receive */

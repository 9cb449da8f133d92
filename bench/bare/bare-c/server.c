/* bare-c: what a model costs when nothing else is done. One file for each kind of model; BARE_MODEL says which.
 *
 * Every request gets the contract's answer to GET /plain, whatever it asked. No parser, no limits of time, no counters, no
 * drain: what servers/c-* take beyond this is what keeping the contract costs them (docs/bench.md, rivals).
 */
#define _GNU_SOURCE
#include "bare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "shared/config.h"

const char *hello(size_t *len)
{
    static __thread char text[256];
    static __thread int text_len;
    static __thread time_t made_s;
    time_t now_s = time(NULL);
    if (now_s != made_s) {
        char date[64];
        struct tm parts;
        gmtime_r(&now_s, &parts);
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        text_len = snprintf(text, sizeof text,
                            "HTTP/1.1 200 OK\r\nServer: bare-c\r\nDate: %s\r\nContent-Type: text/plain\r\n"
                            "Content-Length: 13\r\n\r\nHello, world!", date);
        made_s = now_s;
    }
    *len = (size_t)text_len;
    return text;
}

bool asks(const char *data, size_t len) { return len >= 4 && memcmp(data + len - 4, "\r\n\r\n", 4) == 0; }

bool converse(int fd)
{
    char input[INPUT_BYTES];
    ssize_t got = recv(fd, input, sizeof input, 0);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (got <= 0)
        return false;
    size_t len;
    const char *text = hello(&len);
    return !asks(input, (size_t)got) || send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

int must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

int main(void)
{
    static const struct {
        const char *name;
        void (*serve)(int listen_fd);
        bool blocks;
    } models[] = {
        {"threads", serve_threads, true}, {"pool", serve_pool, true},   {"prefork", serve_prefork, true},
        {"select", serve_select, false},  {"poll", serve_poll, false},  {"epoll", serve_epoll, false},
        {"epoll-et", serve_epoll_et, false}, {"uring", serve_uring, false},
    };
    const char *wanted = getenv("BARE_MODEL");
    for (size_t i = 0; wanted && i < sizeof models / sizeof *models; i++) {
        if (strcmp(models[i].name, wanted) != 0)
            continue;
        const struct config config = config_read();
        int listen_fd = config_listen(&config, "bare-c");
        if (models[i].blocks)
            must(fcntl(listen_fd, F_SETFL, 0), "blocking listener");
        models[i].serve(listen_fd);
        return 0;
    }
    fprintf(stderr, "BARE_MODEL: expected a model of bench/bare/bare-c/server.c, got '%s'\n", wanted ? wanted : "nothing");
    return 2;
}

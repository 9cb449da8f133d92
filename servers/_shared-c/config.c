#define _GNU_SOURCE /* sched_getaffinity() */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void refuse(const char *name, const char *value, const char *expected)
{
    fprintf(stderr, "%s: expected %s, got '%s'\n", name, expected, value);
    exit(2);
}

int config_number(const char *name, int fallback, int least, int most)
{
    const char *text = getenv(name);
    if (!text)
        return fallback;
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || value < least || value > most) {
        char expected[64];
        snprintf(expected, sizeof expected, "a whole number from %d to %d", least, most);
        refuse(name, text, expected);
    }
    return (int)value;
}

static int read_seconds_as_ms(const char *name, double fallback_s)
{
    const char *text = getenv(name);
    if (!text)
        return (int)(fallback_s * 1000);
    char *end = NULL;
    double value_s = strtod(text, &end);
    if (end == text || *end || !isfinite(value_s) || value_s < 0 || value_s > 3600)
        refuse(name, text, "seconds from 0 to 3600");
    return (int)(value_s * 1000);
}

static const char *read_nonce(void)
{
    const char *text = getenv("LAB_NONCE");
    if (!text)
        return NULL;
    size_t len = strlen(text);
    /* Nothing but hex digits: it goes into a header as it is. */
    if (len < CONFIG_NONCE_MIN || len > CONFIG_NONCE_MAX || strspn(text, "0123456789abcdef") != len)
        refuse("LAB_NONCE", text, "16 to 64 hex digits in lower case");
    return text;
}

/* One process per CPU it may run on, which need not be all there are. */
static int count_cpus(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) < 0)
        return CPU_SETSIZE; /* EINVAL: there are more than fit the set */
    return CPU_COUNT(&cpus);
}

struct config config_read(void)
{
    struct config config = {.address = {.sin_family = AF_INET}};
    const char *host = getenv("LAB_HOST");
    if (!host)
        host = "0.0.0.0";
    if (inet_pton(AF_INET, host, &config.address.sin_addr) != 1)
        refuse("LAB_HOST", host, "an IPv4 address");
    config.address.sin_port = htons((uint16_t)config_number("LAB_PORT", 8080, 1, 65535));
    config.backlog = config_number("LAB_BACKLOG", 4096, 1, 1 << 20);
    config.drain_ms = read_seconds_as_ms("LAB_DRAIN_S", 5);
    config.reuseport = config_number("LAB_REUSEPORT", 0, 0, 1);
    config.nonce = read_nonce();
    config.instance = config_number("LAB_INSTANCE", -1, 0, 9999);
    config.processes = config_number("LAB_PROCESSES", count_cpus(), 1, CONFIG_PROCESSES_MAX);
    return config;
}

static void check(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static int bind_socket(const struct config *config, bool reuseport)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    check(fd, "socket");
    check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
    if (reuseport)
        check(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), "SO_REUSEPORT");
    /* Linux hands TCP_NODELAY down to accepted sockets: one call here saves one per connection. */
    check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
    check(bind(fd, (const struct sockaddr *)&config->address, sizeof config->address), "bind");
    return fd;
}

void config_check_free(const struct config *config)
{
    /* Bound, not listening: so that no client can come to a socket that is about to be closed. */
    close(bind_socket(config, false)); /* best effort */
}

int config_open(const struct config *config)
{
    int fd = bind_socket(config, config->reuseport);
    /* The kernel cuts this to net.core.somaxconn in silence; `ss -ltn` shows what is left (Send-Q). */
    check(listen(fd, config->backlog), "listen");
    return fd;
}

void config_announce(const struct config *config, const char *variant)
{
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &config->address.sin_addr, host, sizeof host); /* cannot fail: the buffer fits */
    fprintf(stderr, "%s: listening on %s:%d, backlog %d\n", variant, host, ntohs(config->address.sin_port),
            config->backlog);
}

int config_listen(const struct config *config, const char *variant)
{
    int fd = config_open(config);
    config_announce(config, variant);
    return fd;
}

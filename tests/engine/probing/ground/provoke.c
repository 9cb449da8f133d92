/* Provoke one way of ending a connection K times; tell what the clients saw, and what grew in the namespace's counters. */
#define _GNU_SOURCE
#include "ground.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct seen {
    const char *what;
    int count;
} seen[16];

void see(const char *what)
{
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        if (!seen[i].what || strcmp(seen[i].what, what) == 0) {
            seen[i].what = what;
            seen[i].count++;
            return;
        }
}

void see_send(int fd)
{
    see(send(fd, "more", 4, MSG_NOSIGNAL) == 4 ? "sent" : strerrorname_np(errno));
}

void see_recv(int fd)
{
    char buffer[2048];
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    see(got > 0 ? "bytes" : got == 0 ? "EOF" : strerrorname_np(errno));
}
void see_recv_now(int fd)
{
    char buffer[64];
    ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    see(got > 0 ? "bytes" : got == 0 ? "EOF" : strerrorname_np(errno));
}

noreturn void cannot(const char *what)
{
    printf("{\"cannot\": \"%s: %s\"}\n", what, strerror(errno));
    exit(0);
}

/* Either one at a time, or all at once where each of them waits for the kernel's clock. */
static const struct {
    const char *name;
    void (*once)(void);
    void (*all)(int times);
} WAYS[] = {
    {"close-unread", .once = close_unread},
    {"killed-unread", .once = killed_unread},
    {"seed-close", .once = seed_close},
    {"linger-zero", .once = linger_zero},
    {"linger2-unacknowledged", .once = linger2_unacknowledged},
    {"linger2-acknowledged", .once = linger2_acknowledged},
    {"port-closed", .once = port_closed},
    {"reuse-after-close", .once = reuse_after_close},
    {"shutdown-both", .once = shutdown_both},
    {"destroyed", .once = destroyed},
    {"lingering-close", .once = lingering_close},
    {"listener-closed", .once = listener_closed},
    {"reuseport-closed", .once = reuseport_closed},
    {"accept-queue-full", .all = accept_queue_full},
    {"final-ack-overflow", .once = final_ack_overflow},
    {"accept-emfile", .once = accept_without_descriptors},
    {"cookie-returned", .once = cookie_returned},
    {"cookie-wrong", .once = cookie_wrong},
    {"cookies-overflow", .once = cookies_overflow},
    {"peer-vanished", .once = peer_vanished},
    {"user-timeout", .all = user_timeout},
    {"keepalive-timeout", .all = keepalive_timeout},
    {"segment-dropped", .all = segment_dropped},
};

struct counter {
    char name[48];
    long long value;
};

/* Tcp and TcpExt of this network namespace: pairs of lines, names and values (proc_net_snmp). */
static size_t read_counters(struct counter *counters, size_t most)
{
    size_t count = 0;
    static char names[8192], values[8192];
    const char *const paths[] = {"/proc/net/snmp", "/proc/net/netstat"};
    for (int p = 0; p < 2; p++) {
        FILE *file = fopen(paths[p], "r");
        if (!file)
            die(paths[p]);
        while (fgets(names, sizeof names, file) && fgets(values, sizeof values, file)) {
            if (strncmp(names, "Tcp: ", 5) != 0 && strncmp(names, "TcpExt: ", 8) != 0)
                continue;
            char *name_at, *value_at;
            char *name = strtok_r(names, " \n", &name_at), *value = strtok_r(values, " \n", &value_at);
            while (count < most && (name = strtok_r(NULL, " \n", &name_at)) &&
                   (value = strtok_r(NULL, " \n", &value_at))) {
                snprintf(counters[count].name, sizeof counters[count].name, "%s", name);
                counters[count++].value = atoll(value);
            }
        }
        fclose(file);
    }
    return count;
}

int provoke(const char *way, int times)
{
    static struct counter before[512], after[512];
    for (size_t w = 0; w < sizeof WAYS / sizeof *WAYS; w++) {
        if (strcmp(WAYS[w].name, way) != 0)
            continue;
        size_t count = read_counters(before, 512);
        for (int i = 0; WAYS[w].once && i < times; i++)
            WAYS[w].once();
        if (WAYS[w].all)
            WAYS[w].all(times);
        if (read_counters(after, 512) != count)
            die("counters");
        printf("{\"seen\": {");
        for (size_t i = 0; i < sizeof seen / sizeof *seen && seen[i].what; i++)
            printf("%s\"%s\": %d", i ? ", " : "", seen[i].what, seen[i].count);
        printf("}, \"grown\": {");
        const char *comma = "";
        for (size_t i = 0; i < count; i++) {
            if (after[i].value == before[i].value)
                continue;
            printf("%s\"%s\": %lld", comma, after[i].name, after[i].value - before[i].value);
            comma = ", ";
        }
        puts("}}");
        return 0;
    }
    fprintf(stderr, "ground: no way called '%s'\n", way);
    return 2;
}

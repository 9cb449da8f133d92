/* Ground truth for the probes: a server that counts its own system calls, its client, and a provoker of resets.
 *
 *     ground serve PORT             count until SIGUSR1, then print the counts as JSON and end
 *     ground load PORT M N          M connections at once, N exchanges in all; every answer is checked
 *     ground provoke WAY K          K times; prints what the client saw and what grew in /proc/net, as JSON
 *
 * The server is in epoll_wait both when counting begins and when it ends: a call that has not returned is in neither count.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPLY "Hello, world!"
#define MOST 4096

static void die(const char *what)
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
static int listen_on(int *port, int backlog, int flags, int reuseport)
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

static int try_connect(int port)
{
    struct sockaddr_in at = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int connect_to(int port)
{
    int fd = try_connect(port);
    if (fd < 0)
        die("connect");
    return fd;
}

/* --- serve ----------------------------------------------------------------------------------------------------------- */

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

static int serve(int port)
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

static int load(int port, int connections, int exchanges)
{
    static int fds[MOST];
    char buffer[64];
    for (int i = 0; i < connections; i++)
        fds[i] = connect_to(port);
    for (int i = 0; i < exchanges; i++) {
        int fd = fds[i % connections];
        if (send(fd, "ask", 3, 0) != 3 || recv(fd, buffer, sizeof buffer, 0) != sizeof REPLY - 1 ||
            memcmp(buffer, REPLY, sizeof REPLY - 1) != 0)
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

/* --- provoke --------------------------------------------------------------------------------------------------------- */

static struct seen {
    const char *what;
    int count;
} seen[16];

static void see(const char *what)
{
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        if (!seen[i].what || strcmp(seen[i].what, what) == 0) {
            seen[i].what = what;
            seen[i].count++;
            return;
        }
}

static void see_send(int fd)
{
    see(send(fd, "more", 4, MSG_NOSIGNAL) == 4 ? "sent" : strerrorname_np(errno));
}

static void see_recv(int fd)
{
    char buffer[2048];
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    see(got > 0 ? "bytes" : got == 0 ? "EOF" : strerrorname_np(errno));
}

struct pair {
    int listener, client, server;
};

static struct pair connected(void)
{
    int port = 0;
    struct pair pair = {.listener = listen_on(&port, 16, 0, 0)};
    pair.client = connect_to(port);
    pair.server = accept(pair.listener, NULL, NULL);
    if (pair.server < 0)
        die("accept");
    return pair;
}

static void close_unread(void)
{
    struct pair pair = connected();
    see_send(pair.client);
    close(pair.server);
    see_recv(pair.client);
    see_send(pair.client);
    close(pair.client);
    close(pair.listener);
}

/* A server killed with a request unread. The parent, who is the client, must not keep the server's end open. */
static void killed_unread(void)
{
    struct pair pair = connected();
    pid_t child = fork();
    if (child == 0) {
        close(pair.client);
        for (;;)
            pause();
    }
    close(pair.server);
    see_send(pair.client);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    see_recv(pair.client);
    close(pair.client);
    close(pair.listener);
}

/* The seed's C server: recv(1024) of a larger request, an answer, close. */
static void seed_close(void)
{
    struct pair pair = connected();
    char request[1500] = "", buffer[1024];
    if (send(pair.client, request, sizeof request, 0) != sizeof request ||
        recv(pair.server, buffer, sizeof buffer, 0) != sizeof buffer || send(pair.server, REPLY, 13, 0) != 13)
        die("exchange");
    close(pair.server);
    see_recv(pair.client);
    see_recv(pair.client);
    close(pair.client);
    close(pair.listener);
}

static void linger_zero(void)
{
    struct pair pair = connected();
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(pair.server, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(pair.server);
    see_recv(pair.client);
    close(pair.client);
    close(pair.listener);
}

static void listener_closed(void)
{
    int port = 0, listener = listen_on(&port, 16, 0, 0), client = connect_to(port);
    close(listener);
    see_recv(client);
    close(client);
}

static void port_closed(void)
{
    int port = 0, listener = listen_on(&port, 16, 0, 0);
    close(listener);
    int client = try_connect(port);
    see(client >= 0 ? "connected" : strerrorname_np(errno));
}

static void reuse_after_close(void)
{
    struct pair pair = connected();
    int on = 1;
    close(pair.server);
    see_recv(pair.client);
    /* Acknowledge the server's FIN now. Delayed by 40 ms as usual, the acknowledgement would come with the data, and the
     * server's socket would not be a time-wait one yet: then it is TCP_ABORT_ON_DATA, as after shutdown(). */
    setsockopt(pair.client, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    see_send(pair.client);
    see_send(pair.client);
    close(pair.client);
    close(pair.listener);
}

static void shutdown_both(void)
{
    struct pair pair = connected();
    shutdown(pair.server, SHUT_RDWR);
    see_recv(pair.client);
    see_send(pair.client);
    see_send(pair.client);
    close(pair.client);
    close(pair.server);
    close(pair.listener);
}

/* The server's end goes without a word (TCP_REPAIR, which needs CAP_NET_ADMIN), its listener stays. */
static void peer_vanished(void)
{
    struct pair pair = connected();
    int on = 1;
    if (setsockopt(pair.server, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) != 0)
        die("TCP_REPAIR");
    close(pair.server);
    see_send(pair.client);
    see_recv(pair.client);
    close(pair.client);
    close(pair.listener);
}

/* Twenty clients queue at two listeners of one port, of which one goes. How many were its own, the kernel's hash decides. */
static void reuseport_closed(void)
{
    int port = 0, first = listen_on(&port, 64, 0, 1), second = listen_on(&port, 64, 0, 1), clients[20];
    for (int i = 0; i < 20; i++)
        clients[i] = connect_to(port);
    close(second);
    for (int i = 0; i < 20; i++) {
        char buffer[8];
        ssize_t got = recv(clients[i], buffer, sizeof buffer, MSG_DONTWAIT);
        see(got == 0 ? "EOF" : strerrorname_np(errno));
    }
    for (int i = 0; i < 20; i++)
        close(clients[i]);
    close(first); /* whoever is still queued there has said goodbye already and is reset without anybody noticing */
}

/* Control: the server shuts down, drains, closes. Nothing is reset, nothing aborted. */
static void lingering_close(void)
{
    struct pair pair = connected();
    char buffer[64];
    see_send(pair.client);
    shutdown(pair.server, SHUT_WR);
    see_recv(pair.client);
    shutdown(pair.client, SHUT_WR);
    while (recv(pair.server, buffer, sizeof buffer, 0) > 0)
        ;
    close(pair.server);
    close(pair.client);
    close(pair.listener);
}

/* Eight clients fill a queue of eight that waits for data; eight more are let in by SYN and find it full when they send. */
static void final_ack_overflow(void)
{
    int port = 0, listener = listen_on(&port, 8, 0, 0), seconds = 10, clients[16];
    if (setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds) != 0)
        die("TCP_DEFER_ACCEPT");
    for (int i = 0; i < 16; i++) {
        clients[i] = connect_to(port);
        if (i < 8)
            see_send(clients[i]);
    }
    for (int i = 8; i < 16; i++)
        see_send(clients[i]);
    for (int i = 0; i < 16; i++) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0}; /* or they would go on sending again */
        setsockopt(clients[i], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(clients[i]);
    }
    close(listener);
}

static const struct {
    const char *name;
    void (*once)(void);
} WAYS[] = {
    {"close-unread", close_unread},           {"killed-unread", killed_unread},     {"seed-close", seed_close},
    {"linger-zero", linger_zero},             {"listener-closed", listener_closed}, {"port-closed", port_closed},
    {"reuse-after-close", reuse_after_close}, {"shutdown-both", shutdown_both},     {"peer-vanished", peer_vanished},
    {"reuseport-closed", reuseport_closed},   {"lingering-close", lingering_close},
    {"final-ack-overflow", final_ack_overflow},
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

static int provoke(const char *way, int times)
{
    static struct counter before[512], after[512];
    for (size_t w = 0; w < sizeof WAYS / sizeof *WAYS; w++) {
        if (strcmp(WAYS[w].name, way) != 0)
            continue;
        size_t count = read_counters(before, 512);
        for (int i = 0; i < times; i++)
            WAYS[w].once();
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

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        return serve(atoi(argv[2]));
    if (argc == 5 && strcmp(argv[1], "load") == 0 && atoi(argv[3]) > 0 && atoi(argv[3]) <= MOST)
        return load(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
    if (argc == 4 && strcmp(argv[1], "provoke") == 0)
        return provoke(argv[2], atoi(argv[3]));
    fprintf(stderr, "ground: expected serve PORT | load PORT M N | provoke WAY K\n");
    return 2;
}

/* The ways in which a server ends a connection that it has accepted, and what they do to the client. */
#define _GNU_SOURCE
#include "ground.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

void close_unread(void)
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
void killed_unread(void)
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
void seed_close(void)
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

void linger_zero(void)
{
    struct pair pair = connected();
    reset_on_close(pair.server);
    close(pair.server);
    see_recv(pair.client);
    close(pair.client);
    close(pair.listener);
}

void port_closed(void)
{
    int port = 0, listener = listen_on(&port, 16, 0, 0);
    close(listener);
    int client = open_socket();
    see(try_connect(client, port) == 0 ? "connected" : strerrorname_np(errno));
    close(client);
}

void reuse_after_close(void)
{
    struct pair pair = connected();
    close(pair.server);
    see_recv(pair.client);
    /* Acknowledge the server's FIN now. Delayed by 40 ms as usual, the acknowledgement would come with the data, and the
     * server's socket would not be a time-wait one yet: then it is TCP_ABORT_ON_DATA, as after shutdown(). */
    acknowledge_now(pair.client);
    see_send(pair.client);
    see_send(pair.client);
    close(pair.client);
    close(pair.listener);
}

void shutdown_both(void)
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


/* Control: the server shuts down, drains, closes. Nothing is reset, nothing aborted. */
void lingering_close(void)
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

static void no_wait_for_the_fin(int fd)
{
    int none = -1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &none, sizeof none) != 0)
        die("TCP_LINGER2");
}

/* TCP_LINGER2 < 0: no waiting for the client's FIN. Closed before the client has acknowledged the server's, it is the
 * acknowledgement that is answered with a reset. */
void linger2_unacknowledged(void)
{
    struct pair pair = connected();
    no_wait_for_the_fin(pair.server);
    close(pair.server);
    see_recv(pair.client);
    acknowledge_now(pair.client);
    see_send(pair.client);
    close(pair.client);
    close(pair.listener);
}

/* Closed afterwards, in FIN_WAIT2, it is the close itself that resets. */
void linger2_acknowledged(void)
{
    struct pair pair = connected();
    no_wait_for_the_fin(pair.server);
    shutdown(pair.server, SHUT_WR);
    see_recv(pair.client);
    acknowledge_now(pair.client);
    close(pair.server);
    see_send(pair.client);
    close(pair.client);
    close(pair.listener);
}

/* What `ss -K` asks of the kernel: end this socket. Needs CAP_NET_ADMIN and CONFIG_INET_DIAG_DESTROY. */
static void destroy(int fd)
{
    struct sockaddr_in here, there;
    socklen_t size = sizeof here, peer_size = sizeof there;
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 what;
    } order = {
        .head = {.nlmsg_len = sizeof order, .nlmsg_type = SOCK_DESTROY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .what = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = -1U},
    };
    struct {
        struct nlmsghdr head;
        struct nlmsgerr result;
        char echo[sizeof order];
    } answer;
    if (getsockname(fd, (struct sockaddr *)&here, &size) != 0 ||
        getpeername(fd, (struct sockaddr *)&there, &peer_size) != 0)
        die("the socket's addresses");
    order.what.id = (struct inet_diag_sockid){
        .idiag_sport = here.sin_port, .idiag_dport = there.sin_port,
        .idiag_src = {here.sin_addr.s_addr}, .idiag_dst = {there.sin_addr.s_addr},
        .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE},
    };
    int diag = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
    if (diag < 0 || send(diag, &order, sizeof order, 0) != sizeof order ||
        recv(diag, &answer, sizeof answer, 0) < (ssize_t)(sizeof answer.head + sizeof answer.result))
        die("sock_diag");
    close(diag);
    errno = -answer.result.error;
    if (errno == EOPNOTSUPP || errno == EPERM)
        cannot("SOCK_DESTROY");
    if (errno != 0)
        die("SOCK_DESTROY");
}

/* The server's end is destroyed from outside: both ends hear of it. */
void destroyed(void)
{
    struct pair pair = connected();
    destroy(pair.server);
    see_recv(pair.server);
    see_recv(pair.client);
    close(pair.client);
    close(pair.server);
    close(pair.listener);
}

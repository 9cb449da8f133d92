/* What the parts of the ground truth share: sockets on 127.0.0.1, and the tally of what a client saw. */
#ifndef GROUND_H
#define GROUND_H

#include <netinet/in.h>
#include <stdnoreturn.h>

#define REPLY "Hello, world!"

noreturn void die(const char *what);
int listen_on(int *port, int backlog, int flags, int reuseport);
int open_socket(void);
int try_connect(int fd, int port);
int connect_to(int port);

/* Both ends of one connection, and the listener that it came by. */
struct pair {
    int listener, client, server;
};
struct pair connected(void);
void part(struct pair pair);     /* close all three so that nothing is reset */
void reset_on_close(int fd);     /* SO_LINGER {1, 0} */
void acknowledge_now(int fd);    /* what is waiting to be acknowledged, instead of 40 ms later */
void vanish(int fd);             /* close without a word to the peer: TCP_REPAIR, which needs CAP_NET_ADMIN */

int serve(int port);
int load(int port, int connections, int exchanges, int is_http);
int provoke(const char *way, int times);

void see(const char *what);
void see_send(int fd);
void see_recv(int fd);
void see_recv_now(int fd);       /* EAGAIN where nothing has come */
noreturn void cannot(const char *what); /* this kernel or container does not allow it: say so, and end without a failure */

/* closing.c */
void close_unread(void), killed_unread(void), seed_close(void), linger_zero(void), port_closed(void);
void reuse_after_close(void), shutdown_both(void), lingering_close(void), linger2_unacknowledged(void);
void linger2_acknowledged(void), destroyed(void);
/* queues.c */
void listener_closed(void), reuseport_closed(void), final_ack_overflow(void), accept_without_descriptors(void);
void cookie_returned(void), cookie_wrong(void), cookies_overflow(void), accept_queue_full(int times);
/* silence.c */
void peer_vanished(void), user_timeout(int times), keepalive_timeout(int times), segment_dropped(int times);

#endif

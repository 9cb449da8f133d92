/* seed-c: a bare thread-per-connection server, kept as a specimen with its defects.
 *
 * It looks right and passes every test with one client at a time. Under load nearly every client hangs or gets somebody
 * else's data. Each defect is marked DEFECT with what it causes; servers/c-threads is the same idea without them.
 *
 * Protocol: one message in, the first 13 bytes of it back after the delay, close.
 * Needs: Linux 2.6. Leaves out on purpose: checks, corrections, an orderly shutdown.
 * By hand: LAB_DELAY_MS=50 ./server & printf 'hello, lab!!!' | nc 127.0.0.1 8080
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 100, MESSAGE_BYTES = 1024, REPLY_BYTES = 13, JOIN_AT = 1000 };

/* DEFECT 1: one buffer for all threads. Whoever receives last overwrites what the others are about to send, so with
 * overlapping clients a reply carries another client's data. */
static char client_message[MESSAGE_BYTES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct timespec delay = {.tv_sec = 60};

static void *serve(void *argument)
{
    /* DEFECT 2: the descriptor is read through a pointer to the accept loop's own variable. By the time this thread
     * runs, the loop has often accepted the next client: several threads then serve that one, and the clients
     * in between are never served and never closed. They hang, and their descriptors leak. */
    int socket_fd = *(int *)argument;

    /* DEFECT 3: one recv() is taken for a whole message, and its result is ignored. A longer message stays partly unread, and
     * close() below then resets the connection: the client gets 13 bytes and an ECONNRESET. */
    (void)!recv(socket_fd, client_message, sizeof client_message, 0);

    /* DEFECT 4: the mutex protects nothing. Only a pointer is taken under it; the bytes it points to are
     * written by recv() above and read by send() below, both outside. */
    pthread_mutex_lock(&lock);
    const char *reply = client_message;
    pthread_mutex_unlock(&lock);

    nanosleep(&delay, NULL);

    /* DEFECT 5: a short send is not noticed, nor a failed one. MSG_NOSIGNAL is a kindness of this specimen: without it the
     * first client that has left would end the whole process by SIGPIPE, and nothing could be measured. */
    (void)!send(socket_fd, reply, REPLY_BYTES, MSG_NOSIGNAL);

    /* DEFECT 6: when several threads hold the same number, the second close() may hit a connection that was accepted
     * meanwhile and got that number again. */
    close(socket_fd);
    return NULL;
}

/* Not in the article: as a container's first process a server without a handler would ignore SIGTERM. */
static void leave(int number)
{
    (void)number;
    _exit(0);
}

int main(void)
{
    signal(SIGTERM, leave); /* best effort */
    signal(SIGINT, leave);
    const char *host = getenv("LAB_HOST"), *port = getenv("LAB_PORT"), *delay_ms = getenv("LAB_DELAY_MS");
    if (delay_ms) {
        long ms = atol(delay_ms);
        delay = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(port ? atoi(port) : 8080))};
    address.sin_addr.s_addr = host ? inet_addr(host) : htonl(INADDR_ANY);

    int server_fd = socket(AF_INET, SOCK_STREAM, 0);
    /* Checked, unlike the rest: a server that does not listen is no specimen of anything. SO_REUSEADDR lets it be started again. */
    const int on = 1;
    if (server_fd < 0 || setsockopt(server_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(server_fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        /* DEFECT 7: a queue of 100. While the loop below joins, a burst of clients overflows it; the kernel drops their
         * connection attempts and they wait for a retry. */
        listen(server_fd, BACKLOG) < 0) {
        perror("seed-c: cannot listen");
        return 1;
    }
    fprintf(stderr, "seed-c: listening, backlog %d\n", BACKLOG);

    static pthread_t tid[JOIN_AT];
    int i = 0;
    int newSocket;
    for (;;) {
        /* DEFECT 8: a failed accept() is not noticed. Out of descriptors, the loop makes threads for descriptor -1 as
         * fast as it can. */
        newSocket = accept(server_fd, NULL, NULL);

        /* DEFECT 2, the other half: &newSocket is the same address for every thread. Default stacks reserve 8 MiB of
         * address space each. DEFECT 9: a failed creation is only mentioned; the client hangs, and tid[] keeps an old id. */
        if (pthread_create(&tid[i++], NULL, serve, &newSocket) != 0)
            fprintf(stderr, "seed-c: cannot create a thread\n");

        /* DEFECT 10: threads are joined in blocks. At the thousandth client nobody is accepted until all thousand
         * are done, and a thread that waits for a silent client stops the server for good. */
        if (i >= JOIN_AT) {
            for (i = 0; i < JOIN_AT; i++)
                pthread_join(tid[i], NULL);
            i = 0;
        }
    }
}

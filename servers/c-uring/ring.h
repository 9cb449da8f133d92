/* One io_uring and what belongs to it: its queues, its table of direct descriptors, its receive buffers.
 *
 * Each of the ring_*() requests below takes a place in the submission queue and nothing else: the kernel hears of it
 * with the next io_uring_enter(), together with all others.
 */
#pragma once
#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a completion is about: the low bits of its user_data. The rest is the address of whom it concerns. */
enum tag { TAG_NOTHING, TAG_RECEIVE, TAG_SEND, TAG_LEAVE, TAG_SHUT, TAG_ACCEPT, TAG_SIGNAL, TAG_WAKE, TAG_MASK = 7 };

struct ring {
    struct io_uring uring;
    struct io_uring_buf_ring *buffers;
    char *memory;        /* what the buffers are cut from */
    unsigned files_most; /* places in the table of direct descriptors */
    unsigned files_open; /* ... taken */
};

/* Makes a ring. 0, or a negative errno, with *what set to the step that failed. */
int ring_open(struct ring *ring, const char **what);
void ring_shut(struct ring *ring);

/* Accepts into the ring's table of direct descriptors: once, or (is_many) until it says so or fails. */
void ring_accept(struct ring *ring, int listen_fd, bool is_many);

/* Tells, again and again, that an ordinary descriptor can be read; or, once, POLL* events of a direct one. */
void ring_watch_fd(struct ring *ring, int fd, enum tag tag);
void ring_watch_file(struct ring *ring, int file, unsigned events, void *who);

/* Receives whatever comes, piece by piece, each into a buffer of its own. */
void ring_receive(struct ring *ring, int file, void *who);

void ring_send(struct ring *ring, int file, const char *at, size_t len, int flags, void *who);

/* shutdown(2) may sleep, so a kernel thread does it, which looks the file up when its turn comes: closed meanwhile, its
 * place could be another client's. So nothing may be closed before this has completed. */
void ring_shutdown(struct ring *ring, int file, int how, void *who);

/* These two say nothing when they succeed; nobody waits for them. */
void ring_cancel(struct ring *ring, void *who, enum tag tag); /* the one request with that user_data */
void ring_close(struct ring *ring, int file, bool is_busy);   /* is_busy: requests on it are under way; they are cancelled */

/* The buffer that a completion with these flags filled. It must be given back, or receiving dries up. */
static inline unsigned ring_buffer_id(unsigned flags) { return flags >> IORING_CQE_BUFFER_SHIFT; }
char *ring_buffer(const struct ring *ring, unsigned id);
void ring_give_back(struct ring *ring, unsigned id);

#include "ring.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum {
    SUBMISSIONS = 4096,  /* places before io_uring_enter() must be called in the middle of a round */
    COMPLETIONS = 16384, /* beyond it the kernel keeps a list of its own, which costs an allocation each */
    BUFFERS = 1024,      /* a power of two. They are taken only while a round's data wait to be read, not while nobody speaks */
    BUFFER_BYTES = 4096, /* most requests fit; a longer one comes in several */
    BUFFER_GROUP = 0,
    FILES_MOST = 1 << 17, /* a slot costs 8 bytes even when it is empty */
    TRIES = 1000
};

int ring_open(struct ring *ring, const char **what)
{
    /* One thread submits and reaps, so completions need no lock and no interrupt: they are made when we ask for them.
     * One bad request must not keep those behind it from being submitted. */
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETIONS};
    *what = "io_uring_setup";
    int error = io_uring_queue_init_params(SUBMISSIONS, &ring->uring, &params);
    if (error < 0)
        return error;
    io_uring_register_ring_fd(&ring->uring); /* spares each call a look-up; best effort */
    unsigned workers[2] = {1, 1};            /* only shutdown(2) needs a kernel thread: it might sleep */
    io_uring_register_iowq_max_workers(&ring->uring, workers); /* best effort */

    struct rlimit limit; /* the kernel allows a table no more places than that, but each ring has its own */
    *what = "a table of direct descriptors";
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        error = -errno;
    else {
        ring->files_most = limit.rlim_cur < FILES_MOST ? (unsigned)limit.rlim_cur : FILES_MOST;
        error = io_uring_register_files_sparse(&ring->uring, ring->files_most);
    }
    if (error == 0) {
        *what = "a ring of provided buffers";
        ring->buffers = io_uring_setup_buf_ring(&ring->uring, BUFFERS, BUFFER_GROUP, 0, &error);
        ring->memory = malloc((size_t)BUFFERS * BUFFER_BYTES);
        if (ring->buffers && !ring->memory)
            error = -ENOMEM;
    }
    if (error < 0)
        return ring_shut(ring), error;
    for (unsigned id = 0; id < BUFFERS; id++)
        ring_give_back(ring, id);
    ring->files_open = 0;
    return 0;
}

void ring_shut(struct ring *ring)
{
    io_uring_queue_exit(&ring->uring);
    free(ring->memory);
    *ring = (struct ring){0};
}

char *ring_buffer(const struct ring *ring, unsigned id) { return ring->memory + (size_t)id * BUFFER_BYTES; }

void ring_give_back(struct ring *ring, unsigned id)
{
    io_uring_buf_ring_add(ring->buffers, ring_buffer(ring, id), BUFFER_BYTES, (unsigned short)id, BUFFERS - 1, 0);
    io_uring_buf_ring_advance(ring->buffers, 1);
}

/* A place in the submission queue. When it is full its requests are handed over first. */
static struct io_uring_sqe *next_place(struct ring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    for (int tries = 0; !sqe; tries++, sqe = io_uring_get_sqe(&ring->uring)) {
        int result = io_uring_submit(&ring->uring);
        if (result >= 0 || result == -EINTR)
            continue;
        if (tries == TRIES || (result != -EAGAIN && result != -EBUSY)) { /* those two: the kernel is short of memory */
            fprintf(stderr, "io_uring_enter: %s\n", strerror(-result));
            exit(1);
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); /* best effort */
    }
    return sqe;
}

static void address(struct io_uring_sqe *sqe, void *who, enum tag tag, unsigned flags)
{
    io_uring_sqe_set_data64(sqe, (uintptr_t)who | tag);
    io_uring_sqe_set_flags(sqe, flags);
}

void ring_accept(struct ring *ring, int listen_fd, bool is_many)
{
    struct io_uring_sqe *sqe = next_place(ring);
    if (is_many)
        io_uring_prep_multishot_accept_direct(sqe, listen_fd, NULL, NULL, 0);
    else
        io_uring_prep_accept_direct(sqe, listen_fd, NULL, NULL, 0, IORING_FILE_INDEX_ALLOC);
    address(sqe, NULL, TAG_ACCEPT, 0);
}

void ring_watch_fd(struct ring *ring, int fd, enum tag tag)
{
    struct io_uring_sqe *sqe = next_place(ring);
    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    address(sqe, NULL, tag, 0);
}

void ring_watch_file(struct ring *ring, int file, unsigned events, void *who)
{
    struct io_uring_sqe *sqe = next_place(ring);
    io_uring_prep_poll_add(sqe, file, events);
    address(sqe, who, TAG_LEAVE, IOSQE_FIXED_FILE);
}

void ring_receive(struct ring *ring, int file, void *who)
{
    struct io_uring_sqe *sqe = next_place(ring);
    io_uring_prep_recv_multishot(sqe, file, NULL, 0, 0);
    sqe->buf_group = BUFFER_GROUP;
    address(sqe, who, TAG_RECEIVE, IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT);
}

void ring_send(struct ring *ring, int file, const char *at, size_t len, int flags, void *who)
{
    struct io_uring_sqe *sqe = next_place(ring);
    io_uring_prep_send(sqe, file, at, len, flags | MSG_NOSIGNAL);
    address(sqe, who, TAG_SEND, IOSQE_FIXED_FILE);
}

void ring_shutdown(struct ring *ring, int file, int how, void *who)
{
    struct io_uring_sqe *sqe = next_place(ring);
    io_uring_prep_shutdown(sqe, file, how);
    address(sqe, who, TAG_SHUT, IOSQE_FIXED_FILE);
}

void ring_cancel(struct ring *ring, void *who, enum tag tag)
{
    struct io_uring_sqe *sqe = next_place(ring);
    io_uring_prep_cancel64(sqe, (uintptr_t)who | tag, 0);
    address(sqe, NULL, TAG_NOTHING, IOSQE_CQE_SKIP_SUCCESS);
}

void ring_close(struct ring *ring, int file, bool is_busy)
{
    if (is_busy) { /* each holds the socket open until it ends */
        struct io_uring_sqe *sqe = next_place(ring);
        io_uring_prep_cancel_fd(sqe, file, IORING_ASYNC_CANCEL_FD_FIXED | IORING_ASYNC_CANCEL_ALL);
        address(sqe, NULL, TAG_NOTHING, IOSQE_CQE_SKIP_SUCCESS);
    }
    struct io_uring_sqe *sqe = next_place(ring);
    io_uring_prep_close_direct(sqe, (unsigned)file);
    address(sqe, NULL, TAG_NOTHING, IOSQE_CQE_SKIP_SUCCESS);
}

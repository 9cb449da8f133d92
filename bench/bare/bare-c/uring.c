/* One io_uring: it accepts and receives by itself, and a whole round of answers goes in with one call. */
#define _GNU_SOURCE
#include "bare.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES = 4096, FILES = 1024, BUFFERS = 1024, GROUP = 0, ACCEPT = 1 << 30, IGNORED = 1 << 29 };

static struct io_uring ring;

/* Of a completion user_data says what it is about: ACCEPT, IGNORED, or the file that was received from. */
static struct io_uring_sqe *next_place(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    must(sqe ? 0 : -1, "io_uring_get_sqe");
    return sqe;
}

static void ask_accept(int listen_fd)
{
    struct io_uring_sqe *sqe = next_place();
    io_uring_prep_multishot_accept_direct(sqe, listen_fd, NULL, NULL, 0);
    sqe->user_data = ACCEPT;
}

static void ask_receive(int file)
{
    struct io_uring_sqe *sqe = next_place();
    io_uring_prep_recv_multishot(sqe, file, NULL, 0, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
    sqe->user_data = (uint64_t)file;
}

static void answer(int file)
{
    size_t len;
    const char *text = hello(&len);
    struct io_uring_sqe *sqe = next_place();
    io_uring_prep_send(sqe, file, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = IGNORED;
}

static void drop(int file)
{
    struct io_uring_sqe *sqe = next_place();
    io_uring_prep_close_direct(sqe, (unsigned)file);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = IGNORED;
}

void serve_uring(int listen_fd)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    errno = -io_uring_queue_init_params(ENTRIES, &ring, &params);
    if (errno) {
        fprintf(stderr, "unsupported: io_uring_setup: %s\n", strerror(errno));
        exit(3);
    }
    io_uring_register_ring_fd(&ring); /* best effort */
    must(io_uring_register_files_sparse(&ring, FILES) < 0 ? -1 : 0, "a table of direct descriptors");
    int error;
    struct io_uring_buf_ring *given = io_uring_setup_buf_ring(&ring, BUFFERS, GROUP, 0, &error);
    char *memory = malloc((size_t)BUFFERS * INPUT_BYTES);
    must(given && memory ? 0 : -1, "a ring of provided buffers");
    for (int id = 0; id < BUFFERS; id++)
        io_uring_buf_ring_add(given, memory + (size_t)id * INPUT_BYTES, INPUT_BYTES, (unsigned short)id, BUFFERS - 1, id);
    io_uring_buf_ring_advance(given, BUFFERS);
    ask_accept(listen_fd);
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head, count = 0, returned = 0;
        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, cqe) {
            count++;
            bool goes_on = cqe->flags & IORING_CQE_F_MORE;
            if (cqe->user_data == ACCEPT) {
                if (cqe->res >= 0)
                    ask_receive(cqe->res);
                if (!goes_on)
                    ask_accept(listen_fd);
                continue;
            }
            if (cqe->user_data >= IGNORED)
                continue;
            int file = (int)cqe->user_data;
            if (cqe->flags & IORING_CQE_F_BUFFER) {
                unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
                char *input = memory + (size_t)id * INPUT_BYTES;
                if (cqe->res > 0 && asks(input, (size_t)cqe->res))
                    answer(file);
                io_uring_buf_ring_add(given, input, INPUT_BYTES, (unsigned short)id, BUFFERS - 1, (int)returned++);
            }
            if (!goes_on && (cqe->res > 0 || cqe->res == -ENOBUFS))
                ask_receive(file);
            else if (!goes_on)
                drop(file);
        }
        io_uring_buf_ring_advance(given, (int)returned);
        io_uring_cq_advance(&ring, count);
    }
}

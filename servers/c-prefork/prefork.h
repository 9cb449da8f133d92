/* The processes of c-prefork: the places they take, forking, dismissing and reaping them. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "shared/blocking.h"
#include "shared/config.h"

enum place_state { VACANT, SPARE, BUSY, DISMISSED };

struct place {
    atomic_int state;
    struct blocking_seat seat;
};

/* What parent and children share: mapped before the first fork, at the same address everywhere. */
extern struct shared {
    atomic_int spare;    /* processes that sleep in accept(), or are about to */
    atomic_bool is_full; /* there will be no further process */
    struct place places[];
} *shared;

/* -1: prints what failed, and errno, and exits with 1. */
void check(int result, const char *what);

/* Shares memory and counters among `most` processes, and blocks the signals that they will use. Returns a descriptor
 * with SIGTERM, SIGINT and SIGCHLD. A failure: one line, exit 1. */
int prepare_processes(int most, int instance);

/* The next of those signals, 0: there is none. */
int read_signal(int signal_fd);

/* Forks a process that will accept, or with fd >= 0 will serve that alone. Returns as fork() does, -1 also when all
 * places are taken; a failure was counted. */
pid_t fork_process(int fd);

int count_processes(void);
void signal_processes(int number);

/* Lets `count` of those who sleep in accept() go. */
void dismiss_processes(int count);

/* Frees the places of those who have ended. */
void reap_processes(void);

/* In a child: its place; its end. */
extern struct place *own;
_Noreturn void leave(void);

/* How many connections wait in the listener's queue. */
int count_queued(int listen_fd);

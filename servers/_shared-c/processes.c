#define _GNU_SOURCE
#include "processes.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stats.h"

enum { PATIENCE_MS = 2000 }; /* beyond LAB_DRAIN_S: then a child does not keep its word and is killed */

static struct child {
    pid_t pid; /* 0 once it has ended */
    int wake_fd;
} *children;
static int child_count, own = -1;
static atomic_int *ready; /* how many children are, in memory they share */

static void fail(const char *what)
{
    perror(what);
    for (int i = 0; i < child_count; i++) {
        if (children[i].pid > 0)
            kill(children[i].pid, SIGTERM); /* best effort */
    }
    exit(1);
}

static sigset_t parents_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGCHLD);
    return signals;
}

int processes_fork(int count)
{
    const sigset_t signals = parents_signals(); /* blocked before there is a child, so that none is lost */
    if (!(children = calloc((size_t)count, sizeof *children)) || !stats_share(count) ||
        sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        fail("calloc, mmap or sigprocmask");
    ready = mmap(NULL, sizeof *ready, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ready == MAP_FAILED)
        fail("mmap");
    for (int i = 0; i < count; i++) { /* each child needs all of them */
        if ((children[i].wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
            fail("eventfd");
    }
    const pid_t parent = getpid();
    for (; child_count < count; child_count++) {
        pid_t pid = fork();
        if (pid < 0)
            fail("fork");
        if (pid == 0) {
            own = child_count;
            child_count = count;
            stats_take(own);
            prctl(PR_SET_PDEATHSIG, SIGTERM); /* best effort: a killed parent shall not leave servers behind */
            if (getppid() != parent)          /* it was killed before that */
                exit(1);
            return own;
        }
        children[child_count].pid = pid;
    }
    return -1;
}

static void tell_all(int number)
{
    for (int i = 0; i < child_count; i++) {
        if (children[i].pid > 0)
            kill(children[i].pid, number); /* cannot fail: it is ours, and not waited for yet */
    }
}

/* Its number from 0, or -1: it is none of ours (the first process of a container inherits orphans). */
static int forget(pid_t pid)
{
    for (int i = 0; i < child_count; i++) {
        if (children[i].pid == pid) {
            children[i].pid = 0;
            return i;
        }
    }
    return -1;
}

static void say_how_it_ended(const char *variant, int index, pid_t pid, int status)
{
    if (WIFSIGNALED(status))
        fprintf(stderr, "%s: process %d (pid %d) was killed by signal %d; the server ends\n", variant, index, (int)pid,
                WTERMSIG(status));
    else
        fprintf(stderr, "%s: process %d (pid %d) ended with exit code %d; the server ends\n", variant, index, (int)pid,
                WEXITSTATUS(status));
}

int processes_wait(const char *variant, int drain_ms)
{
    const sigset_t signals = parents_signals();
    const struct timespec limit = {.tv_sec = (drain_ms + PATIENCE_MS) / 1000};
    int left = child_count, exit_code = 0;
    bool is_stopping = false;
    while (left > 0) {
        /* While stopping each ended child starts the limit anew: still bounded, and simpler than a deadline. */
        int number = sigtimedwait(&signals, NULL, is_stopping ? &limit : NULL);
        if (number < 0 && errno == EAGAIN) {
            fprintf(stderr, "%s: %d processes outlive LAB_DRAIN_S by %d s; they are killed\n", variant, left,
                    PATIENCE_MS / 1000);
            exit_code = 1;
            tell_all(SIGKILL);
        }
        bool must_stop = number == SIGTERM || number == SIGINT;
        int status;
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
            int index = forget(pid);
            if (index < 0)
                continue;
            left--;
            if (status != 0 || !(is_stopping || must_stop)) {
                if (exit_code == 0) /* the first; what follows is its consequence */
                    say_how_it_ended(variant, index, pid, status);
                exit_code = 1;
                must_stop = true;
            }
        }
        if (must_stop && !is_stopping)
            tell_all(SIGTERM);
        is_stopping = is_stopping || must_stop;
    }
    return exit_code;
}

void processes_meet(void)
{
    if (own < 0)
        return;
    atomic_fetch_add(ready, 1);
    sigset_t pending;
    do { /* once per start, for a few ms: not worth more than looking */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        sigpending(&pending); /* cannot fail */
    } while (atomic_load(ready) < child_count && !sigismember(&pending, SIGTERM)); /* SIGTERM: another one failed */
}

int processes_wake_fd(void) { return own < 0 ? -1 : children[own].wake_fd; }

void processes_wake_others(void)
{
    const uint64_t one = 1;
    for (int i = 0; i < child_count; i++) {
        /* Fails only when 2^64 releases were not yet seen, and then it will wake just the same. */
        if (i != own && write(children[i].wake_fd, &one, sizeof one) < 0)
            continue;
    }
}

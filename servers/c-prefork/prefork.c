#define _GNU_SOURCE
#include "prefork.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/stats.h"

struct shared *shared;
struct place *own;

static pid_t *processes; /* by place; the parent's own */
static int places, living, own_instance;

void check(int result, const char *what)
{
    if (result >= 0)
        return;
    perror(what);
    exit(1);
}

int prepare_processes(int most, int instance)
{
    places = most;
    own_instance = instance;
    processes = calloc((size_t)most, sizeof *processes);
    check(processes ? 0 : -1, "calloc");
    size_t len = sizeof *shared + (size_t)most * sizeof *shared->places;
    shared = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(shared == MAP_FAILED || !stats_share(most) ? -1 : 0, "mmap");
    stats_open(instance);

    sigset_t blocked, heeded; /* before there is a child, so that none is lost */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT); /* a terminal sends it to the children too; they wait for the parent's word */
    sigaddset(&blocked, SIGCHLD);
    heeded = blocked;
    sigaddset(&blocked, SIGUSR1); /* what /release wakes processes with */
    sigaddset(&blocked, SIGUSR2); /* what a surplus one is called out of accept() with */
    check(sigprocmask(SIG_BLOCK, &blocked, NULL), "sigprocmask");
    int signal_fd = signalfd(-1, &heeded, SFD_CLOEXEC | SFD_NONBLOCK);
    check(signal_fd, "signalfd");
    return signal_fd;
}

int read_signal(int signal_fd)
{
    struct signalfd_siginfo info;
    return read(signal_fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

int count_processes(void) { return living; }

pid_t fork_process(int fd)
{
    static int next; /* the search goes on where the last one ended */
    if (living == places)
        return -1;
    while (processes[next])
        next = (next + 1) % places;
    struct place *place = &shared->places[next];
    atomic_store(&place->state, fd < 0 ? SPARE : BUSY); /* counted before it runs, or the parent would fork too many */
    atomic_fetch_add(&shared->spare, fd < 0);
    const pid_t parent = getpid(), process = fork();
    if (process == 0) {
        own = place;
        stats_take(next);
        stats_open(own_instance);
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* best effort: a killed parent shall not leave servers behind */
        if (getppid() != parent)          /* it was killed before that */
            _exit(1);
        return 0;
    }
    if (process < 0) {
        stats_count_error(errno);
        atomic_store(&place->state, VACANT);
        atomic_fetch_sub(&shared->spare, fd < 0);
        return -1;
    }
    processes[next] = process;
    atomic_store(&shared->is_full, ++living == places);
    return process;
}

_Noreturn void leave(void)
{
    stats_leave((int)(own - shared->places));
    _exit(0);
}

void signal_processes(int number)
{
    for (int i = 0; i < places; i++) {
        if (processes[i])
            kill(processes[i], number); /* cannot fail: it is ours, and not waited for yet */
    }
}

void dismiss_processes(int count)
{
    for (int i = places - 1; i >= 0 && count > 0; i--) {
        int was = SPARE;
        if (!processes[i] || !atomic_compare_exchange_strong(&shared->places[i].state, &was, DISMISSED))
            continue;
        atomic_fetch_sub(&shared->spare, 1);
        /* Should it come between two accepts it is lost: that process takes one more connection, and then goes. */
        kill(processes[i], SIGUSR2);
        count--;
    }
}

static void free_place(int i)
{
    struct place *place = &shared->places[i];
    const pid_t process = processes[i];
    const int status = blocking_bury(&place->seat, process);
    if (atomic_exchange(&place->state, VACANT) == SPARE) /* it was killed */
        atomic_fetch_sub(&shared->spare, 1);
    stats_leave(i);
    processes[i] = 0;
    living--;
    atomic_store(&shared->is_full, false);
    if (WIFSIGNALED(status))
        fprintf(stderr, "c-prefork: process %d was killed by signal %d\n", (int)process, WTERMSIG(status));
}

void reap_processes(void)
{
    for (;;) {
        siginfo_t info = {0};
        /* Left a zombie for now: as long as it is one, nobody else can get its pid. */
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return;
        int i = 0;
        while (i < places && processes[i] != info.si_pid)
            i++;
        if (i < places)
            free_place(i);
        else
            waitpid(info.si_pid, NULL, 0); /* none of ours: the first process of a container inherits orphans */
    }
}

int count_queued(int listen_fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(listen_fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return 0;             /* best effort */
    return (int)info.tcpi_unacked; /* of a listener: its accept queue (tcp_get_info() in the kernel) */
}

#define _GNU_SOURCE /* strerrorname_np() */
#include "stats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* How many wait in /hold (low half) and how many releases there were (high half) change in one step. So a release
 * counts exactly those it sets free, in whatever process they wait, and nobody takes a lock. */
static atomic_uint_least64_t own_holds, *holds = &own_holds;

static struct stats own;
struct stats *stats = &own;
static struct stats *each = &own; /* of every process */
static int lines = 1;             /* how many there are of `each` */

static int own_instance = -1;
static DIR *fd_dir;        /* /proc/self/fd */
static int status_fd = -1; /* /proc/self/status */
static int spare_fd = -1;  /* given up for a moment to look at another process, when there may be no other left */
static pthread_mutex_t dir_lock = PTHREAD_MUTEX_INITIALIZER; /* a DIR has one position */

void stats_open(int instance)
{
    own_instance = instance;
    if (fd_dir) { /* the parent's, inherited: they tell of the parent. Best effort, as all closing here. */
        closedir(fd_dir);
        close(status_fd);
        close(spare_fd);
    }
    fd_dir = opendir("/proc/self/fd"); /* best effort: /stats says null without it */
    status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC); /* the same */
    if (lines > 1)
        spare_fd = fcntl(status_fd, F_DUPFD_CLOEXEC, 0); /* best effort */
}

bool stats_share(int processes)
{
    lines = processes + 1;
    size_t len = (size_t)lines * sizeof *each;
    void *pages = mmap(NULL, len + sizeof *holds, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return false;
    each = pages;
    holds = (void *)((char *)pages + len);
    stats_take(processes);
    return true;
}

void stats_take(int index)
{
    stats = &each[index];
    atomic_store(&stats->pid, getpid());
}

void stats_leave(int index)
{
    atomic_store(&each[index].pid, 0);
    atomic_store(&each[index].active, 0);
}

void stats_count_error(int number)
{
    if (number > 0 && number < STATS_ERRNO_MAX)
        atomic_fetch_add_explicit(&stats->errors[number], 1, memory_order_relaxed);
}

/* ---- /hold ------------------------------------------------------------------------------------------------------ */

unsigned stats_hold(void) { return (unsigned)(atomic_fetch_add(holds, 1) >> 32); }

bool stats_is_released(unsigned hold) { return hold != (unsigned)(atomic_load(holds) >> 32); }

void stats_unhold(unsigned hold)
{
    uint_least64_t seen = atomic_load(holds);
    while ((unsigned)(seen >> 32) == hold && !atomic_compare_exchange_weak(holds, &seen, seen - 1))
        ; /* somebody else came or left meanwhile: `seen` is new */
}

unsigned stats_release(void)
{
    uint_least64_t seen = atomic_load(holds);
    while (!atomic_compare_exchange_weak(holds, &seen, ((seen >> 32) + 1) << 32))
        ;
    return (unsigned)seen;
}

/* ---- counting by /proc ------------------------------------------------------------------------------------------ */

static long count_entries(DIR *dir)
{
    long count = 0;
    errno = 0;
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    return errno ? -1 : count; /* readdir() ends with NULL either way */
}

static long read_threads(int fd)
{
    char text[4096];
    ssize_t len = pread(fd, text, sizeof text - 1, 0);
    if (len <= 0)
        return -1;
    text[len] = 0;
    const char *line = strstr(text, "\nThreads:");
    return line ? strtol(line + strlen("\nThreads:"), NULL, 10) : -1;
}

static long count_own_descriptors(void)
{
    if (!fd_dir)
        return -1;
    pthread_mutex_lock(&dir_lock);
    rewinddir(fd_dir);
    long count = count_entries(fd_dir);
    pthread_mutex_unlock(&dir_lock);
    return count < 0 ? -1 : count + atomic_load(&stats->direct_fds);
}

/* The descriptors or threads of another process. Only servers of several processes come here, and these have one
 * thread each: nobody can snatch the spare descriptor away. */
static long count_of(int pid, bool is_descriptors)
{
    char path[40];
    snprintf(path, sizeof path, is_descriptors ? "/proc/%d/fd" : "/proc/%d/status", pid);
    if (spare_fd >= 0)
        close(spare_fd); /* best effort, as all closing here */
    long count = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        count = 0; /* it has just ended */
    DIR *dir = fd >= 0 && is_descriptors ? fdopendir(fd) : NULL;
    if (dir)
        count = count_entries(dir);
    else if (fd >= 0 && !is_descriptors)
        count = read_threads(fd);
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
    spare_fd = fcntl(status_fd, F_DUPFD_CLOEXEC, 0);
    return count;
}

/* Of all processes; -1 as soon as one of them cannot be asked. */
static long count_all(bool is_descriptors)
{
    long sum = is_descriptors ? count_own_descriptors() : read_threads(status_fd);
    for (int i = 0; i < lines && sum >= 0; i++) {
        int pid = atomic_load(&each[i].pid);
        if (pid == 0 || &each[i] == stats) /* not forked yet, or this one */
            continue;
        long count = count_of(pid, is_descriptors);
        sum = count < 0 ? -1 : sum + count;
    }
    return sum;
}

/* ---- the answer ------------------------------------------------------------------------------------------------- */

/* A count that could not be taken is null, never 0. */
static int print_count(char *to, size_t room, const char *key, long count)
{
    if (count < 0)
        return snprintf(to, room, ",\"%s\":null", key);
    return snprintf(to, room, ",\"%s\":%ld", key, count);
}

size_t stats_render(char text[STATS_TEXT_MAX], const char *variant)
{
    unsigned long accepted = 0, requests = 0;
    long active = 0;
    for (int i = 0; i < lines; i++) {
        accepted += atomic_load(&each[i].accepted);
        active += atomic_load(&each[i].active);
        requests += atomic_load(&each[i].requests);
    }
    const size_t room = STATS_TEXT_MAX; /* 134 errno names of at most 40 bytes fit */
    size_t len = (size_t)snprintf(text, room,
                                  "{\"variant\":\"%s\",\"accepted\":%lu,\"active\":%ld,\"held\":%u,\"requests\":%lu,"
                                  "\"errors\":{",
                                  variant, accepted, active, (unsigned)atomic_load(holds), requests);
    const char *comma = "";
    for (int number = 1; number < STATS_ERRNO_MAX; number++) {
        unsigned long count = 0;
        for (int i = 0; i < lines; i++)
            count += atomic_load(&each[i].errors[number]);
        const char *name = count ? strerrorname_np(number) : NULL;
        if (!name)
            continue;
        len += (size_t)snprintf(text + len, room - len, "%s\"%s\":%lu", comma, name, count);
        comma = ",";
    }
    len += (size_t)snprintf(text + len, room - len, "}");
    len += (size_t)print_count(text + len, room - len, "instance", own_instance);
    len += (size_t)print_count(text + len, room - len, "open_fds", count_all(true));
    len += (size_t)print_count(text + len, room - len, "threads", count_all(false));
    len += (size_t)snprintf(text + len, room - len, "}");
    return len;
}

#define _GNU_SOURCE /* strerrorname_np() */
#include "stats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stats stats;

static int own_instance = -1;
static DIR *fd_dir;         /* /proc/self/fd */
static int status_fd = -1;  /* /proc/self/status */
static pthread_mutex_t dir_lock = PTHREAD_MUTEX_INITIALIZER; /* a DIR has one position */

void stats_open(int instance)
{
    own_instance = instance;
    fd_dir = opendir("/proc/self/fd"); /* best effort: /stats says null without it */
    status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC); /* the same */
}

void stats_count_error(int number)
{
    if (number > 0 && number < STATS_ERRNO_MAX)
        atomic_fetch_add_explicit(&stats.errors[number], 1, memory_order_relaxed);
}

static long count_descriptors(void)
{
    if (!fd_dir)
        return -1;
    pthread_mutex_lock(&dir_lock);
    rewinddir(fd_dir);
    long count = 0;
    errno = 0;
    for (const struct dirent *entry; (entry = readdir(fd_dir));)
        count += entry->d_name[0] != '.';
    if (errno) /* readdir() ends with NULL either way */
        count = -1;
    pthread_mutex_unlock(&dir_lock);
    return count;
}

static long count_threads(void)
{
    char text[4096];
    ssize_t len = pread(status_fd, text, sizeof text - 1, 0);
    if (len <= 0)
        return -1;
    text[len] = 0;
    const char *line = strstr(text, "\nThreads:");
    return line ? strtol(line + strlen("\nThreads:"), NULL, 10) : -1;
}

/* A count that could not be taken is null, never 0. */
static int print_count(char *to, size_t room, const char *key, long count)
{
    if (count < 0)
        return snprintf(to, room, ",\"%s\":null", key);
    return snprintf(to, room, ",\"%s\":%ld", key, count);
}

size_t stats_render(char text[STATS_TEXT_MAX], const char *variant)
{
    const size_t room = STATS_TEXT_MAX; /* 134 errno names of at most 40 bytes fit */
    size_t len = (size_t)snprintf(text, room,
                                  "{\"variant\":\"%s\",\"accepted\":%lu,\"active\":%ld,\"held\":%ld,\"requests\":%lu,"
                                  "\"errors\":{",
                                  variant, atomic_load(&stats.accepted), atomic_load(&stats.active),
                                  atomic_load(&stats.held), atomic_load(&stats.requests));
    const char *comma = "";
    for (int number = 1; number < STATS_ERRNO_MAX; number++) {
        unsigned long count = atomic_load(&stats.errors[number]);
        const char *name = count ? strerrorname_np(number) : NULL;
        if (!name)
            continue;
        len += (size_t)snprintf(text + len, room - len, "%s\"%s\":%lu", comma, name, count);
        comma = ",";
    }
    len += (size_t)snprintf(text + len, room - len, "}");
    len += (size_t)print_count(text + len, room - len, "instance", own_instance);
    len += (size_t)print_count(text + len, room - len, "open_fds", count_descriptors());
    len += (size_t)print_count(text + len, room - len, "threads", count_threads());
    len += (size_t)snprintf(text + len, room - len, "}");
    return len;
}

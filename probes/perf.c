/* The second rung: what `perf stat -p` counts, asked of the kernel directly (perf_event_open), for hosts whose kernel
 * has no BTF or lets nobody load programs.
 *
 * Per thread, inherited by those it starts: switches, migrations, page faults; with tracefs at /sys/kernel/tracing also
 * system calls in all and epoll's waits. No errors by name, no ready lists, no TCP: those are eBPF's.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rung.h"

#define MOST_DESCRIPTORS 16384
#define TRACING "/sys/kernel/tracing/events/"

static struct event {
    const char *group, *name;  /* where its count goes in the line */
    const char *tracepoint;    /* NULL: a software event, `config` */
    unsigned long long config; /* -1: not to be had here */
} events[] = {
    {"switches", "any", NULL, PERF_COUNT_SW_CONTEXT_SWITCHES},
    {"scheduler", "migrations", NULL, PERF_COUNT_SW_CPU_MIGRATIONS},
    {"scheduler", "page_faults", NULL, PERF_COUNT_SW_PAGE_FAULTS},
    {"syscalls", "all", "raw_syscalls/sys_exit", 0},
    {"epoll", "returns", "syscalls/sys_exit_epoll_wait", 0},
};
#define EVENTS (sizeof events / sizeof *events)

static struct {
    int fd;
    size_t event;
} opened[MOST_DESCRIPTORS];
static size_t opened_count;

static unsigned long long tracepoint_id(const char *tracepoint)
{
    char path[128];
    unsigned long long id = -1ULL;
    snprintf(path, sizeof path, TRACING "%s/id", tracepoint);
    FILE *file = fopen(path, "re");
    if (file) {
        if (fscanf(file, "%llu", &id) != 1)
            id = -1ULL;
        fclose(file);
    }
    return id;
}

static int open_for(pid_t tid, size_t number, char *why, size_t why_size)
{
    struct perf_event_attr attr = {
        .size = sizeof attr,
        .type = events[number].tracepoint ? PERF_TYPE_TRACEPOINT : PERF_TYPE_SOFTWARE,
        .config = events[number].config,
        .inherit = 1,
        .disabled = 1,
        .exclude_guest = 1,
    };
    int fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0 && errno == ESRCH)
        return 0; /* it ended meanwhile */
    if (fd < 0 || opened_count == MOST_DESCRIPTORS) {
        snprintf(why, why_size, "perf_event_open for thread %d: %s (%zu are open)", (int)tid,
                 fd < 0 ? strerror(errno) : "too many threads", opened_count);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    opened[opened_count].fd = fd;
    opened[opened_count++].event = number;
    return 0;
}

static int open_threads(pid_t pid, char *why, size_t why_size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        return 0;
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(tasks));) {
        pid_t tid = (pid_t)atoi(entry->d_name);
        for (size_t i = 0; tid > 0 && result == 0 && i < EVENTS; i++)
            if (events[i].config != -1ULL)
                result = open_for(tid, i, why, why_size);
    }
    closedir(tasks);
    return result;
}

/* Every process of the target's pid namespaces, not the first ones alone. */
static int open_processes(const struct target *target, char *why, size_t why_size)
{
    ino_t wanted[MOST_PIDS];
    for (int i = 0; i < target->pids_count; i++)
        if (!(wanted[i] = namespace_of(target->pids[i], "pid", why, why_size)))
            return -1;
    DIR *processes = opendir("/proc");
    if (!processes) {
        snprintf(why, why_size, "/proc: %s", strerror(errno));
        return -1;
    }
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(processes));) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        char ignored[128];
        ino_t found = pid > 0 ? namespace_of(pid, "pid", ignored, sizeof ignored) : 0;
        int is_ours = 0;
        for (int i = 0; found && i < target->pids_count; i++)
            is_ours |= wanted[i] == found;
        if (is_ours)
            result = open_threads(pid, why, why_size);
    }
    closedir(processes);
    return result;
}

static void end(void)
{
    for (size_t i = 0; i < opened_count; i++)
        close(opened[i].fd);
    opened_count = 0;
}

static int begin(const struct target *target, struct json *missing, char *why, size_t why_size)
{
    for (size_t i = 0; i < EVENTS; i++) {
        if (!events[i].tracepoint)
            continue;
        events[i].config = tracepoint_id(events[i].tracepoint);
        if (events[i].config == -1ULL)
            json_text(missing, events[i].group, "perf: no " TRACING " to be read: tracefs is not mounted on this host");
    }
    if (open_processes(target, why, why_size) != 0 || opened_count == 0) {
        if (opened_count == 0 && !*why)
            snprintf(why, why_size, "perf: the target has no thread");
        end();
        return -1;
    }
    for (size_t i = 0; i < opened_count; i++)
        ioctl(opened[i].fd, PERF_EVENT_IOC_ENABLE, 0);
    return 0;
}

static int write_counts(struct json *json, char *why, size_t why_size)
{
    unsigned long long sums[EVENTS] = {0};
    for (size_t i = 0; i < opened_count; i++) {
        unsigned long long count;
        if (read(opened[i].fd, &count, sizeof count) != sizeof count) {
            snprintf(why, why_size, "perf: a count cannot be read: %s", strerror(errno));
            return -1;
        }
        sums[opened[i].event] += count;
    }
    for (size_t i = 0; i < EVENTS; i++) {
        if (events[i].config == -1ULL)
            continue;
        int is_first = i == 0 || strcmp(events[i].group, events[i - 1].group) != 0;
        int is_last = i + 1 == EVENTS || strcmp(events[i].group, events[i + 1].group) != 0;
        if (is_first)
            json_open(json, events[i].group);
        json_count(json, events[i].name, sums[i]);
        if (is_last)
            json_close(json);
    }
    return 0;
}

const struct rung PERF_RUNG = {.name = "perf", .begin = begin, .write_counts = write_counts, .end = end};

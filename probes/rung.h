/* A way of counting, as the reader's loop sees it: begun once, read as often as asked. */
#ifndef LAB_RUNG_H
#define LAB_RUNG_H

#include <sys/types.h>

#include "json.h"

#define MOST_PIDS 64

/* Who is to be counted, by pids that the reader's pid namespace (the host's) knows. */
struct target {
    pid_t pids[MOST_PIDS]; /* first process of each container */
    int pids_count;
    pid_t net_pid; /* one in the network namespace whose TCP is counted; 0: none */
};

struct rung {
    const char *name;
    /* Begin to count. Returns 0, or -1 with a sentence in `why`. What cannot be counted on this kernel goes into `missing`
     * as name: reason, and is no failure. */
    int (*begin)(const struct target *target, struct json *missing, char *why, size_t why_size);
    /* Write all counts since the beginning as members of the open object. Returns 0 or -1. */
    int (*write_counts)(struct json *json, char *why, size_t why_size);
    void (*end)(void);
};

extern const struct rung EBPF_RUNG, PERF_RUNG;

/* Inode of /proc/PID/ns/KIND, or 0 with a sentence in `why`. */
ino_t namespace_of(pid_t pid, const char *kind, char *why, size_t why_size);

#endif

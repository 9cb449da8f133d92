/* What the programs counted, summed over the CPUs and put into words. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tables.h"
#include "tally.h"

/* Sum the CPUs' tallies. Returns 0 or -1. */
static int sum_tallies(int table, struct tally *sum)
{
    int cpus = libbpf_num_possible_cpus();
    size_t stride = (sizeof(struct tally) + 7) & ~(size_t)7;
    char *all = cpus > 0 ? malloc(stride * (size_t)cpus) : NULL;
    __u32 zero = 0;
    if (!all || bpf_map_lookup_elem(table, &zero, all) != 0) {
        free(all);
        return -1;
    }
    memset(sum, 0, sizeof *sum);
    for (int cpu = 0; cpu < cpus; cpu++) {
        const __u64 *from = (const __u64 *)(all + stride * (size_t)cpu); /* a tally is nothing but counts */
        __u64 *to = (__u64 *)sum;
        for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
            to[i] += from[i];
    }
    free(all);
    return 0;
}

/* Sum one key of a table over the CPUs; 0 for a key that is gone. */
static __u64 sum_key(int table, const void *key)
{
    int cpus = libbpf_num_possible_cpus();
    __u64 *each = cpus > 0 ? calloc((size_t)cpus, sizeof *each) : NULL, sum = 0;
    if (each && bpf_map_lookup_elem(table, key, each) == 0)
        for (int cpu = 0; cpu < cpus; cpu++)
            sum += each[cpu];
    free(each);
    return sum;
}

/* errors: call -> errno -> count. The table is in no order, so each call's errors are gathered first. */
static void write_errors(struct json *json, int table)
{
    struct {
        struct error_key key;
        __u64 count;
    } found[2048];
    size_t count = 0;
    struct error_key key, *before = NULL;
    while (count < sizeof found / sizeof *found && bpf_map_get_next_key(table, before, &key) == 0) {
        found[count].key = key;
        found[count++].count = sum_key(table, &key);
        before = &key;
    }
    char buffer[32];
    json_open(json, "errors");
    for (__u32 call = 0; call < SYSCALLS; call++) {
        int is_open = 0;
        for (size_t i = 0; i < count; i++) {
            if (found[i].key.syscall != call)
                continue;
            if (!is_open)
                json_open(json, syscall_name(call, buffer));
            is_open = 1;
            json_count(json, errno_name(found[i].key.error, buffer), found[i].count);
        }
        if (is_open)
            json_close(json);
    }
    json_close(json);
}

static void write_drops(struct json *json, int table, const struct names *reasons)
{
    __u32 key, *before = NULL;
    char buffer[32];
    json_open(json, "drops");
    while (bpf_map_get_next_key(table, before, &key) == 0) {
        json_count(json, name_of(reasons, key, buffer), sum_key(table, &key));
        before = &key;
    }
    json_close(json);
}

static void write_latency(struct json *json, const struct tally *tally)
{
    __u64 count = 0;
    char above[32];
    json_open(json, "runqueue_latency");
    json_open(json, "below_ns"); /* not cumulative: each bucket's own count by its upper edge */
    for (__u32 i = 0; i < LATENCY_BUCKETS; i++) {
        if (!tally->latency[i])
            continue;
        count += tally->latency[i];
        snprintf(above, sizeof above, "%llu", (unsigned long long)latency_above(i));
        json_count(json, above, tally->latency[i]);
    }
    json_close(json);
    json_count(json, "sum_ns", tally->latency_ns);
    json_count(json, "count", count);
    json_close(json);
}

static void write_tcp(struct json *json, const struct tally *tally, const struct tables *tables)
{
    char buffer[32];
    json_open(json, "tcp");
    json_open(json, "reset_sent");
    for (unsigned int i = 0; i < RESET_REASONS; i++)
        if (tally->resets_sent[i])
            json_count(json, tables->reset_tells_reason ? name_of(&tables->reset_reasons, i, buffer) : "not told",
                       tally->resets_sent[i]);
    json_close(json);
    json_count(json, "reset_received", tally->resets_received);
    json_count(json, "retransmit", tally->retransmits);
    json_count(json, "retransmit_failed", tally->retransmits_failed);
    json_count(json, "opened_active", tally->opened_active);
    json_count(json, "opened_passive", tally->opened_passive);
    json_count(json, "closed", tally->closed);
    json_close(json);
}

/* Events that a program missed because it was running on that CPU already (bpf_prog_info.recursion_misses). */
static __u64 count_misses(struct bpf_object *programs)
{
    __u64 misses = 0;
    struct bpf_program *program;
    bpf_object__for_each_program(program, programs) {
        struct bpf_prog_info info = {0};
        __u32 size = sizeof info;
        int fd = bpf_program__fd(program);
        if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
            misses += info.recursion_misses;
    }
    return misses;
}

int write_tables(struct json *json, const struct tables *tables, char *why, size_t why_size)
{
    static struct tally tally;
    char buffer[32];
    if (sum_tallies(tables->tallies, &tally) != 0) {
        snprintf(why, why_size, "eBPF: the counts cannot be read: %s", strerror(errno));
        return -1;
    }
    json_open(json, "syscalls");
    for (unsigned int i = 0; i < SYSCALLS; i++)
        if (tally.syscalls[i])
            json_count(json, syscall_name(i, buffer), tally.syscalls[i]);
    json_close(json);
    write_errors(json, tables->errors);
    json_open(json, "epoll");
    json_count(json, "returns", tally.epoll_returns);
    json_count(json, "events", tally.epoll_events);
    json_close(json);
    json_open(json, "switches");
    json_count(json, "voluntary", tally.switches[VOLUNTARY]);
    json_count(json, "involuntary", tally.switches[INVOLUNTARY]);
    json_close(json);
    json_open(json, "wakeups");
    json_count(json, "woken", tally.wakeups[WOKEN]);
    json_count(json, "new", tally.wakeups[WOKEN_NEW]);
    json_close(json);
    write_latency(json, &tally);
    write_tcp(json, &tally, tables);
    write_drops(json, tables->drops, &tables->drop_reasons);
    json_open(json, "uring");
    for (unsigned int i = 0; i < URING_OPS; i++)
        if (tally.uring_requests[i])
            json_count(json, name_of(&tables->uring_ops, i, buffer), tally.uring_requests[i]);
    json_close(json);
    json_open(json, "lost"); /* 0 wherever counts are exact */
    json_count(json, "recursion", count_misses(tables->programs));
    json_count(json, "errors", tally.no_room_errors);
    json_count(json, "drops", tally.no_room_drops);
    json_count(json, "woken", tally.no_room_woken);
    json_close(json);
    return 0;
}

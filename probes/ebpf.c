/* The first rung: the programs of probes.bpf.c, loaded, attached, summed over the CPUs and put into words. */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "names.h"
#include "probes.skel.h"
#include "rung.h"
#include "tally.h"

static struct probes_bpf *probes;
static struct names reset_reasons, drop_reasons, uring_ops;
static char last_words[256]; /* of libbpf, which explains on its way what its error code does not */

/* What a program needs besides the BPF syscall; without its tracepoint it is left out and named. */
static const struct {
    const char *program, *tracepoint, *what;
} WANTED[] = {
    {"on_sys_exit", "sys_exit", "syscalls"},
    {"on_wakeup", "sched_wakeup", "wakeups"},
    {"on_wakeup_new", "sched_wakeup_new", "wakeups"},
    {"on_switch", "sched_switch", "switches"},
    {"on_send_reset", "tcp_send_reset", "tcp"},
    {"on_receive_reset", "tcp_receive_reset", "tcp"},
    {"on_retransmit", "tcp_retransmit_skb", "tcp"},
    {"on_set_state", "inet_sock_set_state", "tcp"},
    {"on_drop", "kfree_skb", "drops"},
    {"on_uring_submit", "io_uring_submit_req", "uring"},
};
#define PROGRAMS (sizeof WANTED / sizeof *WANTED)

static int keep_words(enum libbpf_print_level level, const char *format, va_list values)
{
    if (level != LIBBPF_WARN)
        return 0;
    char text[sizeof last_words];
    vsnprintf(text, sizeof text, format, values);
    text[strcspn(text, "\n")] = '\0';
    if (*text && !strstr(text, "BEGIN PROG LOAD LOG") && !strstr(text, "END PROG LOAD LOG"))
        memcpy(last_words, text, sizeof last_words);
    return 0;
}

static int refuse(char *why, size_t why_size, const char *what, int error)
{
    snprintf(why, why_size, "eBPF: %s: %s%s%s", what, strerror(error), *last_words ? "; " : "", last_words);
    if (probes)
        probes_bpf__destroy(probes);
    probes = NULL;
    return -1;
}

static int choose_programs(const struct btf *btf, struct json *missing)
{
    for (size_t i = 0; i < PROGRAMS; i++) {
        if (tracepoint_arguments(btf, WANTED[i].tracepoint) >= 0)
            continue;
        struct bpf_program *program = bpf_object__find_program_by_name(probes->obj, WANTED[i].program);
        if (!program || bpf_program__set_autoload(program, false) != 0)
            return -1;
        char said[128];
        snprintf(said, sizeof said, "this kernel has no tracepoint %s", WANTED[i].tracepoint);
        json_text(missing, WANTED[i].what, said);
    }
    return 0;
}

static void say_what_tracepoints_tell(const struct btf *btf)
{
    probes->rodata->switch_tells_state = tracepoint_arguments(btf, "sched_switch") >= 4;
    probes->rodata->reset_tells_reason = tracepoint_arguments(btf, "tcp_send_reset") >= 3;
    probes->rodata->drop_tells_reason = tracepoint_arguments(btf, "kfree_skb") >= 3;
    probes->rodata->drop_tells_socket = tracepoint_arguments(btf, "kfree_skb") >= 4;
    probes->rodata->retransmit_tells_error = tracepoint_arguments(btf, "tcp_retransmit_skb") >= 3;
#ifdef SYS_epoll_wait
    probes->rodata->epoll_calls[0] = SYS_epoll_wait;
#endif
    probes->rodata->epoll_calls[1] = SYS_epoll_pwait;
#ifdef SYS_epoll_pwait2
    probes->rodata->epoll_calls[2] = SYS_epoll_pwait2;
#endif
}

static int begin(const struct target *target, struct json *missing, char *why, size_t why_size)
{
    libbpf_set_print(keep_words);
    struct btf *btf = btf__load_vmlinux_btf();
    if (!btf)
        return refuse(why, why_size, "/sys/kernel/btf/vmlinux cannot be read", errno);
    reset_reasons = names_of_enum(btf, "sk_rst_reason", "SK_RST_REASON_");
    drop_reasons = names_of_enum(btf, "skb_drop_reason", "SKB_DROP_REASON_");
    uring_ops = names_of_enum(btf, "io_uring_op", "IORING_OP_");
    probes = probes_bpf__open();
    if (!probes) {
        int error = errno;
        btf__free(btf);
        return refuse(why, why_size, "the programs cannot be opened", error);
    }
    int chosen = choose_programs(btf, missing);
    say_what_tracepoints_tell(btf);
    btf__free(btf);
    if (chosen != 0)
        return refuse(why, why_size, "a program is not in its object", ENOENT);

    ino_t pidns[MOST_PIDS];
    int pidns_count = 0;
    for (int i = 0; i < target->pids_count; i++) {
        ino_t found = namespace_of(target->pids[i], "pid", why, why_size);
        if (!found)
            return refuse(why, why_size, "the target's pid namespace cannot be read", errno);
        int known = 0;
        for (int k = 0; k < pidns_count; k++)
            known |= pidns[k] == found;
        if (!known)
            pidns[pidns_count++] = found;
    }
    if (pidns_count == 1)
        probes->rodata->pidns_one = (__u32)pidns[0];
    if (target->net_pid) {
        ino_t found = namespace_of(target->net_pid, "net", why, why_size);
        if (!found)
            return refuse(why, why_size, "the target's network namespace cannot be read", errno);
        probes->rodata->netns = (__u32)found;
    }
    int error = probes_bpf__load(probes);
    if (error)
        return refuse(why, why_size, "the kernel refuses the programs", -error);
    for (int i = 0; i < pidns_count; i++) {
        __u32 key = (__u32)pidns[i];
        __u8 yes = 1;
        if (bpf_map_update_elem(bpf_map__fd(probes->maps.pidns), &key, &yes, BPF_ANY) != 0)
            return refuse(why, why_size, "a namespace cannot be named to the programs", errno);
    }
    error = probes_bpf__attach(probes);
    if (error)
        return refuse(why, why_size, "the programs cannot be attached", -error);
    probes->bss->counting = 1;
    return 0;
}

/* Sum the CPUs' tallies. Returns 0 or -1. */
static int sum_tallies(struct tally *sum)
{
    int cpus = libbpf_num_possible_cpus();
    size_t stride = (sizeof(struct tally) + 7) & ~(size_t)7;
    char *all = cpus > 0 ? malloc(stride * (size_t)cpus) : NULL;
    __u32 zero = 0;
    if (!all || bpf_map_lookup_elem(bpf_map__fd(probes->maps.tallies), &zero, all) != 0) {
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
static void write_errors(struct json *json)
{
    int table = bpf_map__fd(probes->maps.errors);
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

static void write_drops(struct json *json)
{
    int table = bpf_map__fd(probes->maps.drops);
    __u32 key, *before = NULL;
    char buffer[32];
    json_open(json, "drops");
    while (bpf_map_get_next_key(table, before, &key) == 0) {
        json_count(json, name_of(&drop_reasons, key, buffer), sum_key(table, &key));
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

static void write_tcp(struct json *json, const struct tally *tally)
{
    char buffer[32];
    json_open(json, "tcp");
    json_open(json, "reset_sent");
    for (unsigned int i = 0; i < RESET_REASONS; i++)
        if (tally->resets_sent[i])
            json_count(json, probes->rodata->reset_tells_reason ? name_of(&reset_reasons, i, buffer) : "not told",
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
static __u64 count_misses(void)
{
    __u64 misses = 0;
    struct bpf_program *program;
    bpf_object__for_each_program(program, probes->obj) {
        struct bpf_prog_info info = {0};
        __u32 size = sizeof info;
        int fd = bpf_program__fd(program);
        if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
            misses += info.recursion_misses;
    }
    return misses;
}

static int write_counts(struct json *json, char *why, size_t why_size)
{
    static struct tally tally;
    char buffer[32];
    if (sum_tallies(&tally) != 0) {
        snprintf(why, why_size, "eBPF: the counts cannot be read: %s", strerror(errno));
        return -1;
    }
    json_open(json, "syscalls");
    for (unsigned int i = 0; i < SYSCALLS; i++)
        if (tally.syscalls[i])
            json_count(json, syscall_name(i, buffer), tally.syscalls[i]);
    json_close(json);
    write_errors(json);
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
    write_tcp(json, &tally);
    write_drops(json);
    json_open(json, "uring");
    for (unsigned int i = 0; i < URING_OPS; i++)
        if (tally.uring_requests[i])
            json_count(json, name_of(&uring_ops, i, buffer), tally.uring_requests[i]);
    json_close(json);
    json_open(json, "lost"); /* 0 wherever counts are exact */
    json_count(json, "recursion", count_misses());
    json_count(json, "errors", tally.no_room_errors);
    json_count(json, "drops", tally.no_room_drops);
    json_count(json, "woken", tally.no_room_woken);
    json_close(json);
    return 0;
}

static void end(void)
{
    probes_bpf__destroy(probes);
    probes = NULL;
}

const struct rung EBPF_RUNG = {.name = "ebpf", .begin = begin, .write_counts = write_counts, .end = end};

/* The first rung: the programs of probes.bpf.c, told who is counted, loaded and attached. What they count is read by
 * tables.c. */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

#include "names.h"
#include "probes.skel.h"
#include "rung.h"
#include "tables.h"
#include "tally.h"

static struct probes_bpf *probes;
static struct tables tables;
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
    tables.reset_reasons = names_of_enum(btf, "sk_rst_reason", "SK_RST_REASON_");
    tables.drop_reasons = names_of_enum(btf, "skb_drop_reason", "SKB_DROP_REASON_");
    tables.uring_ops = names_of_enum(btf, "io_uring_op", "IORING_OP_");
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
    tables.programs = probes->obj;
    tables.tallies = bpf_map__fd(probes->maps.tallies);
    tables.errors = bpf_map__fd(probes->maps.errors);
    tables.drops = bpf_map__fd(probes->maps.drops);
    tables.reset_tells_reason = probes->rodata->reset_tells_reason;
    probes->bss->counting = 1;
    return 0;
}

static int write_counts(struct json *json, char *why, size_t why_size)
{
    return write_tables(json, &tables, why, why_size);
}

static void end(void)
{
    probes_bpf__destroy(probes);
    probes = NULL;
}

const struct rung EBPF_RUNG = {.name = "ebpf", .begin = begin, .write_counts = write_counts, .end = end};

/* Who is counted and where: what the reader tells the programs, the tables they fill, and whose a task is.
 *
 * Part of probes.bpf.c, which includes what this needs.
 */
#ifndef LAB_OURS_BPF_H
#define LAB_OURS_BPF_H

/* Who is counted. */
const volatile __u32 pidns_one = 0;      /* the only pid namespace, or 0: those in the table `pidns` */
const volatile __u32 netns = 0;          /* 0: no TCP is counted */
/* What this kernel's tracepoints tell. */
const volatile bool switch_tells_state = false;  /* sched_switch, 4th argument: 5.18 */
const volatile bool reset_tells_reason = false;  /* tcp_send_reset, 3rd: 6.10 */
const volatile bool drop_tells_reason = false;   /* kfree_skb, 3rd: 5.17 */
const volatile bool drop_tells_socket = false;   /* kfree_skb, 4th: 6.11 */
const volatile bool retransmit_tells_error = false; /* tcp_retransmit_skb, 3rd: 6.16 */
/* Numbers differ between architectures; the highest for one that there is not. */
const volatile __u32 epoll_calls[EPOLL_CALLS] = {-1U, -1U, -1U};

volatile __u32 counting = 0;

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct tally);
} tallies SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 2048); /* some 60 calls times their usual errors */
    __type(key, struct error_key);
    __type(value, __u64);
} errors SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 512); /* 127 reasons of the core, and those of modules */
    __type(key, __u32);
    __type(value, __u64);
} drops SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 65536); /* threads that are ready at the same time */
    __type(key, __u32);   /* pid, as the host counts */
    __type(value, __u64); /* since when, ns */
} woken SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, MOST_PIDNS);
    __type(key, __u32);
    __type(value, __u8);
} pidns SEC(".maps");

static __always_inline struct tally *my_tally(void)
{
    __u32 zero = 0;
    return bpf_map_lookup_elem(&tallies, &zero);
}

/* nsproxy is two plain loads, and right for all that have not called unshare(CLONE_NEWPID), which needs privileges that
 * no server has here. A task that exits has given it up already; its pid still knows. */
static __always_inline __u32 pidns_of(struct task_struct *task)
{
    struct nsproxy *proxy = task->nsproxy;
    if (proxy)
        return proxy->pid_ns_for_children->ns.inum;
    struct pid *pid = task->thread_pid;
    if (!pid)
        return 0;
    struct pid_namespace *ns = 0;
    unsigned long at = bpf_core_field_offset(struct pid, numbers) + pid->level * bpf_core_type_size(struct upid) +
                       bpf_core_field_offset(struct upid, ns);
    if (bpf_probe_read_kernel(&ns, sizeof ns, (void *)pid + at) || !ns)
        return 0;
    return BPF_CORE_READ(ns, ns.inum);
}

static __always_inline bool is_ours(struct task_struct *task)
{
    if (!counting)
        return false;
    __u32 inum = pidns_of(task);
    if (pidns_one)
        return inum == pidns_one;
    return bpf_map_lookup_elem(&pidns, &inum) != 0;
}

static __always_inline void add_one(void *table, const void *key, __u64 *no_room)
{
    __u64 *found = bpf_map_lookup_elem(table, key);
    if (found) {
        (*found)++;
        return;
    }
    /* Another CPU may have made it meanwhile; this CPU's own share of it is still 0. */
    __u64 one = 1;
    if (bpf_map_update_elem(table, key, &one, BPF_ANY))
        (*no_room)++;
}

#endif

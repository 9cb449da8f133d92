/* Count what one target does, inside the kernel: system calls, epoll's ready lists, switches, waiting for a CPU, resets,
 * retransmissions, drops, io_uring requests.
 *
 * Tracing programs on BTF tracepoints only (tp_btf): kprobes and fentry are refused on some hosts. Tasks are ours by
 * the inode of their pid namespace, TCP by that of the socket's network namespace: TCP's tracepoints fire in softirq,
 * where the current task is anybody. The reader (ebpf.c) writes the constants of ours.bpf.h before loading, attaches
 * what this kernel has, and sets `counting` last.
 *
 * Kernel: 5.10 (bpf_get_current_task_btf is 5.11; BTF; tp_btf). Tracepoints' arguments grew over time; which there are
 * is read from BTF by the reader, and what is not there is never compiled in by the kernel's verifier.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "kernel.h"
#include "tally.h"
#include "ours.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL"; /* bpf_probe_read_kernel is for GPL-compatible programs */

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
    if (!is_ours(bpf_get_current_task_btf()))
        return 0;
    struct tally *tally = my_tally();
    if (!tally)
        return 0;
#if defined(__TARGET_ARCH_x86)
    __u64 number = regs->orig_ax;
#else
    __u64 number = (__u32)regs->syscallno;
#endif
    if (number >= SYSCALLS)
        number = SYSCALLS - 1;
    tally->syscalls[number]++;
    if (ret < 0 && ret >= -4095) { /* MAX_ERRNO: what is below is an address */
        struct error_key key = {.syscall = number, .error = -ret};
        add_one(&errors, &key, &tally->no_room_errors);
    } else if (number == epoll_calls[0] || number == epoll_calls[1] || number == epoll_calls[2]) {
        tally->epoll_returns++;
        tally->epoll_events += ret;
    }
    return 0;
}

static __always_inline void ready_since_now(struct task_struct *task, struct tally *tally)
{
    __u32 pid = task->pid;
    __u64 now_ns = bpf_ktime_get_ns();
    if (bpf_map_update_elem(&woken, &pid, &now_ns, BPF_ANY))
        tally->no_room_woken++;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *task)
{
    if (!is_ours(task))
        return 0;
    struct tally *tally = my_tally();
    if (!tally)
        return 0;
    tally->wakeups[WOKEN]++;
    ready_since_now(task, tally);
    return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(on_wakeup_new, struct task_struct *task)
{
    if (!is_ours(task))
        return 0;
    struct tally *tally = my_tally();
    if (!tally)
        return 0;
    tally->wakeups[WOKEN_NEW]++;
    ready_since_now(task, tally);
    return 0;
}

static __always_inline unsigned int state_of(struct task_struct *task)
{
    if (bpf_core_field_exists(task->__state))
        return task->__state;
    return BPF_CORE_READ((struct task_struct___old *)task, state);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
    struct tally *tally = my_tally();
    if (!tally)
        return 0;
    if (is_ours(prev)) {
        /* As __schedule() itself decides between nvcsw and nivcsw. */
        unsigned int state = switch_tells_state ? (unsigned int)ctx[3] : state_of(prev);
        bool is_voluntary = !preempt && state;
        tally->switches[is_voluntary ? VOLUNTARY : INVOLUNTARY]++;
        if (!is_voluntary)
            ready_since_now(prev, tally);
    }
    if (is_ours(next)) {
        __u32 pid = next->pid;
        __u64 *since_ns = bpf_map_lookup_elem(&woken, &pid);
        if (!since_ns)
            return 0; /* was ready before counting began */
        __u64 waited_ns = bpf_ktime_get_ns() - *since_ns;
        bpf_map_delete_elem(&woken, &pid);
        __u32 bucket = latency_bucket(waited_ns);
        if (bucket < LATENCY_BUCKETS) /* it is; the verifier wants to be told */
            tally->latency[bucket]++;
        tally->latency_ns += waited_ns;
    }
    return 0;
}

static __always_inline __u32 netns_of_sock(struct sock *sk)
{
    return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline __u32 netns_of_skb(struct sk_buff *skb)
{
    struct sock *sk = BPF_CORE_READ(skb, sk);
    if (sk)
        return netns_of_sock(sk);
    struct net_device *dev = BPF_CORE_READ(skb, dev);
    return dev ? BPF_CORE_READ(dev, nd_net.net, ns.inum) : 0;
}

static __always_inline bool is_our_sock(struct sock *sk)
{
    return counting && netns && sk && netns_of_sock(sk) == netns;
}

/* sk may be a request or a time-wait socket, of which only the common part is there; none where nobody listens. */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(on_send_reset, struct sock *sk, struct sk_buff *skb)
{
    if (!counting || !netns)
        return 0;
    __u32 inum = 0;
    if (sk)
        inum = netns_of_sock(sk);
    else if (skb)
        inum = netns_of_skb(skb);
    if (inum != netns)
        return 0;
    struct tally *tally = my_tally();
    if (!tally)
        return 0;
    __u32 reason = reset_tells_reason ? (__u32)ctx[2] : 0;
    if (reason >= RESET_REASONS)
        reason = RESET_REASONS - 1;
    tally->resets_sent[reason]++;
    return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(on_receive_reset, struct sock *sk)
{
    if (!is_our_sock(sk))
        return 0;
    struct tally *tally = my_tally();
    if (tally)
        tally->resets_received++;
    return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(on_retransmit, struct sock *sk)
{
    if (!is_our_sock(sk))
        return 0;
    struct tally *tally = my_tally();
    if (!tally)
        return 0;
    if (retransmit_tells_error && (int)ctx[2])
        tally->retransmits_failed++;
    else
        tally->retransmits++;
    return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_set_state, struct sock *sk, const int before, const int after)
{
    if (!is_our_sock(sk))
        return 0;
    struct tally *tally = my_tally();
    if (!tally)
        return 0;
    if (after == TCP_ESTABLISHED && before == TCP_SYN_SENT)
        tally->opened_active++;
    else if (after == TCP_ESTABLISHED && before == TCP_SYN_RECV)
        tally->opened_passive++;
    else if (after == TCP_CLOSE)
        tally->closed++;
    return 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(on_drop, struct sk_buff *skb)
{
    if (!counting || !netns)
        return 0;
    __u32 inum = 0;
    if (drop_tells_socket) {
        struct sock *receiver = (void *)ctx[3];
        if (receiver)
            inum = netns_of_sock(receiver);
    }
    if (!inum && skb)
        inum = netns_of_skb(skb);
    if (inum != netns)
        return 0;
    struct tally *tally = my_tally();
    if (!tally)
        return 0;
    __u32 reason = drop_tells_reason ? (__u32)ctx[2] : 0;
    add_one(&drops, &reason, &tally->no_room_drops);
    return 0;
}

/* Fires in the task that submits, or in its own poll thread, which shares its namespaces: here current is right. */
SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(on_uring_submit, struct io_kiocb *req)
{
    if (!is_ours(bpf_get_current_task_btf()))
        return 0;
    struct tally *tally = my_tally();
    if (!tally)
        return 0;
    tally->uring_requests[req->opcode % URING_OPS]++;
    return 0;
}

/* The few fields of the kernel's structures that are read here, found at load time by their names (CO-RE).
 *
 * Instead of a vmlinux.h of 100,000 lines made on one machine: only what is listed is assumed of a kernel, and the
 * loader says which of it is missing. Types: include/linux/sched.h, pid.h, ns_common.h, net/sock.h, skbuff.h.
 */
#ifndef LAB_KERNEL_H
#define LAB_KERNEL_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
    unsigned int inum;
};
struct pid_namespace {
    struct ns_common ns;
};
struct nsproxy {
    struct pid_namespace *pid_ns_for_children;
};
struct upid {
    int nr;
    struct pid_namespace *ns;
};
struct pid {
    unsigned int level;
    struct upid numbers[1];
};
struct task_struct {
    unsigned int __state; /* `state` before 5.14: task_struct___old */
    int pid;
    struct nsproxy *nsproxy;
    struct pid *thread_pid;
};
struct task_struct___old {
    long state;
};

struct net {
    struct ns_common ns;
};
typedef struct {
    struct net *net;
} possible_net_t;
struct sock_common {
    possible_net_t skc_net;
};
struct sock {
    struct sock_common __sk_common;
};
struct net_device {
    possible_net_t nd_net;
};
struct sk_buff {
    struct net_device *dev;
    struct sock *sk;
};

struct io_kiocb {
    unsigned char opcode;
};

struct pt_regs {
#if defined(__TARGET_ARCH_x86)
    unsigned long orig_ax;
#elif defined(__TARGET_ARCH_arm64)
    int syscallno;
#else
#error "how this architecture keeps the system call's number is not known here"
#endif
};

#pragma clang attribute pop

/* include/net/tcp_states.h */
enum { TCP_ESTABLISHED = 1, TCP_SYN_SENT = 2, TCP_SYN_RECV = 3, TCP_CLOSE = 7 };

#endif

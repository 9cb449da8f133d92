/* What the kernel side counts and the reader reads: one `struct tally` for each CPU, and two tables.
 *
 * Every field is written by one program only, so that no increment is lost to another one that interrupts it.
 */
#ifndef LAB_TALLY_H
#define LAB_TALLY_H

#define SYSCALLS 512       /* numbers in use end at 470 (Linux 6.18); whatever is above, -1 too, counts as the last */
#define RESET_REASONS 64   /* enum sk_rst_reason has 25 (Linux 6.18) */
#define URING_OPS 128      /* enum io_uring_op has 63 */
#define LATENCY_BUCKETS 160
#define EPOLL_CALLS 3      /* epoll_wait, epoll_pwait, epoll_pwait2 */
#define MOST_PIDNS 64      /* containers of one target */

enum switch_kind { VOLUNTARY, INVOLUNTARY, SWITCH_KINDS };
enum wakeup_kind { WOKEN, WOKEN_NEW, WAKEUP_KINDS };

struct tally {
    __u64 syscalls[SYSCALLS];      /* returned, by number */
    __u64 epoll_returns;           /* waits that did not fail */
    __u64 epoll_events;            /* what they returned, summed */
    __u64 switches[SWITCH_KINDS];  /* away from one of ours */
    __u64 wakeups[WAKEUP_KINDS];   /* of one of ours */
    /* Ready until running, in ns: four buckets to each power of two (latency_bucket). */
    __u64 latency[LATENCY_BUCKETS];
    __u64 latency_ns;              /* their sum */
    __u64 resets_sent[RESET_REASONS];
    __u64 resets_received;
    __u64 retransmits, retransmits_failed;
    __u64 opened_active, opened_passive, closed;
    __u64 uring_requests[URING_OPS];
    __u64 no_room_errors, no_room_drops, no_room_woken; /* events that a full table could not take */
};

struct error_key {
    __u32 syscall;
    __u32 error; /* errno, positive */
};

/* Two bits below the leading one choose among four buckets: a bucket's edges are 19 to 25 % apart. */
static inline __u32 latency_bucket(__u64 ns)
{
    __u32 log = 0;
    if (ns < 4)
        return (__u32)ns;
    if (ns >> 32) { log += 32; }
    if (ns >> (log + 16)) { log += 16; }
    if (ns >> (log + 8)) { log += 8; }
    if (ns >> (log + 4)) { log += 4; }
    if (ns >> (log + 2)) { log += 2; }
    if (ns >> (log + 1)) { log += 1; }
    __u32 bucket = (log - 1) * 4 + ((ns >> (log - 2)) & 3);
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* The first value in ns that is above a bucket. */
static inline __u64 latency_above(__u32 bucket)
{
    if (bucket < 4)
        return bucket + 1;
    return (__u64)(5 + bucket % 4) << (bucket / 4 - 1);
}

#endif

"""Write seccomp.json: the kernel's own table but for what reaches beyond a container, and io_uring's three calls.

`python3 make_seccomp.py < unistd.h > seccomp.json`, with /usr/include/asm-generic/unistd.h and .../asm/unistd_64.h of
linux-libc-dev one behind the other. Calls of a newer kernel than the headers' are refused until it is run again.
"""

import json
import re
import sys

# What Docker refuses to a container without capabilities, by its documentation: time, modules, mounts, other
# namespaces, kernel keyrings, tracing of the kernel, other processes' memory placement, ports of the hardware, relics.
_REFUSED = """
acct add_key afs_syscall bpf chroot clock_settime clock_settime64 create_module delete_module fanotify_init
finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy getpmsg init_module ioperm iopl kcmp
kexec_file_load kexec_load keyctl lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr mbind
migrate_pages mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree open_tree_attr
perf_event_open pidfd_getfd pivot_root process_madvise putpmsg query_module quotactl quotactl_fd reboot request_key
security set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday swapoff swapon _sysctl
sysfs syslog tuxcall umount umount2 unshare uselib userfaultfd ustat vhangup vserver
"""
REFUSED = frozenset(_REFUSED.split())
IO_URING = ["io_uring_enter", "io_uring_register", "io_uring_setup"]
NEW_NAMESPACES = 0x7E020000  # CLONE_NEW* of linux/sched.h: cgroup, uts, ipc, user, pid, net, mount
KNOWN_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)  # Linux, 32 bits, UNAME26, both, "which is it?"
SOCKET_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
NO_SUCH_CALL = 38  # ENOSYS: the C library then takes clone, whose flags a filter can see


def rule(names: list[str], action: str = "SCMP_ACT_ALLOW", **more: object) -> dict[str, object]:
    """Return one entry of the list."""
    return {"names": names, "action": action, **more}


def first_argument(value: int, op: str) -> list[dict[str, object]]:
    """Return a condition on a call's first argument."""
    return [{"index": 0, "value": value, "op": op}]


def main() -> None:
    """Read headers, write the profile."""
    names = set(re.findall(r"#define __NR(?:3264)?_(\w+)\s", sys.stdin.read())) - {"syscalls", "arch_specific_syscall"}
    names |= {"arch_prctl", "modify_ldt"}
    plain = sorted(names - REFUSED - set(IO_URING) - {"clone", "clone3", "personality", "socket"})
    if len(plain) < 250:
        sys.exit(f"make_seccomp.py: expected the kernel's table on standard input, seen {len(plain)} calls")
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": f"SCMP_ARCH_{name}", "subArchitectures": None} for name in ("X86_64", "AARCH64")],
        "syscalls": [
            rule(plain),
            rule(["clone"], args=[{"index": 0, "value": NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]),
            rule(["clone3"], "SCMP_ACT_ERRNO", errnoRet=NO_SUCH_CALL),
            *(rule(["personality"], args=first_argument(value, "SCMP_CMP_EQ")) for value in KNOWN_PERSONALITIES),
            *(rule(["socket"], args=first_argument(family, "SCMP_CMP_EQ")) for family in SOCKET_FAMILIES),
            rule(IO_URING),
        ],
    }
    json.dump(profile, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()

"""What a setting is where nobody tuned it: the kernel's own defaults, for an ablation to revert to.

Sources: Documentation/networking/ip-sysctl.rst, include/net/tcp.h, net/core/sysctl_net_core.c, and for descriptors the
soft limit that processes are given unless somebody raises it (INR_OPEN_CUR, include/uapi/linux/fs.h).
"""

from __future__ import annotations

# Values that depend on the machine's memory (tcp_max_tw_buckets, tcp_mem) are left out: they have no one default.
DEFAULTS = {
    # 128 until Linux 5.3, and what much advice still assumes; 4096 since then would revert nothing of interest.
    "net.core.somaxconn": "128",
    "net.ipv4.ip_local_port_range": "32768 60999",
    # The least that tcp_sk_init gives (max(128, hash size / 128)); a machine of this size is given more.
    "net.ipv4.tcp_max_syn_backlog": "128",
    "net.ipv4.tcp_abort_on_overflow": "0",
    "net.ipv4.tcp_syncookies": "1",
    "net.ipv4.tcp_tw_reuse": "2",  # loopback only, since 4.19; 0 before
    "net.ipv4.tcp_fin_timeout": "60",
    "net.ipv4.tcp_syn_retries": "6",
    "net.ipv4.tcp_synack_retries": "5",
    "net.ipv4.tcp_slow_start_after_idle": "1",
    "net.ipv4.tcp_keepalive_time": "7200",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
    "nofile": "1024",
}


def settle_revert(text: str) -> str | None:
    """Return "name=value" for what a suite's `reverts` names, its default where no value is given; None: none known."""
    if "=" in text:
        return text
    value = DEFAULTS.get(text)
    return None if value is None else f"{text}={value}"

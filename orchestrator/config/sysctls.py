"""Turn a sysctl's name into where it is set: in a pod's network namespace, on the host, or nowhere while it runs.

Source: the kernel's ipv4_net_table and netns_core_table (net/ipv4/sysctl_net_ipv4.c, net/core/sysctl_net_core.c) and
Documentation/networking/ip-sysctl.rst. A name that an older kernel lacks is refused there by the engine, not here.
"""

from __future__ import annotations

from orchestrator.config.faults import nearest

_TCP = """
    abort_on_overflow adv_win_scale app_win autocorking base_mss challenge_ack_limit child_ehash_entries
    comp_sack_delay_ns comp_sack_nr comp_sack_slack_ns congestion_control dsack early_retrans ecn ecn_fallback fack
    fastopen fastopen_blackhole_timeout_sec fin_timeout frto fwmark_accept invalid_ratelimit keepalive_intvl
    keepalive_probes keepalive_time limit_output_bytes max_reordering max_syn_backlog max_tw_buckets migrate_req
    min_rtt_wlen min_snd_mss min_tso_segs moderate_rcvbuf mtu_probe_floor mtu_probing no_metrics_save
    no_ssthresh_metrics_save notsent_lowat orphan_retries pacing_ca_ratio pacing_ss_ratio pingpong_thresh
    probe_interval probe_threshold recovery reflect_tos reordering retrans_collapse retries1 retries2 rfc1337
    rmem rto_max_ms rto_min_us sack shrink_window slow_start_after_idle stdurg syn_linear_timeouts syn_retries
    synack_retries syncookies thin_linear_timeouts timestamps tso_rtt_log tso_win_divisor tw_reuse tw_reuse_delay
    window_scaling wmem workaround_signed_windows
"""

NAMESPACED = frozenset(f"net.ipv4.tcp_{name}" for name in _TCP.split()) | {
    "net.core.optmem_max",
    "net.core.somaxconn",
    "net.ipv4.ip_autobind_reuse",
    "net.ipv4.ip_default_ttl",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_nonlocal_bind",
    "net.ipv4.ip_unprivileged_port_start",
}

# Read-only inside a namespace; some older kernels have them of its own. All belong to the whole machine.
_READ_ONLY = frozenset(
    {
        "net.core.rmem_default",
        "net.core.rmem_max",
        "net.core.wmem_default",
        "net.core.wmem_max",
        "net.netfilter.nf_conntrack_max",
        "net.nf_conntrack_max",
    }
)

# What a profile's `host` section may name: limits of the whole machine that bound connections, and nothing that would
# let a lab file reconfigure a machine at large. `lab tune` writes these and journals what it found.
HOST = _READ_ONLY | {
    "fs.epoll.max_user_watches",
    "fs.file-max",
    "fs.nr_open",
    "kernel.pid_max",
    "kernel.threads-max",
    "net.core.default_qdisc",
    "net.core.netdev_max_backlog",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_mem",
    "net.netfilter.nf_conntrack_buckets",
    "vm.max_map_count",
    "vm.overcommit_memory",
}


def refuse_sysctl(name: str) -> str | None:
    """Return why a sysctl cannot be set per container, and what to do instead; None when it can."""
    if name in NAMESPACED:
        return None
    if name in HOST:
        where = "is read-only inside a container" if name in _READ_ONLY else "is not settable per container"
        return f"belongs to the host and {where}; write it under 'host:', which lab tune applies"
    if name == "net.ipv4.tcp_ehash_entries":
        return "is fixed when the machine starts; remove it, and boot with thash_entries=N"
    if name.partition(".")[0] in ("fs", "kernel", "vm", "dev", "debug"):
        return f"belongs to the host, not settable per container; remove it here and run: sysctl -w {name}=..."
    near = nearest(name, NAMESPACED)
    advice = f"write '{near}'" if near else "write one such as net.core.somaxconn, or remove it"
    return f"is not a sysctl known to belong to a network namespace; {advice}"


def refuse_host_setting(name: str) -> str | None:
    """Return why a name cannot stand in a profile's `host` section, and what to do instead; None when it can."""
    if name in HOST:
        return None
    if name in NAMESPACED:
        return "belongs to a network namespace, not to the host; write it under 'sysctls:'"
    near = nearest(name, HOST)
    advice = f"write '{near}'" if near else f"write one of: {', '.join(sorted(HOST))}"
    return f"is not a limit that lab tune sets; {advice}"

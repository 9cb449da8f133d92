# The exporter: /proc, cgroup and TASKSTATS of other containers, as Prometheus text and exact readings.
# Build context: the folder orchestrator/observe/exporter as `exporter/`. BASE is the one base image of the lab.
#
# Run with pid_mode=host, cgroupns=host, /sys/fs/cgroup at /host/cgroup read-only, a read-only root, cap_drop ALL and
#   SYS_PTRACE       opens smaps_rollup, fdinfo and the links in /proc/P/fd of servers that run as another user: pss, uss, epoll
#   DAC_READ_SEARCH  lists /proc/P/fd, which only its owner may: epoll instances
#   NET_ADMIN        asks TASKSTATS: context switches and run-queue wait (a bridge network is fine; the host's is not needed)
#   SYS_ADMIN        enters a pod's network namespace (setns) to ask there for sockets by state, the accept queue and /stats; with
#                    the host's pids SYS_PTRACE could do as much already, by way of any process of root's
# Found by leaving out each in turn (Linux 6.18, Docker 20.10): without one, the values named after it are missing and its
# sources counted as failing; without NET_ADMIN switches are summed over live threads instead. Threads, descriptors, RSS, cgroup and TCP need no capability.
# It is root inside because an ordinary user gets no capability through exec. no-new-privileges may be set.
ARG BASE
FROM ${BASE}
LABEL io.netpoll-lab.kind=exporter
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/*
COPY exporter/ /opt/lab/exporter/
WORKDIR /opt/lab
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LAB_CGROUP_ROOT=/host/cgroup
USER 0:0
EXPOSE 9100
HEALTHCHECK --interval=10s --timeout=2s --retries=3 CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9100 && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r line <&3 && [[ $line == *' 200 '* ]]"]
ENTRYPOINT ["python3", "-m", "exporter"]

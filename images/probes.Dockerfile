# The probes: eBPF programs with their reader (one static program), and the service that starts it for a target and tells
# what it counted. Build context: the folder probes/. BASE is the one base image of the lab, TOOLCHAIN what compiles.
#
# Run with pid_mode=host, a read-only root, cap_drop ALL and
#   BPF, PERFMON   load and attach tracing programs, read the kernel's memory from them; PERFMON also for perf_event_open
#   SYS_ADMIN      instead of both on engines that do not know these names (Docker before 23); never beside them
#   SYS_PTRACE     reads the links /proc/P/ns/* of servers that run as another user: whose events are counted
# and /sys/kernel/tracing read-only at the same place, for the ids of tracepoints (the rung perf; eBPF does without).
# It is root inside because an ordinary user gets no capability through exec. no-new-privileges may be set. Without any of
# them it still runs, and says which rung of the ladder is left. /sys/kernel/btf comes with the container's own /sys.
ARG BASE
ARG TOOLCHAIN

FROM ${TOOLCHAIN} AS build
LABEL io.netpoll-lab.kind=build
COPY probes/ /src/
WORKDIR /src
# No vmlinux.h and no type of the build machine's kernel: what is read of a kernel's structures stands in kernel.h. -g makes
# the BTF that the loader matches them by. -mcpu=v3 (atomic operations aside) is Linux 5.1's.
RUN arch=$(uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/') \
 && clang -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-declarations -target bpf -mcpu=v3 -std=gnu17 \
      -D__TARGET_ARCH_${arch} -I"/usr/include/$(gcc -print-multiarch)" -c probes.bpf.c -o probes.bpf.o \
 && bpftool gen object probes.o probes.bpf.o \
 && bpftool gen skeleton probes.o name probes_bpf > probes.skel.h \
 && echo '#include <sys/syscall.h>' | gcc -E -dM - | sed -n 's/^#define SYS_\([a-z0-9_]*\) __NR_.*/CALL(\1)/p' | sort > syscalls.inc \
 && gcc -O2 -Wall -Wextra -Werror -Wno-unused-parameter -std=gnu17 -static -o /reader reader.c ebpf.c tables.c perf.c names.c json.c elftree.c \
      -l:libbpf.a -l:libelf.a -l:libz.a -l:libzstd.a -lm

FROM ${BASE}
LABEL io.netpoll-lab.kind=probes
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /reader /opt/lab/reader
COPY probes/service/ /opt/lab/service/
WORKDIR /opt/lab
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 0:0
EXPOSE 9101
HEALTHCHECK --interval=10s --timeout=2s --retries=3 CMD ["python3", "-m", "service.ask", "GET", "/healthz"]
ENTRYPOINT ["python3", "-m", "service"]

# What compiles eBPF programs and their reader, kept apart so that it is installed once. clang for the programs, gcc for the
# reader, bpftool for the header that carries the one into the other; everything else is what the reader links statically.
# BASE is the one base image of the lab; the orchestrator names it.
ARG BASE
FROM ${BASE}
LABEL io.netpoll-lab.kind=toolchain
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      bpftool clang gcc libbpf-dev libc6-dev libelf-dev libzstd-dev linux-libc-dev zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*

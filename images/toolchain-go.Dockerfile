# Debian's Go: no download at build time beyond the mirror, and no module proxy, because no variant has dependencies.
# BASE is the one base image of the lab; the orchestrator names it.
ARG BASE
FROM ${BASE}
LABEL io.netpoll-lab.kind=toolchain
RUN apt-get update \
 && apt-get install -y --no-install-recommends golang-go \
 && rm -rf /var/lib/apt/lists/*

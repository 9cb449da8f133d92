# The C compiler, kept apart so that it is installed once and no server image carries it.
# BASE is the one base image of the lab; the orchestrator names it.
ARG BASE
FROM ${BASE}
LABEL io.netpoll-lab.kind=toolchain
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev liburing-dev make \
 && rm -rf /var/lib/apt/lists/*

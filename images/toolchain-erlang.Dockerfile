# Debian's Erlang. erlang-base holds both the compiler and the runtime, so variants are built upon this image.
# BASE is the one base image of the lab; the orchestrator names it.
ARG BASE
FROM ${BASE}
LABEL io.netpoll-lab.kind=toolchain
RUN apt-get update \
 && apt-get install -y --no-install-recommends erlang-base \
 && rm -rf /var/lib/apt/lists/*

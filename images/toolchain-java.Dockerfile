# Debian's JDK, and a Java runtime linked from it that holds only what the variants use: java.base for everything,
# java.management for what /stats tells. It is made here, once for all Java variants: 60 MB instead of 300. (Debian's jmods
# come with their debug symbols, 700 MB of them.)
# BASE is the one base image of the lab; the orchestrator names it.
ARG BASE
FROM ${BASE}
LABEL io.netpoll-lab.kind=toolchain
RUN apt-get update \
 && apt-get install -y --no-install-recommends openjdk-25-jdk-headless \
 && rm -rf /var/lib/apt/lists/*
RUN jlink --add-modules java.base,java.management --no-header-files --no-man-pages --output /opt/jre \
 && find /opt/jre -name '*.debuginfo' -delete

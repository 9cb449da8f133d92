# Debian's Rust and the few crates of tokio that a server on Linux needs, already compiled.
# BASE is the one base image of the lab; the orchestrator names it.
#
# Debian ships crates as source, below /usr/share/cargo/registry. librust-tokio-dev alone would draw 140 packages along
# for features nobody here turns on, so these are unpacked without what they name as dependencies. A crate that cargo
# then misses is named by it in one line: add it to CRATES.
ARG BASE
FROM ${BASE}
LABEL io.netpoll-lab.kind=toolchain
ARG CRATES="addr2line adler autocfg backtrace bytes cfg-if gimli libc memchr miniz-oxide mio object pin-project-lite rustc-demangle signal-hook-registry socket2 tokio"
RUN apt-get update \
 && apt-get install -y --no-install-recommends rustc cargo \
 && mkdir /tmp/crates && cd /tmp/crates \
 && apt-get download $(printf 'librust-%s-dev ' ${CRATES}) \
 && for package in *.deb; do dpkg -x "$package" /; done \
 && rm -rf /tmp/crates /var/lib/apt/lists/*
# crates.io is out of reach, and not needed: cargo looks where Debian put them.
RUN mkdir -p /opt/cargo \
 && printf '%s\n' '[source.crates-io]' 'replace-with = "debian"' '[source.debian]' \
    'directory = "/usr/share/cargo/registry"' '[net]' 'offline = true' > /opt/cargo/config.toml
ENV CARGO_HOME=/opt/cargo CARGO_TARGET_DIR=/opt/target
# tokio is compiled here, once. A variant whose Cargo.toml has the same dependencies and profile finds it done; any
# other compiles its own, which takes longer and is as right.
RUN mkdir -p /tmp/warm/src && cd /tmp/warm && echo 'fn main() {}' > src/main.rs \
 && printf '%s\n' '[package]' 'name = "warm"' 'version = "0.0.0"' 'edition = "2021"' '[dependencies]' 'libc = "0.2"' \
    'tokio = { version = "1", default-features = false, features = ["io-util", "net", "rt-multi-thread", "signal", "sync", "time"] }' \
    > Cargo.toml \
 && cargo build --release && rm -rf /tmp/warm

# An image with one Rust variant: compiled in the toolchain, run on the bare base.
# The context holds the variant's folder (Cargo.toml says `name = "variant"`) and images/health.
ARG BASE
ARG TOOLCHAIN

FROM ${TOOLCHAIN} AS build
LABEL io.netpoll-lab.kind=build
COPY . /src
WORKDIR /src
# Offline, and the crates are compiled already: the toolchain's environment and /opt/cargo/config.toml see to both.
RUN cargo build --release && install -m 0755 "$CARGO_TARGET_DIR/release/variant" /server
# Modes set here: a context made from an archive may have lost them.
RUN install -m 0755 health /health

FROM ${BASE}
LABEL io.netpoll-lab.kind=variant
COPY --from=build /server /health /
USER 65534:65534
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s --retries=3 CMD ["/health"]
ENTRYPOINT ["/server"]

# An image with one Go variant: compiled in the toolchain, run on the bare base.
# The context holds the variant's folder, shared/ (servers/_shared-go) and images/health. The folder's go.mod says
# `module variant`, so that its code finds the other as variant/shared.
ARG BASE
ARG TOOLCHAIN

FROM ${TOOLCHAIN} AS build
LABEL io.netpoll-lab.kind=build
# "race" (lab verify --sanitize): Go's race detector comes with Debian's Go, but is linked by gcc, and Go's library
# has to be compiled once more. Before the sources, so that every variant finds this layer made.
ARG SANITIZE=
RUN if [ -n "$SANITIZE" ]; then \
      apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/* \
      && CGO_ENABLED=1 go build -race -trimpath container/heap encoding/json net/http os/signal runtime/metrics; \
    fi
COPY . /src
WORKDIR /src
# No variant has dependencies, so nothing is fetched (the toolchain's environment says so); Go's library is compiled there.
RUN export CGO_ENABLED=$([ -n "$SANITIZE" ] && echo 1 || echo 0); go build -trimpath ${SANITIZE:+-race} -o /server .
# Modes set here: a context made from an archive may have lost them.
RUN install -m 0755 health /health

FROM ${BASE}
LABEL io.netpoll-lab.kind=variant
COPY --from=build /server /health /
USER 65534:65534
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s --retries=3 CMD ["/health"]
ENTRYPOINT ["/server"]

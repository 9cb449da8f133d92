# An image with one Go variant: compiled in the toolchain, run on the bare base.
# The context holds the variant's folder, and images/health.
ARG BASE
ARG TOOLCHAIN

FROM ${TOOLCHAIN} AS build
LABEL io.netpoll-lab.kind=build
COPY . /src
WORKDIR /src
# No variant has dependencies, so nothing is fetched; GOTOOLCHAIN=local keeps Go from looking for a newer self.
RUN CGO_ENABLED=0 GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local GOCACHE=/tmp/go-cache go build -trimpath -o /server . \
 && rm -rf /tmp/go-cache
# Modes set here: a context made from an archive may have lost them.
RUN install -m 0755 health /health

FROM ${BASE}
LABEL io.netpoll-lab.kind=variant
COPY --from=build /server /health /
USER 65534:65534
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s --retries=3 CMD ["/health"]
ENTRYPOINT ["/server"]

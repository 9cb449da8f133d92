# Debian's Go: no download at build time beyond the mirror, and no module proxy, because no variant has dependencies.
# BASE is the one base image of the lab; the orchestrator names it.
ARG BASE
FROM ${BASE}
LABEL io.netpoll-lab.kind=toolchain
RUN apt-get update \
 && apt-get install -y --no-install-recommends golang-go \
 && rm -rf /var/lib/apt/lists/*
# Debian's Go comes without its library compiled, and compiling it takes longer than everything else. It is done here once,
# with the flags of runtime-go.Dockerfile, for the packages that variants use; others are compiled where they are needed.
ENV GOCACHE=/opt/go-cache GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=0
RUN go build -trimpath container/heap encoding/json net/http os/signal runtime/metrics

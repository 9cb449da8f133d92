# An image with one C variant: compiled in the toolchain, run on the bare base.
# The context holds the variant's folder, shared/ (servers/_shared-c) and images/health.
ARG BASE
ARG TOOLCHAIN

FROM ${TOOLCHAIN} AS build
LABEL io.netpoll-lab.kind=build
COPY . /src
WORKDIR /src
# Of shared/ and liburing.a a server carries only what it calls: event loop and blocking half never meet in one program.
RUN gcc -O2 -g -Wall -Wextra -Werror -std=gnu17 -pthread -ffunction-sections -fdata-sections -Wl,--gc-sections \
    -I. -o /server *.c shared/*.c -l:liburing.a
# Modes set here: a context made from an archive may have lost them.
RUN install -m 0755 health /health

FROM ${BASE}
LABEL io.netpoll-lab.kind=variant
COPY --from=build /server /health /
USER 65534:65534
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s --retries=3 CMD ["/health"]
ENTRYPOINT ["/server"]

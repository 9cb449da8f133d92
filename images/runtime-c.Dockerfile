# An image with one C variant: compiled in the toolchain, run on the bare base.
# The context holds the variant's folder, shared/ (servers/_shared-c) and images/health.
ARG BASE
ARG TOOLCHAIN

FROM ${TOOLCHAIN} AS build
LABEL io.netpoll-lab.kind=build
COPY . /src
WORKDIR /src
# "address,undefined" or "thread" (lab verify --sanitize): their runtimes are linked in, so that the base stays as it is.
# Warnings end no such build: with the added checks gcc also warns of what cannot happen.
ARG SANITIZE=
# Of shared/ and liburing.a a server carries only what it calls: event loop and blocking half never meet in one program.
RUN gcc -O2 -g -Wall -Wextra -Werror -std=gnu17 -pthread -ffunction-sections -fdata-sections -Wl,--gc-sections \
    ${SANITIZE:+-O1 -fno-omit-frame-pointer -fsanitize=$SANITIZE -Wno-error -static-libasan -static-libubsan -static-libtsan} \
    -I. -o /server *.c shared/*.c -l:liburing.a
# Modes set here: a context made from an archive may have lost them.
RUN install -m 0755 health /health

FROM ${BASE}
LABEL io.netpoll-lab.kind=variant
COPY --from=build /server /health /
USER 65534:65534
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s --retries=3 CMD ["/health"]
ENTRYPOINT ["/server"]

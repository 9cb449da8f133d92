# An image with one Erlang variant: its modules, compiled, in /app, its `start` as /server, and Debian's erlang-base.
# The context holds the variant's folder and images/health.
ARG BASE
ARG TOOLCHAIN
FROM ${TOOLCHAIN}
LABEL io.netpoll-lab.kind=variant
# erlang-base is compiler and runtime in one package, so a second stage would only install it again.
COPY . /src
# Modes set here: a context made from an archive may have lost them.
RUN mkdir /app \
 && erlc -Werror -o /app /src/*.erl \
 && install -m 0755 /src/start /server && install -m 0755 /src/health /health \
 && rm -r /src
USER 65534:65534
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s --retries=3 CMD ["/health"]
ENTRYPOINT ["/server"]

# An image with one Node variant: its modules in /app, server.mjs as /server, and Debian's Node without npm.
# The context holds the variant's folder and images/health. The interpreter's layer comes first, so all variants share it.
ARG BASE

FROM ${BASE} AS build
LABEL io.netpoll-lab.kind=build
COPY . /src
# Modes set here: a context made from an archive may have lost them.
RUN install -d /app && install -m 0755 /src/*.mjs /app/ && install -m 0755 /src/health /health

FROM ${BASE}
LABEL io.netpoll-lab.kind=variant
RUN apt-get update \
 && apt-get install -y --no-install-recommends nodejs \
 && rm -rf /var/lib/apt/lists/* \
 && ln -s /app/server.mjs /server
COPY --from=build /health /health
COPY --from=build /app /app
USER 65534:65534
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s --retries=3 CMD ["/health"]
ENTRYPOINT ["/server"]

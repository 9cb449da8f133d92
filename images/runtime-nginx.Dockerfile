# An image with Debian's nginx and its JavaScript module. The context holds the variant's folder and images/health.
# The packages' layer comes first, so that a changed configuration is built at once.
ARG BASE

FROM ${BASE} AS build
LABEL io.netpoll-lab.kind=build
COPY . /src
# Modes set here: a context made from an archive may have lost them.
RUN install -d /lab && install -m 0644 /src/nginx.conf /src/lab.js /lab/ && install -m 0755 /src/server /src/health /lab/

FROM ${BASE}
LABEL io.netpoll-lab.kind=variant
# Debian's own site and log files are not used: /server names a configuration of its own.
RUN apt-get update \
 && apt-get install -y --no-install-recommends nginx libnginx-mod-http-js \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /lab/server /lab/health /
COPY --from=build /lab/nginx.conf /lab/lab.js /lab/
USER 65534:65534
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s --retries=3 CMD ["/health"]
ENTRYPOINT ["/server"]

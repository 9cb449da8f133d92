# An image with one Python variant: its modules in /app, server.py as /server, and Debian's Python.
# The context holds the variant's folder, shared/ (servers/_shared-python) and images/health. The interpreter's layer comes first,
# so all variants without PACKAGES (Debian's, space separated) share it.
ARG BASE

FROM ${BASE} AS build
LABEL io.netpoll-lab.kind=build
COPY . /src
# Modes set here: a context made from an archive may have lost them. A folder of one's own may do without shared/.
RUN install -d /app/shared && install -m 0755 /src/*.py /app/ && install -m 0755 /src/health /health \
 && { [ ! -d /src/shared ] || install -m 0644 /src/shared/*.py /app/shared/; }

FROM ${BASE}
LABEL io.netpoll-lab.kind=variant
ARG PACKAGES=""
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 ${PACKAGES} \
 && rm -rf /var/lib/apt/lists/* \
 && ln -s /app/server.py /server
COPY --from=build /health /health
COPY --from=build /app /app
USER 65534:65534
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s --retries=3 CMD ["/health"]
ENTRYPOINT ["/server"]

# Locust's master and workers with the load engine, the contract probe, and the contract suite.
#
# Build context: wheelhouse/ swarm/ contract/ (orchestrator/contract) swarm-requirements.lock. The wheels are fetched on
# the host, because builds have no package index. The platforms are the trixie glibc's, and what the older wheels among them are tagged with;
# --no-deps because pip reads markers with the host's Python, and the lock is complete:
#
#   pip download --no-deps --only-binary=:all: --implementation cp --python-version 3.13 \
#     --abi cp313 --abi abi3 --abi none \
#     --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 \
#     --require-hashes -r images/swarm-requirements.lock -d wheelhouse
#
# aarch64: the same with --platform manylinux_2_28_aarch64 --platform manylinux_2_17_aarch64.
#
# The lock:
#   uv pip compile --python-version 3.13 --python-platform x86_64-manylinux_2_28 --generate-hashes --no-header \
#     images/swarm-requirements.in -o images/swarm-requirements.lock
ARG BASE
FROM ${BASE} AS wheels
LABEL io.netpoll-lab.kind=swarm-build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-pip python3-venv \
 && rm -rf /var/lib/apt/lists/*
COPY swarm-requirements.lock /build/
COPY wheelhouse /build/wheelhouse
RUN python3 -m venv --without-pip /opt/swarm \
 && python3 -m pip --python /opt/swarm/bin/python3 install --no-cache-dir --no-index \
      --find-links /build/wheelhouse --require-hashes --no-deps -r /build/swarm-requirements.lock

FROM ${BASE} AS engine
LABEL io.netpoll-lab.kind=swarm-build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev make \
 && rm -rf /var/lib/apt/lists/*
COPY swarm/engine /build/engine
RUN make -C /build/engine install OUT=/build/out PREFIX=/build/lab

FROM ${BASE}
LABEL io.netpoll-lab.kind=swarm
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=wheels /opt/swarm /opt/swarm
COPY swarm /opt/lab/swarm
# The live page's chart library and the panels it draws (dashboards/), which the orchestrator puts into the context.
COPY web /opt/lab/web
COPY contract /opt/lab/contract
COPY --from=engine /build/lab/swarm/engine/build/libengine.so /opt/lab/swarm/engine/build/libengine.so
# The root is read-only when it runs: what is not compiled now would be compiled at every start. The standard library
# is compiled by Debian's package. unchecked-hash spares a stat of each source.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/lab /opt/swarm/lib
ENV PATH=/opt/swarm/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/lab \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
WORKDIR /opt/lab
USER 65534:65534
# `python3 -m swarm` is `locust` that obeys SIGTERM from its first moment (swarm/__main__.py); the arguments are Locust's.
# Also here: ["python3", "-m", "swarm.probe", "{...}"] and ["python3", "-m", "contract", "{...}"] with --entrypoint "".
ENTRYPOINT ["/opt/swarm/bin/python3", "-m", "swarm"]
CMD ["-f", "/opt/lab/swarm/locustfile.py", "--help"]

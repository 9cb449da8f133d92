# The swarm image with Debian's wrk and the benchmark's ordinary Locust users beside it; one container of it joins a pod,
# and everything that is compared with the engine is run in there with the same limits and on the same CPUs.
#
# Build context: users.py report.lua. TOOLCHAIN is the swarm image. A stage of its own for wrk, so that a change of the swarm
# fetches no package again; LuaJIT is the one library wrk needs that the swarm image lacks.
ARG BASE
ARG TOOLCHAIN
FROM ${BASE} AS wrk
LABEL io.netpoll-lab.kind=bench-wrk-build
RUN apt-get update \
 && apt-get install -y --no-install-recommends wrk \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /out/bin /out/lib \
 && cp /usr/bin/wrk /out/bin/ \
 && cp -P /usr/lib/*/libluajit-5.1.so.2* /out/lib/

FROM ${TOOLCHAIN}
LABEL io.netpoll-lab.kind=bench-wrk
COPY --from=wrk /out/bin/ /usr/local/bin/
COPY --from=wrk /out/lib/ /usr/local/lib/
COPY users.py report.lua /opt/lab/bench/
ENV LD_LIBRARY_PATH=/usr/local/lib
# A build that could not be run is no build.
RUN wrk -v | grep -q Copyright
ENTRYPOINT []
CMD ["sleep", "infinity"]

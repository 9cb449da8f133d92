# An image with one Java variant: compiled in the toolchain, run on the small Java runtime that was linked there.
# The context holds the variant's folder, shared/ (servers/_shared-java) and images/health.
ARG BASE
ARG TOOLCHAIN

FROM ${TOOLCHAIN} AS build
LABEL io.netpoll-lab.kind=build
COPY . /src
WORKDIR /src
RUN mkdir /app \
 && javac -Xlint:all -Werror -d /tmp/classes *.java shared/*.java \
 && jar --create --file /app/server.jar --main-class Server -C /tmp/classes . \
 && rm -r /tmp/classes
# Modes set here: a context made from an archive may have lost them. A folder may bring a train of its own.
RUN install -m 0644 shared/jvm.options /app/ && install -m 0755 "$([ -e train ] && echo train || echo shared/train)" /app/train \
 && install -m 0755 shared/server /server && install -m 0755 health /health

FROM ${BASE}
LABEL io.netpoll-lab.kind=variant
# What Debian's libjvm.so and libjava.so are linked with.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libstdc++6 zlib1g \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/jre /opt/jre
COPY --from=build /server /health /
COPY --from=build /app /app
# Here and not in the toolchain: the cache is only valid for this very runtime and this very jar, at these paths.
RUN /app/train && chmod 0644 /app/server.aot
USER 65534:65534
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s --retries=3 CMD ["/health"]
ENTRYPOINT ["/server"]

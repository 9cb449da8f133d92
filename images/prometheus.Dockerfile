# Debian's Prometheus. Build context: the rendered `prometheus.yml` alone, so that the image's digest names its scrape list.
# Run with a read-only root, no capability, and a volume or tmpfs at /prometheus. BASE is the one base image of the lab.
ARG BASE
FROM ${BASE}
LABEL io.netpoll-lab.kind=prometheus
# The package makes the unprivileged user `prometheus`. A new volume at /prometheus takes over that folder's mode: 1777, so
# that any unprivileged user the container is started as can write there.
RUN apt-get update \
 && apt-get install -y --no-install-recommends prometheus \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -m 1777 /prometheus
COPY prometheus.yml /etc/prometheus/prometheus.yml
RUN chmod 0644 /etc/prometheus/prometheus.yml && promtool check config /etc/prometheus/prometheus.yml
USER prometheus
WORKDIR /prometheus
EXPOSE 9090
HEALTHCHECK --interval=10s --timeout=2s --start-period=30s --retries=3 CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9090 && printf 'GET /-/ready HTTP/1.0\\r\\n\\r\\n' >&3 && read -r line <&3 && [[ $line == *' 200 '* ]]"]
# 15 days or 1 GB, whichever is less: a hundred series at 1 s take some 15 MB a day (1.7 bytes a sample).
ENTRYPOINT ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus", "--storage.tsdb.retention.time=15d", "--storage.tsdb.retention.size=1GB", "--web.listen-address=0.0.0.0:9090"]

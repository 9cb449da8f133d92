# The lab's own Grafana: an official image and the files that it is provisioned with when it starts.
# Build context: dashboards/provisioning.py's files. GRAFANA names the official image, GRAFANA_ID says which one that is now.
# Run as that image's own user (472, root group) with a read-only root, no capability, a volume at /var/lib/grafana and a
# tmpfs at /tmp; settings and the administrator's password come with the environment.
ARG GRAFANA
FROM ${GRAFANA}
ARG GRAFANA_ID
LABEL io.netpoll-lab.kind=grafana io.netpoll-lab.from=${GRAFANA_ID}
COPY provisioning/ /etc/netpoll-lab/provisioning/
COPY dashboards/ /etc/netpoll-lab/dashboards/
ENV GF_PATHS_PROVISIONING=/etc/netpoll-lab/provisioning

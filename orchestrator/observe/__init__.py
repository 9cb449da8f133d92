"""Observing servers: the exporter that runs in its own image, its client, and Prometheus."""

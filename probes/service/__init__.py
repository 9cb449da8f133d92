"""The probes' service: starts the reader for a target, keeps what it counted, tells it over HTTP.

Runs in an image of its own (images/probes.Dockerfile) with the standard library alone.
"""

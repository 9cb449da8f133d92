"""Kernel text in, Prometheus text and exact readings out; runs as `python3 -m exporter` in an image of its own.

Standard library only, and relative imports only: the image holds this folder and nothing else of the lab.
Contract: docs/architecture.md, "What the exporter offers".
"""

"""The contract suite: a variant's promises (servers/CONTRACT.md), checked from outside over real sockets.

Standard library only, and nothing of the lab outside this folder: it is copied into the swarm image as `contract` and
runs there beside the server (`python3 -m contract '{...}'`), or on a host as `python -m orchestrator.contract '{...}'`.
"""

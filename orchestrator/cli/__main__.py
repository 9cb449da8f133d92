"""`python -m orchestrator.cli` is `lab`."""

from orchestrator.cli import main

main()

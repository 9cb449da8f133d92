"""Make this machine able to run every test: a Docker engine, and a browser where it may be installed.

Run by `make test` before anything else. The engine is found or started just as `lab up` does it, so that what a killed
engine left behind is coped with by the code under test. Without a browser the browser tests skip and say so.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from orchestrator.containers.engine import apt_install, ensure_engine
from orchestrator.errors import LabError

ROOT = Path(__file__).resolve().parents[1]


def say(text: str) -> None:
    print(f"prepare: {text}", file=sys.stderr, flush=True)


def main() -> int:
    try:
        client = ensure_engine(ROOT / ".lab", say)
        say(f"Docker engine {client.version()['Version']}")
        if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
            if os.geteuid() == 0 and shutil.which("apt-get"):
                say("installing Debian's chromium and chromium-driver for the browser tests")
                apt_install(["chromium", "chromium-driver"])
            else:
                say("no chromium and chromedriver: the browser tests will skip (sudo apt-get install chromium-driver)")
    except LabError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

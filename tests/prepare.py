"""Make this machine able to run every test: a C compiler, a Docker engine, and a browser where it may be installed.

Run by `make test` before anything else. The engine is found or started just as `lab up` does it, so that what a killed
engine left behind is coped with by the code under test. Without a compiler nothing is tested: the load engine is C.
Without a browser the browser tests skip and say so.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from orchestrator.containers.engine import apt_install, ensure_engine
from orchestrator.errors import EnvironmentMissing, LabError

ROOT = Path(__file__).resolve().parents[1]


def say(text: str) -> None:
    print(f"prepare: {text}", file=sys.stderr, flush=True)


def ensure_compiler() -> None:
    """Install gcc, its sanitizers and make where they are missing. Raises EnvironmentMissing."""
    if shutil.which("gcc") and shutil.which("make") and Path("/usr/include/stdlib.h").exists():
        return
    packages = ["gcc", "libc6-dev", "make"]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise EnvironmentMissing(
            "the load engine and its tests need a C compiler, and none was found. "
            f"Run: sudo apt-get install -y {' '.join(packages)}"
        )
    say("installing Debian's gcc and make for the load engine")
    apt_install(packages)


def main() -> int:
    try:
        ensure_compiler()
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

"""`python -m dashboards` writes the Grafana JSON; `--check` exits 1 when the committed files are not what it writes."""

from __future__ import annotations

import sys

from dashboards.grafana import drifted, write


def main() -> int:
    if "--check" in sys.argv[1:]:
        stale = drifted()
        if stale:
            print(f"dashboards/grafana: {', '.join(stale)} differ from dashboards/panels.py; run: python -m dashboards")
        return 1 if stale else 0
    for path in write():
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

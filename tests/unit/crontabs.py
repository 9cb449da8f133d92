"""A crontab command of the tests' own: keeps its table in a file, and complains as cron's does."""

from __future__ import annotations

from pathlib import Path


def write_crontab(folder: Path) -> tuple[Path, Path]:
    """Return where the table will be, and the folder of the command, which belongs at the front of PATH."""
    table, commands = folder / "table", folder / "bin"
    commands.mkdir()
    command = commands / "crontab"
    command.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = -l ]; then [ -e {table} ] || {{ echo "no crontab for me" >&2; exit 1; }}; exec cat {table}; fi\n'
        f'[ "$1" = - ] && exec cat > {table}\n'
    )
    command.chmod(0o755)
    return table, commands

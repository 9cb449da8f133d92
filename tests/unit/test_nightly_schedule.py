"""`lab nightly --install`: the crontab is shown first, written on request, and left as it was found."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from orchestrator import nightly as module
from orchestrator.errors import BadInput
from tests.unit.crontabs import write_crontab
from tests.unit.nightly_lab import cleared, lab, root

__all__ = ["cleared", "root"]  # pytest finds the fixtures by these names


def test_cron_gets_a_path_with_the_engines_folders() -> None:
    """Added behind what there is, each once."""
    assert "/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin" == module._whole_path("/usr/bin:/bin")
    assert "/sbin:/usr/sbin:/usr/local/sbin:/usr/local/bin" == module._whole_path("/sbin:/usr/sbin")


@pytest.fixture
def crontab(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    table, folder = write_crontab(root)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(root / "config"))
    monkeypatch.setattr("orchestrator.hosts.schedule.os.geteuid", lambda: 1000)
    return table


def test_the_crontab_is_shown_first_and_written_on_request(root: Path, crontab: Path) -> None:
    """Without --yes nothing is written; a second time nothing changes; --uninstall leaves nothing."""
    crontab.write_text("1 2 3 4 5 mine\n")
    shown = lab(root, "nightly", "--install", "--cron")
    before = crontab.read_text()
    written = lab(root, "nightly", "--install", "--cron", "--yes")
    table = crontab.read_text()
    again = lab(root, "nightly", "--install", "--cron", "--yes")
    unchanged = crontab.read_text()
    gone, nothing = lab(root, "nightly", "--uninstall"), lab(root, "nightly", "--uninstall")

    assert "1 2 3 4 5 mine\n" == before == crontab.read_text()
    line = f"30 2 * * * cd {root} && {sys.executable} -m orchestrator.cli --file {root}/lab.yaml nightly nightly > "
    assert line in shown.stdout
    assert "nothing was written. To write this: lab nightly nightly --install --cron --yes" in shown.stderr
    assert (True, table) == (line in table, unchanged)
    assert ("written", "it was there already; nothing was changed") == (
        written.stderr.strip(),
        again.stderr.strip(),
    )
    assert "removed: two lines of the crontab\n" == gone.stdout
    assert nothing.stdout.startswith("nothing to remove")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--install", "--uninstall"], "--install and --uninstall exclude each other"),
        (["--yes"], "--yes belongs to --install"),
        (["--cron"], "--cron belongs to --install"),
        (["--systemd", "--uninstall"], "--systemd belongs to --install"),
    ],
)
def test_options_that_contradict_each_other_are_refused(root: Path, arguments: list[str], said: str) -> None:
    """Before anything is touched."""
    done = lab(root, "nightly", *arguments)

    assert isinstance(done.exception, BadInput)
    assert said in str(done.exception)

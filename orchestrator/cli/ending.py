"""End a command line with a documented exit code; no traceback of an expected failure reaches the terminal.

`lab` and `python -m bench` end alike.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
import requests
from docker.errors import DockerException

from orchestrator.containers.engine import find_engine
from orchestrator.errors import LabError


def end(command: click.Command, who: str, kept: str, folder: Path) -> NoReturn:
    """Run a command to its end and leave the process with its exit code.

    who: begins every complaint, and is the name in usage lines. kept: what an interrupted command leaves finished,
    such as "trials". folder: where .lab/crash.log is written if the command has a defect.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        command.main(standalone_mode=False, prog_name=who)
    except (click.exceptions.Abort, KeyboardInterrupt):
        code, text = 130, f"interrupted; finished {kept} are kept"
    except click.ClickException as error:
        error.show()
        raise SystemExit(2) from None
    except LabError as error:
        code, text = error.exit_code, str(error)
    except (DockerException, requests.RequestException) as error:
        brief = (str(error).splitlines() or [type(error).__name__])[0][:300]
        code, text = 3, f"the Docker engine failed in the middle: {brief}. {_of_engine()}"
    except BrokenPipeError:
        _drop_output()
        raise SystemExit(0) from None
    except Exception as error:  # noqa: BLE001 - the last line of defence; the traceback goes to a file
        full = _full_disk(error)
        if full:
            _drop_output()
        code, text = 3, full or _locked(error) or _defect(error, folder / ".lab" / "crash.log")
    else:
        raise SystemExit(0)
    click.echo(f"{who}: {text}", err=True)
    raise SystemExit(code)


def _drop_output() -> None:
    """Let go of what stdout still holds: whoever could not take it is asked again at exit, which would end with 120."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _of_engine() -> str:
    """Return what to do about an engine that failed; one that DOCKER_HOST names is nobody's to start."""
    try:
        return "Try: docker info, then lab up" if find_engine() else "No engine answers now; lab up starts one"
    except (LabError, requests.RequestException) as error:
        return str(error)


def _full_disk(error: Exception) -> str | None:
    """Return the line for a disk that took no more, wherever it was met; None for anything else."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    where = f" ({error.filename})" if error.filename else ""
    return f"the disk is full{where}; what was finished is kept. Free some space, then run again"


def _locked(error: Exception) -> str | None:
    """Return the line for a file that this user may not touch, wherever it was met; None for anything else."""
    locks = (errno.EACCES, errno.EPERM, errno.EROFS)
    if not isinstance(error, OSError) or error.errno not in locks or not error.filename:
        return None
    why = f"expected to read and write what is the lab's, but {error.strerror}"
    return f"{error.filename}: {why}. Mend the permissions there, or run as who they are for"


def _defect(error: Exception, log: Path) -> str:
    """Keep the traceback being handled in a file and return the line that names it."""
    brief = f"a defect of the lab: {type(error).__name__}: {error}"
    try:
        log.parent.mkdir(exist_ok=True)
        log.write_text(traceback.format_exc())
    except OSError as second:
        return f"{brief}. Its details could not be kept: {log}: {second.strerror}"
    return f"{brief}. Details: {log}"


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt

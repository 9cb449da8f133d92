"""Turn a path a person gave into bounded UTF-8 text, or one clear line saying why not."""

from __future__ import annotations

from pathlib import Path

from orchestrator.config.faults import Fault, bad_input
from orchestrator.errors import BadInput


def read_text(path: Path, *, what: str, most_bytes: int) -> str:
    """Return the text of a regular file without its byte-order mark.

    what: names the kind of file in errors, such as "a lab file".
    Raises BadInput when there is no such file, it cannot be read, is longer than `most_bytes`, or is not UTF-8.
    Devices and pipes are refused: reading one may never end.
    """
    content = _read_bytes(path, what, most_bytes)
    if len(content) > most_bytes:
        raise _refuse(path, f"expected {what} of at most {most_bytes:,} bytes, saw more; write a shorter one")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        text = f"expected UTF-8 text, saw the byte 0x{content[error.start]:02x}; save the file as UTF-8"
        raise bad_input([Fault(path, line, (), text)]) from error


def _read_bytes(path: Path, what: str, most_bytes: int) -> bytes:
    try:
        if path.is_dir():
            raise _refuse(path, f"expected {what}, saw a directory; name the file in it")
        if path.exists() and not path.is_file():
            raise _refuse(path, f"expected {what}, saw a device or pipe; name a regular file")
        with path.open("rb") as file:
            return file.read(most_bytes + 1)
    except FileNotFoundError as error:
        raise _refuse(path, f"expected {what}, found nothing there; check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _refuse(
            path, f"expected {what} that can be read, saw: {reason}; check its path and permissions"
        ) from error


def _refuse(path: Path, text: str) -> BadInput:
    return bad_input([Fault(path, None, (), text)])

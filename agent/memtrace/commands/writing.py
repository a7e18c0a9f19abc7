"""Writes a report into a file: whole or not at all, and over nothing but an older report."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from pathlib import Path

from memtrace.commands.common import CommandError, UsageError

STDOUT = "-"
_BEGINNING = b"<!DOCTYPE html>"


def check(output: str) -> None:
    """Raise before any work is done where a report may not or cannot be written."""
    path = Path(output)
    if output == STDOUT or not os.path.lexists(path):
        if output != STDOUT and not path.parent.is_dir():
            raise UsageError(f"there is no directory {path.parent}; make it or write elsewhere.")
        return
    if path.is_dir():
        raise UsageError(f"{path} is a directory; give the name of a file in it.")
    if path.is_file() and not _is_report(path):
        raise UsageError(f"{path} exists and is no HTML; remove it or give another name.")


def write(output: str, page: str) -> None:
    """Write the page. Raises CommandError; what was there before is there still then."""
    data = page.encode()
    try:
        if output == STDOUT:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        elif _is_special(Path(output)):
            Path(output).write_bytes(data)
        else:
            _replace(Path(output), data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}.") from error


def _is_report(path: Path) -> bool:
    """Tell whether it may be replaced: an older report, or an empty file."""
    try:
        with path.open("rb") as file:
            return file.read(len(_BEGINNING)) in (_BEGINNING, b"")
    except OSError as error:
        raise CommandError(f"{path} cannot be looked at: {error.strerror}.") from error


def _is_special(path: Path) -> bool:
    """Tell whether it is a device or a pipe, such as /dev/stdout."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(f".{path.name[:200]}.{os.getpid()}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(new, flags, 0o666), "wb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(new, path)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink()
            raise

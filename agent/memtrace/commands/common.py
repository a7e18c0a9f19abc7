"""What all commands share: their common flags and the errors that become exit codes."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from pathlib import Path
from typing import NoReturn

ENGINES = ("auto", "libbpf", "bcc")
DEFAULT_ROWS = 20
LEAST_INTERVAL = 0.1
STATE_DIR = Path("/var/lib/memtrace")


class CommandError(Exception):
    """One sentence for the user, with what to do next; the run failed."""

    exit_code = 1


class UsageError(CommandError):
    """The command line makes no sense."""

    exit_code = 2


class UnprivilegedError(CommandError):
    """The user may not do this."""

    exit_code = 3


class MissingFeatureError(CommandError):
    """The kernel, or this version of memtrace, cannot do this."""

    exit_code = 3


class TargetNotFoundError(CommandError):
    """What was asked for does not exist."""

    exit_code = 4


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        raise UsageError(f"{message}; see '{self.prog} --help'.")


def complain(sentence: str, exit_code: int) -> int:
    """Say one sentence on stderr, fit for any terminal, and return the exit code."""
    from memtrace.views.text import printable

    line = f"memtrace: {printable(sentence)}\n"
    with contextlib.suppress(OSError):  # nobody reads stderr; the exit code still tells
        sys.stderr.write(line.encode("ascii", "backslashreplace").decode())
        sys.stderr.flush()
    return exit_code


def add_common(parser: argparse.ArgumentParser, sorts: tuple[str, ...]) -> None:
    """Add the flags that mean the same everywhere."""
    who = parser.add_argument_group("which containers")
    who.add_argument("-n", "--namespace", help="only this Kubernetes namespace")
    who.add_argument("--pod", help="only this pod")
    who.add_argument("-c", "--container", help="only this container, unit or cgroup path")
    who.add_argument("-p", "--pid", type=positive, help="only where this process lives")
    how = parser.add_argument_group("how")
    how.add_argument("--json", action="store_true", help="one JSON object per line")
    how.add_argument(
        "-r", "--rows", type=positive, help=f"at most ROWS rows (in plain text {DEFAULT_ROWS})"
    )
    how.add_argument(
        "-s", "--sort", choices=sorts, default=sorts[0], help="largest first by (%(default)s)"
    )
    how.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="where the host's / is mounted"
    )
    how.add_argument(
        "--engine", choices=ENGINES, default=ENGINES[0], help="what loads the probes (%(default)s)"
    )
    how.add_argument("-v", "--verbose", action="store_true", help="say more when it fails")


def add_state_dir(parser: argparse.ArgumentParser) -> None:
    """Add the flag for what outlives a run."""
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=STATE_DIR,
        metavar="DIR",
        help="where names of removed containers are kept (%(default)s)",
    )


def check_root(root: Path) -> None:
    """Raise UsageError unless the host's / can be there."""
    if not root.is_dir():
        raise UsageError(f"--root {root} is no directory; give where the host's / is.")


def positive(text: str) -> int:
    """Parse a whole number from 1 up."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 up")
    return number


def interval(text: str) -> float:
    """Parse seconds, at least LEAST_INTERVAL: below it the reading itself is what is measured."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= LEAST_INTERVAL):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a number of seconds from {LEAST_INTERVAL} up"
        )
    return seconds


def cgroup_of(pid: int, root: Path) -> str:
    """Return the memory cgroup of a process: its path inside the memory hierarchy."""
    try:
        lines = (root / "proc" / str(pid) / "cgroup").read_text(errors="surrogateescape")
    except OSError:
        raise TargetNotFoundError(
            f"there is no process {pid} under {root}; look up the pid on the host with ps."
        ) from None
    paths = {
        controllers: path
        for _, controllers, path in (line.split(":", 2) for line in lines.splitlines())
    }
    memory = (path for names, path in paths.items() if "memory" in names.split(","))
    return next(memory, paths.get("", "/"))

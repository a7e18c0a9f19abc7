"""What all commands share: their common flags and the errors that become exit codes."""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
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


@contextlib.contextmanager
def live_errors() -> Iterator[None]:
    """Turn what the live source says when it cannot go on into a CommandError."""
    from memtrace.collect.starting import LiveError

    try:
        yield
    except LiveError as error:
        failure = CommandError(error.sentence)
        failure.exit_code = error.exit_code
        raise failure from error


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one sentence; options may stand between words."""

    _mixing = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; argparse alone takes `FILE --for 1m` for the end of all words."""
        helping = {"-h", "--help"} & set(args or ())  # mixing hides the defaults that help tells
        if self._mixing or helping or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return super().parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False

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


def discard_output() -> None:
    """Have standard output lead nowhere: else what cannot be written stays to be flushed."""
    with contextlib.suppress(io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def progress(words: Callable[[float], str]) -> Iterator[Callable[[float], None] | None]:
    """Yield what tells on a terminal how far long work is, and wipe that afterwards.

    None without a terminal. `words` makes a sentence of the figure that is told.
    """
    if not sys.stderr.isatty():
        yield None
        return

    def tell(figure: float) -> None:
        sys.stderr.write(f"\r{words(figure)} ")
        sys.stderr.flush()

    try:
        yield tell
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def add_common(parser: argparse.ArgumentParser, sorts: tuple[str, ...]) -> None:
    """Add the flags that mean the same everywhere."""
    add_source(add_view(parser, sorts))


def add_view(parser: argparse.ArgumentParser, sorts: tuple[str, ...]) -> argparse._ActionsContainer:
    """Add the flags for what is shown of what is known; return the group for further ones."""
    add_who(parser)
    how = parser.add_argument_group("how")
    how.add_argument("--json", action="store_true", help="one JSON object per line")
    how.add_argument(
        "-r", "--rows", type=positive, help=f"at most ROWS rows (in plain text {DEFAULT_ROWS})"
    )
    how.add_argument(
        "-s", "--sort", choices=sorts, default=sorts[0], help="largest first by (%(default)s)"
    )
    return how


def add_who(parser: argparse.ArgumentParser) -> None:
    """Add the flags for which containers are meant."""
    who = parser.add_argument_group("which containers")
    who.add_argument("-n", "--namespace", help="only this Kubernetes namespace")
    who.add_argument("--pod", help="only this pod")
    who.add_argument("-c", "--container", help="only this container, unit or cgroup path")
    who.add_argument("-p", "--pid", type=positive, help="only where this process lives")


def add_source(how: argparse._ActionsContainer) -> None:
    """Add the flags for how the kernel is read."""
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


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def duration(text: str) -> float:
    """Parse a length of time such as 90, 90s, 10m or 1h30m into seconds."""
    parts = _DURATION.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        raise argparse.ArgumentTypeError(f"'{text}' is no length of time such as 90s, 10m or 1h30m")
    return sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)


def cgroup_of(pid: int, root: Path) -> str:
    """Return the memory cgroup of a process: its path inside the memory hierarchy."""
    from memtrace.host.procfs import cgroup_shown

    path = cgroup_shown(root, pid)
    if path is None:
        raise TargetNotFoundError(
            f"there is no process {pid} under {root}; look up the pid on the host with ps."
        )
    return path

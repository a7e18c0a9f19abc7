"""The `memtrace` command: finds the word's file, runs it, and turns errors into exit codes.

Imports nothing heavy, so that --help answers at once. Knows no command's arguments.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from memtrace import __version__
from memtrace.commands.common import CommandError, Parser, UsageError, complain, discard_output

# word -> one line of help; the file of the same name has add_arguments() and run().
COMMANDS: dict[str, str] = {
    "top": "show live which container's memory grows, with what, and because of what",
    "explain": "say what a container's memory is, what drove it, and what to change",
    "slab": "count kernel objects (dentries, inodes, ...) by container and slab cache",
    "go": "show the heap and the settings of Go processes beside their containers' limits",
    "oom": "kills for want of memory and their causes: list them, show one, watch",
    "agent": "the same all day, as a service: post-mortems, history, health",
    "record": "record it into a file, to be looked at later or elsewhere",
    "replay": "show a recording as top would; needs no root",
    "report": "a recording or an OOM kill as one HTML file, for a ticket; needs no root",
    "doctor": "say what this machine offers memtrace, what is missing, and what to do",
}

_DESCRIPTION = """\
memtrace tells which container's memory goes up and which I/O did it: it charges every
byte of page cache to a container, a file, a process and a system call.
"""
_EXAMPLES = """\
examples:
  sudo memtrace top                  a table every 2 seconds until Ctrl-C
  sudo memtrace top 1 5 -s growth    5 tables, 1 second apart, fastest growing first
  sudo memtrace top --json 10 | jq   one JSON object per line, for programs
  sudo memtrace record --for 10m f   ten minutes into the file f
  memtrace replay f                  look at it, anywhere, without root
  memtrace report f -o f.html        a page to attach to a ticket
  memtrace top --help                what the columns mean and all options

exit codes: 0 ok, 1 failure at run time, 2 wrong usage, 3 missing privilege or kernel
feature, 4 target not found.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Ctrl-C and SIGTERM are a clean end."""
    given = sys.argv[1:] if arguments is None else arguments
    verbose = "-v" in given or "--verbose" in given
    _replace_closed_streams()
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 0
    except BrokenPipeError:
        discard_output()  # the reader has seen enough, as in `memtrace top | head`
        code = 0
    except CommandError as error:
        code = complain(str(error), error.exit_code)
    except Exception as error:
        if verbose:
            raise
        kind = type(error).__name__
        code = complain(f"failed: {kind}: {error}. Run again with -v for the details.", 1)
    finally:
        signal.signal(signal.SIGTERM, before)
    return code


def _replace_closed_streams() -> None:
    """Put nothing where stdin or stderr is closed: what is opened next would take its number."""
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _run(arguments: Sequence[str] | None) -> int:
    if sys.stdout is None:
        raise CommandError("standard output is closed; send it to a file, a pipe or /dev/null.")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a C locale must not end the run
    options = _parser(sys.argv[1:] if arguments is None else arguments).parse_args(arguments)
    if options.command is None:
        raise UsageError("no command given; try 'memtrace top' or 'memtrace --help'.")
    module = importlib.import_module(f"memtrace.commands.{options.command}")
    code: int = module.run(options)
    return code


def _parser(given: Sequence[str]) -> Parser:
    """Everything there is; the arguments of words that are not `given` are left unread."""
    parser = Parser(
        prog="memtrace",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"memtrace {__version__}")
    words = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for word, text in COMMANDS.items():
        if word not in given:
            words.add_parser(word, help=text)
            continue
        module = importlib.import_module(f"memtrace.commands.{word}")
        module.add_arguments(words.add_parser(word, help=text, **module.HELP))
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt

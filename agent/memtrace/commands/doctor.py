"""`memtrace doctor`: every kernel feature, privilege, cgroup mode and runtime, found or missing.

checks.py looks; this prints. `--verify` hands over to verify.py.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from memtrace.commands.common import ENGINES, MissingFeatureError, check_root

HELP: dict[str, Any] = {
    "description": """\
Say what this machine offers memtrace: kernel features, privileges, the cgroup mode and
container runtimes. For each thing that is missing: what is lost, and what to do about it.
""",
    "epilog": """\
examples:
  sudo memtrace doctor               what works here, what does not, and why
  sudo memtrace doctor --verify      prove on this machine that ledger = kernel, to the page
  sudo memtrace doctor --json | jq   the same for programs

exit codes: 0 memtrace can start, 3 something required is missing, 1 the proof failed.
""",
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `doctor` understands."""
    parser.add_argument(
        "--verify",
        action="store_true",
        help="run a known workload in a cgroup of its own and compare ledger and kernel",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="where the host's / is mounted"
    )
    parser.add_argument(
        "--engine", choices=ENGINES, default=ENGINES[0], help="what loads the probes (%(default)s)"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say more when it fails")


def run(options: argparse.Namespace) -> int:
    """Print the checks; exit 3 when memtrace cannot start here."""
    from memtrace.commands.checks import gather_checks
    from memtrace.views import doctor as view

    check_root(options.root)
    checks = gather_checks(options.root, options.engine)
    if options.json:
        sys.stdout.write(view.render_json(checks) + "\n")
    else:
        sys.stdout.write(view.render_text(checks, shutil.get_terminal_size().columns))
    sys.stdout.flush()
    if not view.can_start(checks):
        lacking = next(check for check in checks if check.required and check.status != "ok")
        raise MissingFeatureError(f"{lacking.name} is required: {lacking.remedy or lacking.detail}")
    if options.verify:
        from memtrace.commands.verify import verify

        return verify(options)
    return 0

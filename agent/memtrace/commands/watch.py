"""`--watch NAMES`: what is attached only while it is asked for. Parses and passes on; no more."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from memtrace.model.selection import Selection
    from memtrace.model.shapes import Snapshot

SLAB = "slab"
NAMES = ("touchers", "dirtiers", "refaults", "stacks", SLAB)
ALWAYS_INSIDE = frozenset({"touchers", "dirtiers", "stacks"})
"""Watched for a container while the screen shows what is inside it."""


class Watcher(Protocol):
    """What can watch on demand."""

    def watch(self, names: frozenset[str], cgroup_ids: frozenset[int] | None) -> None:
        """Watch these for these cgroups and all below (None: all), and nothing else."""


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Add the flag."""
    parser.add_argument(
        "--watch",
        type=names,
        default=frozenset(),
        metavar="NAMES",
        help=f"watch more of the chosen containers, at a cost: {', '.join(NAMES)}",
    )


def names(text: str) -> frozenset[str]:
    """Parse a list of names with commas between them."""
    asked = [name.strip() for name in text.split(",")]
    for name in asked:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(
                f"'{name}' is nothing to watch; there are {', '.join(NAMES)}"
            )
    return frozenset(asked)


def watch_first(live: Watcher, asked: frozenset[str], wanted: Selection) -> None:
    """Begin to watch before the first sample where it is known whom: everybody."""
    if asked and not wanted:
        live.watch(asked, None)
    elif SLAB in asked:  # counted for everybody whoever is chosen
        live.watch(frozenset({SLAB}), frozenset())


def watch_chosen(
    live: Watcher, asked: frozenset[str], wanted: Selection, snapshot: Snapshot
) -> None:
    """Follow who is chosen: containers come and go."""
    if not asked or not wanted:
        return
    from memtrace.model.selection import select

    chosen = select(snapshot.containers, wanted)
    live.watch(asked, frozenset(container.source.cgroup_id for container in chosen))

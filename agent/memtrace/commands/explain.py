"""`memtrace explain`: watches one container closely for a while and says what its memory is.

Wires the live source or a recording, the model and a view. Judges and draws nothing itself.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtrace.commands.common import (
    CommandError,
    UsageError,
    add_source,
    add_state_dir,
    check_root,
    duration,
    progress,
)
from memtrace.commands.stopping import Stopping, stopping
from memtrace.commands.targets import recorded_targets, targets
from memtrace.commands.top import Opener, baseline_progress, opened, samples
from memtrace.commands.watch import NAMES

if TYPE_CHECKING:
    from memtrace.model.observation import Observation
    from memtrace.model.shapes import Container
    from memtrace.samples import Sample

DEFAULT_SECONDS = 10.0
MOST_SAMPLES = 120
LEAST_INTERVAL = 1.0
"""Seconds between samples: one, and more where it takes so long that they would be too many."""

HELP: dict[str, Any] = {
    "description": """\
Say what a container's memory is, what drove it, whether that is a problem and what to change,
with the numbers it rests on; or that the figures do not tell, and what to run next.

It watches for 10 seconds (--for), with all that is off otherwise: who reads and dirties its
files, from which functions, which kernel objects it has made. Ctrl-C: what was seen so far.

TARGET is a container, a pod, a systemd unit, the pid of a process, a cgroup's path in the
memory hierarchy or its directory under /sys/fs/cgroup.
""",
    "epilog": """\
examples:
  sudo memtrace explain registry-mirror           ten seconds, then the answer
  sudo memtrace explain 4711 --for 5m             a trend needs minutes
  sudo memtrace explain web-0 --json | jq         docs/explain.schema.json
  memtrace explain web-0 --from today.mtr         from a recording, without root
""",
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `explain` understands."""
    parser.add_argument("target", metavar="TARGET", help="container, pod, unit, pid or cgroup")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=duration,
        default=DEFAULT_SECONDS,
        metavar="TIME",
        help="how long to watch, e.g. 10s (default), 90s, 5m",
    )
    parser.add_argument(
        "--from",
        dest="recording",
        type=Path,
        metavar="FILE",
        help="explain what a recording holds, up to its end, instead of watching",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per container")
    parser.add_argument(
        "--no-baseline", action="store_true", help="do not look at what is cached already"
    )
    add_source(parser)
    add_state_dir(parser)


def run(options: argparse.Namespace, opener: Opener | None = None) -> int:
    """Watch, or read, and print. `opener`: as for top."""
    if options.recording is not None:
        seen, chosen = _recorded(options)
    else:
        seen, chosen = _watched(options, opener)
    sys.stdout.write(_printed(options, _observed(seen, chosen, options.target)))
    sys.stdout.flush()
    return 0


def _watched(
    options: argparse.Namespace, opener: Opener | None
) -> tuple[list[Sample], Sequence[Container]]:
    """Return the samples, and whose they are asked for. Raises CommandError."""
    check_root(options.root)
    with stopping() as wish, opened(options, opener) as live:
        wish.tell(live)
        live.on_progress = baseline_progress(wish)
        live.on_census = lambda _: wish.raise_if_asked()
        interval = max(LEAST_INTERVAL, options.seconds / MOST_SAMPLES)
        source = samples(live, interval, wish, None)
        first = next(source)
        chosen = _chosen(first, options)
        live.watch(frozenset(NAMES), frozenset(each.source.cgroup_id for each in chosen))
        second = live.sample()  # at once: what is found from the second sample on is found sooner
        return list(_until(chain([first, second], source), options.seconds, wish)), chosen


def _until(source: Iterable[Sample], seconds: float, wish: Stopping) -> Iterator[Sample]:
    """Yield what comes in so many seconds, telling on a terminal how long it takes still."""
    started = time.monotonic()
    with progress(lambda left: f"watching: {left:3.0f} s to go (Ctrl-C: enough) ") as tell:
        for sample in source:
            yield sample
            left = started + seconds - time.monotonic()
            if left <= 0 or wish.asked:
                return
            if tell is not None:
                tell(left)


def _chosen(sample: Sample, options: argparse.Namespace) -> Sequence[Container]:
    from memtrace.host.hierarchy import HostError, find_hierarchy
    from memtrace.model.snapshot import snapshot

    try:
        mount = str(find_hierarchy(options.root).mount)
    except HostError as error:
        raise CommandError(str(error)) from error
    return _living(targets(snapshot(sample, None, None), options.target, mount, options.root))


def _living(found: Sequence[Container]) -> Sequence[Container]:
    """Leave removed cgroups out where the name is in use again; alone they are what is asked."""
    running = [each for each in found if each.source.state == "running"]
    return running or found


def _recorded(options: argparse.Namespace) -> tuple[list[Sample], Sequence[Container]]:
    """Return the last samples of a recording, and whose they are asked for."""
    from memtrace.model.snapshot import snapshot
    from memtrace.store.errors import StoreError
    from memtrace.store.reader import Recording

    try:
        with Recording(options.recording) as recording:
            moments = recording.moments
            last = moments[-1] if moments else None
            seen = [
                recording.sample(index)
                for index, moment in enumerate(moments)
                if last is not None
                and moment.run == last.run
                and last.position - moment.position <= options.seconds + LEAST_INTERVAL / 2
            ]
    except StoreError as error:
        raise CommandError(str(error)) from error
    if not seen:
        raise UsageError(f"{options.recording} holds no sample.")
    return seen, _living(recorded_targets(snapshot(seen[-1], None, None), options.target))


def _observed(
    seen: Sequence[Sample], chosen: Iterable[Container], target: str
) -> list[Observation]:
    """Return what was seen of each. Raises CommandError when all are gone."""
    from memtrace.model.observation import observe

    made = [observe(seen, container.source.cgroup_id) for container in chosen]
    found = [each for each in made if each is not None]
    if not found:
        raise CommandError(f"'{target}' ended and left nothing behind while it was watched.")
    return found


def _printed(options: argparse.Namespace, found: Sequence[Observation]) -> str:
    from memtrace.views.explain import render_json, render_text

    if options.json:
        return "".join(f"{render_json(options.target, each)}\n" for each in found)
    return "\n".join(render_text(each) for each in found)

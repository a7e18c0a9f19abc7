"""`memtrace oom watch`: attach, sample every second, and record and print kills until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from memtrace.commands.common import (
    MissingFeatureError,
    UsageError,
    check_root,
    complain,
    discard_output,
    live_errors,
)
from memtrace.commands.oom import wanted
from memtrace.commands.stopping import Stopping, stopping

if TYPE_CHECKING:
    from memtrace.collect.live import Live
    from memtrace.collect.oom_capture import OomCapture
    from memtrace.commands.oom_recorder import OomRecorder
    from memtrace.samples import Sample

SAMPLE_SECONDS = 1.0
MINUTE = 60
"""Samples kept: what a record can tell of the time before."""


def run(options: argparse.Namespace) -> int:
    """Watch until Ctrl-C or SIGTERM."""
    from memtrace.service.protection import prefer

    check_root(options.root)
    prefer()
    if options.oom_dir.exists() and not options.oom_dir.is_dir():
        raise UsageError(f"--oom-dir {options.oom_dir} is no directory.")
    with live_errors(), stopping() as wish, _opened(options) as (live, capture):
        _watch(options, wish, live, capture)
    return 0


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[tuple[Live, OomCapture]]:
    """Everything attached; the capture first, so that no kill is missed while the rest starts."""
    from memtrace.collect.oom_capture import open_capture
    from memtrace.collect.opening import open_live
    from memtrace.samples import Feature

    capture = open_capture(options.root, options.engine)
    if isinstance(capture, Feature):
        raise MissingFeatureError(f"kills cannot be captured here: {capture.reason}.")
    with capture:
        baseline = not options.no_baseline
        with open_live(options.root, options.engine, baseline, options.state_dir) as live:
            yield live, capture


def _watch(options: argparse.Namespace, wish: Stopping, live: Live, capture: OomCapture) -> None:
    from memtrace.collect.oom_gap import KillCounters
    from memtrace.commands.oom_recorder import OomRecorder
    from memtrace.host.hierarchy import find_hierarchy

    wish.tell(live)
    live.on_progress = lambda _done, _pages: wish.raise_if_asked()
    counters = KillCounters(options.state_dir, find_hierarchy(options.root), options.root)
    recorder = OomRecorder(capture, counters, live, options.oom_dir)
    samples: deque[Sample] = deque([live.sample()], maxlen=MINUTE)
    _print(options, recorder.catch_up(samples))
    print(f"memtrace: watching; records go to {options.oom_dir}; Ctrl-C ends.", file=sys.stderr)
    problem, due = "", time.monotonic() + SAMPLE_SECONDS
    while not wish.asked:
        left = max(0.0, due - time.monotonic())
        live.wait(recorder.due(left), capture.fileno())
        _print(options, recorder.tick(samples))
        problem = _told(recorder, problem)
        if time.monotonic() >= due:
            samples.append(live.sample())
            recorder.sampled()
            due = max(due + SAMPLE_SECONDS, time.monotonic())
    recorder.close()


def _told(recorder: OomRecorder, before: str) -> str:
    """Say once that records cannot be written, and once that they can again."""
    if recorder.problem and not before:
        complain(recorder.problem, 0)
    elif before and not recorder.problem:
        complain("post-mortems are written again.", 0)
    return recorder.problem


def _print(options: argparse.Namespace, documents: Iterable[dict[str, Any]]) -> None:
    """Show records; where that is a full disk, they are still kept."""
    from memtrace.views import oom_json, postmortem

    try:
        for document in documents:
            if wanted(document, options):
                print(oom_json.line(document) if options.json else postmortem.render(document))
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # the reader left: that ends it
    except OSError as error:
        discard_output()
        complain(f"nothing is printed any more: {error.strerror}; it goes on recording.", 0)

"""The help page: keys, columns in words, and what this run cannot do and why."""

from __future__ import annotations

from collections.abc import Iterator

from memtrace.model import remarks, words
from memtrace.views.screen.explanation import wrapped
from memtrace.views.screen.table import COLUMNS
from memtrace.views.screen.view import Scene

KEYS = (
    ("arrows, j k, PgUp PgDn, Home End", "move"),
    ("Enter", "look inside: causes, files, processes, kinds of I/O, memory, slab, verdict"),
    ("Esc, Backspace", "back; in the list of containers: show all again"),
    ("left right", "fold and unfold a pod or slice; inside: the list before or after"),
    ("1 to 8, Tab", "inside: choose a list"),
    ("< >", "sort by the column to the left or right"),
    ("r", "reverse the order"),
    ("t", "all containers in one list, without pods and slices; again: with them"),
    ("f", "show only names, images or cgroups that contain a text"),
    ("space", "pause: the screen stands still, memtrace goes on counting; again: go on"),
    ("b", "look anew at what is cached (the baseline); in the list Slab: count again"),
    ("? h", "this page"),
    ("q, Ctrl-C", "end"),
)
REPLAY_KEYS = (
    *KEYS[:3],
    ("left right", "one sample back and on"),
    ("[ ], Shift-left Shift-right", "a minute back and on"),
    ("space", "pause; again: go on"),
    ("Tab, Shift-Tab", "unfold and fold a pod or slice; inside: the list after or before"),
    *(key for key in KEYS[4:] if key[0] not in ("space", "b")),
)
_NAME = 18


def help_lines(scene: Scene | None, width: int) -> Iterator[str]:
    """Yield the page; `scene` adds what is off in this run."""
    yield "Which container's memory grows, with what, and because of what."
    yield ""
    yield "KEYS"
    for key, what in KEYS if scene is None or scene.position is None else REPLAY_KEYS:
        yield from _pair(key, what, width)
    yield ""
    yield "COLUMNS (more of them the wider the screen)"
    for column in COLUMNS:
        yield from _pair(column.field.title, column.field.help, width)
    yield from wrapped(
        "1M is 1 MiB. - is unknown or none, never 0. A row of a pod or slice (unfolded: "
        "its rows below) contains what is below it; do not add them up.",
        width,
    )
    yield ""
    yield "VERDICTS (! warning, !! critical)"
    for verdict, brief in words.VERDICTS.items():
        yield from _pair(brief, verdict.replace("_", " "), width)
    if scene is not None:
        yield ""
        yield from _this_run(scene, width)


def _this_run(scene: Scene, width: int) -> Iterator[str]:
    snapshot = scene.snapshot
    yield "THIS RUN"
    yield f"engine {snapshot.engine}, cgroup {snapshot.cgroup_mode}"
    yield from wrapped(remarks.baseline(snapshot.baseline), width)
    yield from wrapped(remarks.losses(snapshot.lost), width)
    for text in remarks.features_off(snapshot):
        yield from wrapped(text, width)


def _pair(name: str, text: str, width: int) -> Iterator[str]:
    if len(name) >= _NAME:
        yield name
        name = ""
    for part in wrapped(text, width - _NAME):
        yield f"{name:<{_NAME}}{part}"
        name = ""

"""The lines below a list: what the selected row means, what is missing or off, the keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memtrace.model import remarks, words
from memtrace.model.latest import additions
from memtrace.model.selection import display_name, whole_node
from memtrace.model.shapes import Container
from memtrace.model.units import signed_size
from memtrace.views.screen import cells
from memtrace.views.screen.explanation import wrapped
from memtrace.views.screen.look import SEVERITY, Ink, Line, Look, line
from memtrace.views.screen.view import Listed, Scene

TABLE_KEYS = (
    ("Enter", "look inside"),
    ("< >", "sort"),
    ("r", "reverse"),
    ("f", "filter"),
    ("space", "pause"),
    ("?", "help"),
    ("q", "quit"),
    ("b", "look at cache anew"),
    ("left/right", "fold"),
)
INSIDE_KEYS = (
    ("Esc", "back"),
    ("1-8", "lists"),
    ("< >", "sort"),
    ("r", "reverse"),
    ("space", "pause"),
    ("?", "help"),
    ("q", "quit"),
)
_PLAYING = (("left/right", "seek"), ("[ ]", "by a minute"), ("space", "pause"))
REPLAY_TABLE_KEYS = (
    ("Enter", "look inside"),
    *_PLAYING,
    ("f", "filter"),
    ("?", "help"),
    ("q", "quit"),
    ("< >", "sort"),
    ("Tab", "unfold"),
)
REPLAY_INSIDE_KEYS = (
    ("Esc", "back"),
    ("1-8", "lists"),
    *_PLAYING,
    ("?", "help"),
    ("q", "quit"),
    ("< >", "sort"),
)


def keys_line(keys: Iterable[tuple[str, str]], width: int) -> Line:
    """Return the keys that fit, each whole."""
    text = ""
    for key, what in keys:
        more = f"{key} {what}"
        if len(text) + len(more) + 2 <= width:
            text += f"{more}  "
    return line(cells.left(text, width), Ink.FAINT)


def typing_line(typed: str, width: int) -> Line:
    """Return the field for the filter, its end in sight."""
    asked, hint = "show only: ", "  Enter keeps it, Esc takes it back"
    room = max(0, width - len(asked) - len(hint))
    return line(
        cells.left(f"{asked}{cells.path(f'{typed}_', room).rstrip()}{hint}", width), Ink.BOLD
    )


def rule(width: int, look: Look, title: str = "") -> Line:
    """Return a line across the screen."""
    head = f"{look.rule * 2} {cells.shown(title)} " if title else ""
    text = head + look.rule * max(0, width - cells.width(head))
    return line(cells.left(text, width), Ink.FAINT)


def meaning(container: Container, width: int, height: int) -> list[Line]:
    """Return the verdict on one container, the advice and the latest cause: `height` lines."""
    ink = SEVERITY.get(container.verdict.severity, Ink.PLAIN)
    top_cause = words.top_cause(container)
    cause = [f"top cause: {top_cause}"] if top_cause else []
    room = height - len(cause)
    claim = wrapped(words.verdict_in_full(container.verdict), width, min(2, room))
    drawn = [line(cells.left(text, width), ink) for text in claim]
    advice = " ".join(f"advice: {words.advice_in_full(a)}." for a in container.verdict.advice)
    if advice:
        parts = wrapped(advice, width, room - len(claim))
        drawn += [line(cells.left(part, width)) for part in parts]
    drawn += [line(cells.cause(text, width)) for text in cause]
    return _exactly(drawn, width, height)


def latest(rows: Sequence[Container], width: int, height: int) -> list[Line]:
    """Return what was added most since the table before: `height` lines."""
    drawn = []
    for addition in additions(rows)[:height]:
        name = cells.name(display_name(addition.container), 24)
        many = f" ({addition.times} times)" if addition.times > 1 else ""
        head = f"{signed_size(addition.added_bytes):>6}  {name}  "
        cause = cells.cause(words.cause(addition.driver), max(0, width - 34 - len(many)))
        drawn.append(line(cells.left(head + cause.rstrip() + many, width)))
    return _exactly(drawn, width, height)


def state(scene: Scene, listed: Listed, narrowed: bool, width: int, height: int) -> list[Line]:
    """Return remainder, losses, engine, baseline and what is off: `height` lines."""
    whole = whole_node(scene.snapshot)
    covered = [whole] if whole is not None and not narrowed else list(listed.rows)
    features = scene.snapshot.features.items()
    off = [name for name, feature in features if not (feature.enabled or feature.on_demand)]
    parts = [
        remarks.unattributed(covered),
        remarks.losses(scene.snapshot.lost),
        remarks.baseline_briefly(scene.snapshot.baseline),
        f"off: {', '.join(off)}" if off else "all features on",
        f"engine {scene.snapshot.engine}",
        f"cgroup {scene.snapshot.cgroup_mode}",
    ]
    if listed.left_out:
        parts.append(f"{listed.left_out} more rows: leave out -r")
    if listed.faded:
        parts.append(remarks.leftovers(listed.faded))
    return _exactly(list(_packed(parts, width)), width, height)


def _packed(parts: Iterable[str], width: int) -> Iterable[Line]:
    """Yield lines of whole parts, as many to a line as fit."""
    text = ""
    for part in map(cells.shown, parts):
        joined = f"{text} | {part}" if text else part
        if text and cells.width(joined) > width:
            yield line(cells.left(text, width), Ink.FAINT)
            joined = part
        text = joined
    yield line(cells.left(text, width), Ink.FAINT)


def _exactly(lines: list[Line], width: int, height: int) -> list[Line]:
    blank = line(cells.left("", width))
    return (lines + [blank] * height)[: max(0, height)]

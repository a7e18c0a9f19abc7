"""The screen of a recording: where it is, what the keys ask of the player, and how it looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from memtrace.model.history import History
from memtrace.model.modeler import Modeler
from memtrace.views.screen import cells
from memtrace.views.screen.frame import draw
from memtrace.views.screen.panes import PANES
from memtrace.views.screen.replay import BACK, FAR_BACK, FAR_ON, ON, PAUSE, ReplayScreen
from memtrace.views.screen.view import Position, Scene
from tests.unit.store.generated import sequence
from tests.unit.views.screen.scenes import scenes, view
from tests.unit.views.screen.test_snapshots import PAGES, compare

Shown = tuple[list[str], list[str]]


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clock on screen is local time."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def placed(count: int = 12) -> list[Scene]:
    """The node at some moments of a recording."""
    last = 2.0 * (count - 1)
    return [
        scene._replace(position=Position(2.0 * n, last, n == count - 1))
        for n, scene in enumerate(scenes(count))
    ]


def shown(*keys: str, more: int = 0, size: tuple[int, int] = (80, 24)) -> Shown:
    """What is on the screen after these keys, `more` scenes arriving then; what was asked."""

    async def look() -> Shown:
        asked: list[str] = []
        app = ReplayScreen(view(), lambda: None, asked.append)
        async with app.run_test(size=size) as pilot:
            found = placed()
            for scene in found[: len(found) - more]:
                app.arrive(scene)
            await pilot.press(*keys)
            for scene in found[len(found) - more :]:
                app.arrive(scene)
            await pilot.pause()
            lines = [strip.text for strip in app.screen._compositor.render_strips()]
            return lines, asked

    return asyncio.run(look())


def test_keys_ask_the_player() -> None:
    """Arrows for one sample, brackets and Shift for a minute, space to stop and go on."""
    keys = ("left", "right", "left_square_bracket", "shift+right", "shift+left", "space")
    _, asked = shown(*keys, "right_square_bracket")
    assert asked == [BACK, ON, FAR_BACK, FAR_ON, FAR_BACK, PAUSE, FAR_ON]


def test_keys_of_top_that_mean_nothing_here_ask_nothing() -> None:
    """There is no baseline to take; nothing says that it is taken."""
    lines, asked = shown("b")
    assert (lines, asked) == (shown()[0], [])


def test_tab_folds_and_unfolds() -> None:
    """The arrows seek."""
    assert shown("shift+tab")[0] != shown()[0]
    assert shown("shift+tab", "tab")[0] == shown()[0]


def test_what_is_sought_in_a_pause_is_shown() -> None:
    """A pause stops the player, not the screen."""
    lines, _ = shown("space", more=3)
    assert "PAUSED" in lines[0]
    assert "0:22 of 0:22" in lines[0]


@pytest.mark.parametrize("page", ["containers", "causes"])
def test_replay_looks_like_its_snapshot(page: str) -> None:
    """Position, the time when it was recorded, and other keys at the bottom."""
    compare(f"replay-{page}-80x24", shown(*PAGES[page])[0])


def test_help_of_a_replay_tells_its_keys() -> None:
    """And not those of top that seek nothing."""
    text = "\n".join(shown("question_mark", size=(100, 80))[0])
    assert "one sample back and on" in text
    assert "look anew" not in text


@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_recording_holds_can_be_drawn(seed: int) -> None:
    """Any content that the types allow, in every list: a forged one ends nobody's screen."""
    modeler, history = Modeler(), History()
    for sample in sequence(seed):
        snapshot = modeler.snapshot(sample)
        scene = Scene(snapshot, history.add(snapshot), Position(1.0, 2.0, False))
        insides = [(c, tab) for c in snapshot.containers for tab in range(len(PANES))]
        for container, tab in ((None, 0), *insides):
            state = view()
            state.inside, state.tab = container, tab
            lines = draw(state, scene, (80, 24))
            assert [cells.width(line.text) for line in lines] == [80] * 24

"""What is really on the screen, as text, at three sizes: to be read by people.

After a change that is meant: MEMTRACE_NEW_SNAPSHOTS=1 make check ARGS="-k snapshots", and
read the difference.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtrace.views.screen.panes import PANES
from tests.unit.views.screen.scenes import HOSTILE, Screen, scenes

HERE = Path(__file__).with_name("snapshots")
NEW = os.environ.get("MEMTRACE_NEW_SNAPSHOTS", "") not in ("", "0")
SIZES = ((80, 24), (120, 40), (200, 50))
# What is shown, and the keys that lead there.
PAGES: dict[str, tuple[str, ...]] = {
    "containers": (),
    **{pane.title.lower().replace("/", ""): ("down", "down", "enter", str(number))
       for number, pane in enumerate(PANES, start=1)},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clock on screen is local time."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def drawn(size: tuple[int, int], keys: tuple[str, ...], names: tuple[str, ...] = ()) -> list[str]:
    """The screen after these keys."""

    async def look() -> list[str]:
        app = Screen()
        async with app.run_test(size=size) as pilot:
            for scene in scenes(12, names):
                app.arrive(scene)
            await pilot.press(*keys)
            await pilot.pause()
            return app.text()

    return asyncio.run(look())


def compare(name: str, lines: list[str]) -> None:
    """With the file of that name."""
    path, text = HERE / f"{name}.txt", "".join(f"{line.rstrip()}\n" for line in lines)
    if NEW:
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("page", ["containers", "causes", "files"])
def test_screen_looks_like_its_snapshot(page: str, size: tuple[int, int]) -> None:
    """The list of containers, and the inside of one."""
    compare(f"{page}-{size[0]}x{size[1]}", drawn(size, PAGES[page]))


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page not in ("containers", "causes", "files")]
)
def test_every_list_inside_looks_like_its_snapshot(page: str) -> None:
    """On a small terminal."""
    compare(f"{page}-80x24", drawn((80, 24), PAGES[page]))


def test_hostile_names_look_like_their_snapshot() -> None:
    """Spelled out, in columns, each row on its line."""
    lines = drawn((120, 40), ("t", "<", "end", "pageup"), HOSTILE)
    compare("hostile-120x40", lines)


def test_help_looks_like_its_snapshot() -> None:
    """Keys, columns, verdicts, and what is off in this run."""
    compare("help-100x80", drawn((100, 80), ("question_mark",)))

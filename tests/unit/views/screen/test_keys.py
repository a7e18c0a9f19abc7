"""Every key does what the help says, and the screen tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from memtrace.model.selection import Selection
from tests.unit.views.screen.scenes import Screen, scenes, view

Steps = Callable[[Screen, Pilot[Any]], Awaitable[None]]
SCENES = scenes(3)


def use(steps: Steps, size: tuple[int, int] = (120, 40), screen: Screen | None = None) -> None:
    """Run the app with the node on screen, and do something with it."""

    async def run() -> None:
        app = screen or Screen()
        async with app.run_test(size=size) as pilot:
            app.arrive(SCENES[0])
            await pilot.pause()
            await steps(app, pilot)

    asyncio.run(run())


def names(app: Screen) -> list[str]:
    """The first word of every row of the list."""
    rows = [line for line in app.text()[3:] if line.strip()]
    end = next(number for number, line in enumerate(rows) if line.startswith("──"))
    return [line.split()[0] for line in rows[:end]]


def selected(app: Screen) -> object:
    return app.view.cursor.key


def test_moving() -> None:
    """Arrows, j, k, Home and End; nothing happens beyond the ends."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        keys = list(app.view.main.keys)
        for key, index in (
            ("up", 0), ("down", 1), ("j", 2), ("k", 1), ("end", -1), ("down", -1),
            ("home", 0), ("G", -1), ("g", 0), ("pagedown", -1), ("pageup", 0),
        ):  # fmt: skip
            await pilot.press(key)
            assert selected(app) == keys[index], key

    use(steps)


def test_the_cursor_stays_on_its_container_while_rows_move() -> None:
    """batch grows above ssh and others; the cursor goes with it."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        await pilot.press("end", "r")
        before = selected(app)
        for scene in SCENES:
            app.arrive(scene)
            await pilot.pause()
            assert selected(app) == before

    use(steps)


def test_looking_inside_and_back() -> None:
    """Enter goes in, Escape and Backspace go out; the list is where it was."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        await pilot.press("down", "down", "enter")
        assert app.text()[1].startswith("db-0/postgres, container, in namespace shop")
        assert "[1 Causes]" in app.text()[5]
        await pilot.press("escape")
        assert selected(app) == 22
        await pilot.press("enter", "enter", "backspace")
        assert app.view.inside is None

    use(steps)


def test_lists_inside() -> None:
    """By number, by Tab and by arrows, round and round."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        await pilot.press("enter")
        for keys, title in (
            ("2", "Files"), ("tab", "Processes"), ("right", "I/O"), ("left", "Processes"),
            ("8", "Verdict"), ("tab", "Causes"), ("shift+tab", "Verdict"), ("5", "Memory"),
            ("6", "Slab"), ("7", "Go"),
        ):  # fmt: skip
            await pilot.press(keys)
            assert app.view.pane.title == title
            assert any(f" {title}]" in line for line in app.text())

    use(steps)


def test_sorting_and_reversing() -> None:
    """Along the columns that are on screen, round and round; r turns the order."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        assert "USAGE▼" in app.text()[2]
        await pilot.press("r")
        assert "USAGE▲" in app.text()[2]
        assert names(app)[0] == "▾system.slice"
        await pilot.press(">")
        assert "LIM%▼" in app.text()[2]
        await pilot.press("<", "<")
        assert "CONTAINER▼" in app.text()[2]
        assert names(app)[0] == "▾kubepods.slice"
        await pilot.press("<", ">")
        assert "CONTAINER▼" in app.text()[2]

    use(steps)


def test_folding() -> None:
    """Left folds the group or goes to it, right unfolds."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        assert names(app)[:3] == ["▾kubepods.slice", "▾db-0", "postgres"]
        await pilot.press("down", "down", "left")
        assert selected(app) == 21
        await pilot.press("left")
        assert names(app)[:3] == ["▾kubepods.slice", "▸db-0", "▾system.slice"]
        await pilot.press("right")
        assert "postgres" in names(app)
        await pilot.press("t")
        assert names(app)[0] == "db-0/postgres"

    use(steps)


def test_filtering() -> None:
    """While typing; Enter keeps it, Escape in the field takes it back, Escape later ends it."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        await pilot.press("f", *"mir", "q")
        assert app.is_running
        assert app.view.filter == "mirq"
        await pilot.press("backspace", "enter")
        assert names(app) == ["mirror.service"]
        await pilot.press("slash", "x")
        assert app.text()[-1].startswith("show only: mirx_  Enter keeps it")
        await pilot.press("escape")
        assert app.view.filter == "mir"
        await pilot.press("f", "ctrl+u", *"b a", "enter")
        assert app.view.filter == "b a"
        await pilot.press("f", "ctrl+u", *"mir", "enter")
        await pilot.press("escape")
        assert (app.view.filter, len(names(app))) == ("", 10)

    use(steps)


def test_filter_of_the_command_line_ends_with_escape() -> None:
    """It preselects; it does not lock in."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        assert names(app) == ["mirror.service"]
        await pilot.press("escape")
        assert len(names(app)) == 10

    use(steps, screen=Screen(view(Selection(container="mirror.service"))))


def test_sort_of_the_command_line() -> None:
    """-s name is the order at the start."""

    async def steps(app: Screen, _pilot: Pilot[Any]) -> None:
        assert "CONTAINER▼" in app.text()[2]

    use(steps, screen=Screen(view(sort="name")))


def test_pausing() -> None:
    """The screen stands still and says so; going on shows the latest."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        await pilot.press("space")
        still = app.text()
        assert "PAUSED" in still[0]
        app.arrive(SCENES[2])
        await pilot.pause()
        assert app.text() == still
        await pilot.press("down")
        assert app.text() != still
        await pilot.press("space")
        assert "PAUSED" not in app.text()[0]
        assert "603M" in "".join(app.text()) or "606M" in "".join(app.text())

    use(steps)


def test_asking_for_a_new_baseline() -> None:
    """b asks, and the screen says that it takes a while until the next snapshot."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        await pilot.press("b")
        assert app.asked == 1
        assert "looking at what is cached ..." in app.text()[0]
        app.be_busy("looking at what is cached: 2 file systems, 7 pages")
        await pilot.pause()
        assert "2 file systems" in app.text()[0]
        app.arrive(SCENES[1])
        await pilot.pause()
        assert "cached ..." not in app.text()[0]

    use(steps)


def test_help() -> None:
    """? and h show it, scroll it, and leave it."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        await pilot.press("question_mark")
        first = app.text()
        assert first[0].startswith("Which container's memory grows")
        await pilot.press("down", "pagedown")
        assert app.text() != first
        await pilot.press("home")
        assert app.text() == first
        await pilot.press("h")
        assert "USAGE▼" in app.text()[2]
        await pilot.press("h", "escape")
        assert "USAGE▼" in app.text()[2]

    use(steps, (80, 24))


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_quitting(key: str) -> None:
    """At any place."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        await pilot.press("enter", "question_mark", key)
        await pilot.pause()
        assert app.return_code == 0
        assert not app.is_running or app._exit

    use(steps)


def test_resizing() -> None:
    """Every line is drawn anew for the new size."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        for size in ((80, 24), (200, 50), (30, 8), (120, 40)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert len(app.text()) == size[1]
            assert {len(line) for line in app.text()} == {size[0]}
            assert app.text()[2].startswith("CONTAINER")

    use(steps)


def test_kernel_objects_are_counted_when_their_list_is_opened() -> None:
    """By its number, by Tab and by entering a container on it; b counts again, not the cache."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        await pilot.press("6")
        assert app.counted == 0  # nobody looks inside
        await pilot.press("down", "down", "enter")
        assert app.counted == 1
        assert "counting kernel objects" in app.text()[0]
        app.arrive(SCENES[1])
        await pilot.pause()
        assert "counting" not in app.text()[0]
        await pilot.press("5", "tab")
        assert app.counted == 2
        await pilot.press("b")
        assert (app.counted, app.asked) == (3, 0)
        await pilot.press("tab", "b")
        assert (app.counted, app.asked) == (3, 1)

    use(steps)


def test_what_is_looked_into_is_told_until_it_is_left() -> None:
    """With Escape, and when a filter is typed; never twice."""

    async def steps(app: Screen, pilot: Pilot[Any]) -> None:
        await pilot.press("enter", "tab", "escape", "escape")
        first = app.looked_into[0]
        assert first is not None
        assert app.looked_into == [first, None]
        await pilot.press("enter", "f")
        assert app.looked_into[2:] == [first, None]

    use(steps)

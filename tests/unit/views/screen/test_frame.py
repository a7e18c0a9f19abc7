"""The whole screen: always exactly its size, whatever is on it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from memtrace.model.history import History
from memtrace.model.selection import Selection
from memtrace.model.snapshot import snapshot
from memtrace.samples import Sample
from memtrace.views.screen.frame import draw
from memtrace.views.screen.listing import Cursor
from memtrace.views.screen.look import Line
from memtrace.views.screen.panes import PANES
from memtrace.views.screen.view import Scene, View
from tests.unit.model.test_properties import samples
from tests.unit.views.screen.scenes import HOSTILE, scenes, view

sizes = st.tuples(st.integers(1, 220), st.integers(1, 60))


def assert_fits(lines: list[Line], size: tuple[int, int]) -> None:
    assert len(lines) == size[1]
    for line in lines:
        assert cell_len(line.text) == size[0], line.text
        assert line.text.isprintable() or not line.text
        line.text.encode()


@settings(deadline=None, max_examples=80)
@given(samples(), samples(), sizes, st.integers(-1, len(PANES)), st.booleans())
def test_any_sample_fills_any_screen_exactly(
    now: Sample, before: Sample, size: tuple[int, int], page: int, flat: bool
) -> None:
    """The list, every list inside a container, and the help; no name breaks a line."""
    history = History()
    history.add(snapshot(before, None, None))
    drawn = snapshot(now, before, 1.0)
    state, scene = view(), Scene(drawn, history.add(drawn))
    state.flat = flat
    if page == len(PANES):
        state.help = Cursor()
    elif page >= 0:
        state.inside, state.tab = drawn.containers[0], page
    assert_fits(draw(state, scene, size), size)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50), (20, 6)])
def test_hostile_names_break_no_line(size: tuple[int, int]) -> None:
    """Neither in the list nor inside their containers."""
    scene = scenes(2, HOSTILE)[-1]
    for container in scene.snapshot.containers:
        state = view()
        state.flat = True
        assert_fits(draw(state, scene, size), size)
        state.inside = container
        for state.tab in range(len(PANES)):
            assert_fits(draw(state, scene, size), size)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (1, 1)])
def test_before_the_first_snapshot_it_says_what_it_waits_for(size: tuple[int, int]) -> None:
    """An empty screen would look like a hang."""
    state = view()
    state.busy = "looking at what is cached: 3 file systems, 99 pages"
    lines = draw(state, None, size)
    assert_fits(lines, size)
    if size[0] > 1:
        assert any("looking at what is cached: 3 file systems" in line.text for line in lines)


def text(state: View, scene: Scene, size: tuple[int, int] = (120, 40)) -> str:
    return "\n".join(line.text.rstrip() for line in draw(state, scene, size))


def test_numbers_of_groups_are_the_kernels_own() -> None:
    """A pod's row is what the kernel charges the pod, not a sum of rows."""
    lines = text(view(), scenes(2)[-1]).splitlines()
    assert next(line for line in lines if "▾db-0" in line).split()[1] == "690M"


def test_footer_says_remainder_losses_engine_baseline_and_what_is_off() -> None:
    """Always, also when there is nothing to say."""
    drawn = text(view(), scenes(1)[-1])
    for part in (
        "not attributed: 0 B of 900 MiB page cache",
        "lost: nothing",
        "engine libbpf",
        "baseline: done, 10 s ago",
        "off: slab",
        "cgroup v2",
    ):
        assert part in drawn


def test_selected_row_comes_with_claim_advice_and_cause() -> None:
    """Without entering it."""
    state = view(Selection(container="mirror.service"))
    drawn = " ".join(text(state, scenes(2)[-1], (100, 24)).split())
    assert "info: Usage is at the limit of 200 MiB because page cache fills what is free" in drawn
    assert "advice: change nothing: the cache gives way" in drawn
    assert "top cause: read by spegel -> /blobs/8f1c" in drawn


def test_what_hides_containers_is_named() -> None:
    """By the command line or by the filter."""
    state = view(Selection(namespace="shop", container="postgres"))
    state.filter = "pos"
    drawn = text(state, scenes(2)[-1])
    assert "only namespace shop, container postgres, filter: pos" in drawn
    assert "mirror.service" not in drawn
    state.filter = "nothing like it"
    assert "No container matches; Esc shows all." in text(state, scenes(2)[-1])


def test_rows_beyond_the_limit_of_the_command_line_are_counted() -> None:
    """-r keeps the largest."""
    drawn = text(view(rows=2), scenes(2)[-1])
    assert "postgres" in drawn
    assert "ssh.service" not in drawn
    assert "5 more rows: leave out -r" in drawn


def test_a_removed_container_says_so_and_keeps_its_cache() -> None:
    """Its files are gone; the ledger knows."""
    drawn = text(view(), scenes(2)[-1])
    row = next(line for line in drawn.splitlines() if "(gone)" in line)
    assert "40M" in row.split()


def test_a_terminal_without_colours_gets_words() -> None:
    """Severity is in the text; inks only repeat it."""
    drawn = text(view(), scenes(2)[-1])
    assert "cache at limit" in drawn
    assert "cache, no leak" in drawn


@pytest.mark.parametrize("width", range(20, 130, 7))
def test_no_number_is_cut(width: int) -> None:
    """At no width does a heading end within an amount."""
    state, scene = view(), scenes(3)[-1]
    for state.inside in (None, scene.snapshot.containers[7]):
        head = [line.text.rstrip() for line in draw(state, scene, (width, 24))[:2]]
        heading = head[1] if state.inside is None else draw(state, scene, (width, 24))[2].text
        assert "\N{HORIZONTAL ELLIPSIS}" not in heading
        assert "\N{HORIZONTAL ELLIPSIS}" not in head[0]

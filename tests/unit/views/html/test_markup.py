"""Whatever a name says, it is text in the page and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re

from hypothesis import given
from hypothesis import strategies as st

from memtrace.views.html.chart import chart, legend, spark
from memtrace.views.html.markup import LONGEST, element, text
from memtrace.views.html.page import page
from memtrace.views.html.pieces import table
from memtrace.views.html.scale import Scale, amounts, clock_ticks, countdown
from memtrace.views.text import cut_middle, printable
from tests.unit.views.html.reading import Reader, check

NAMES = st.text(max_size=60) | st.sampled_from(
    ["</title><script>alert(1)</script>", '" onload="x', "--><!--", "]]>", "&lt;", "\x00\x1b\udcff"]
)


@given(NAMES)
def test_text_of_an_element_is_what_was_given(name: str) -> None:
    """Escaped so that a reader gets the printable form of the name back, in text and attribute."""
    shown = cut_middle(printable(name), LONGEST)
    read = Reader(element("p", name, title=name))
    assert (read.tags, read.wrong, read.text) == (["p"], [], shown)
    assert read.attributes == [("p", "title", shown)]


@given(NAMES, st.lists(NAMES, max_size=4))
def test_a_page_of_strange_names_is_sound(title: str, names: list[str]) -> None:
    """In the title, in tables, in charts and in legends."""
    drawn = chart(title, Scale(0, 1, 1, ()), ())
    check(
        page(
            title,
            drawn,
            table(["a"], [[name] for name in names]),
            legend([("f-anon", name) for name in names]),
            spark([1, None, 2], title),
        )
    )


def test_a_long_name_is_cut_in_the_middle() -> None:
    """A path of 4,095 bytes is no page of its own."""
    assert len(text("a" * 5000)) == LONGEST


def test_the_page_may_load_and_run_nothing() -> None:
    """Its policy allows its own style sheet, by hash, and nothing else."""
    made = page("t")
    sheet = re.search("<style>(.*)</style>", made, re.S)
    assert sheet is not None
    digest = base64.b64encode(hashlib.sha256(sheet[1].encode()).digest()).decode()
    policy = next(v for t, n, v in Reader(made).attributes if v and v.startswith("default-src"))
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert made.startswith("<!DOCTYPE html>\n")
    assert "http:" not in made
    assert "https:" not in made


@given(st.integers(1, 1 << 62))
def test_few_amounts_get_a_line(top: int) -> None:
    """From one to four, whatever the scale is."""
    assert 0 <= len(amounts(top)) <= 4
    assert all(0 < amount <= top for amount in amounts(top))


@given(st.floats(0, 4e9), st.floats(0.1, 1e7))
def test_few_times_get_a_label(begin: float, seconds: float) -> None:
    """At most seven, all within the picture."""
    for ticks in (clock_ticks(begin, seconds), countdown(seconds, "kill")):
        assert len(ticks) <= 8
    assert all(-0.001 <= at <= seconds + 0.001 for at, _ in clock_ticks(begin, seconds))

"""The text of memory.stat and its neighbours."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memtrace.host.memory_stat import V1, V2, StatParser, parse_number
from tests.unit.host import trees

LINES = st.lists(
    st.tuples(st.sampled_from([*V2.keys, b"other", b"total_cache"]), st.integers(-1, 1 << 70))
)


def test_no_limit_is_none_on_both_versions() -> None:
    """v1 writes a huge number (which depends on the page size), v2 a word."""
    assert parse_number(b"9223372036854771712\n") is None
    assert parse_number(b"9223372036854710272\n") is None
    assert parse_number(b"max\n") is None


def test_an_amount_is_read_exactly() -> None:
    """Zero is an amount too."""
    assert parse_number(b"536870912\n") == 536870912
    assert parse_number(b"0\n") == 0


@given(st.binary(max_size=64))
def test_any_bytes_are_an_amount_or_none(data: bytes) -> None:
    """Odd content never raises, and signs or underscores are odd."""
    value = parse_number(data)
    assert value is None or (data.strip().isdigit() and 0 <= value < 1 << 62)


def test_v1_reads_the_hierarchical_half() -> None:
    """Plain keys are local on v1 and must not be taken."""
    values = StatParser(V1.keys, V1.section).parse(trees.text("memory_stat_v1.txt").encode())
    assert dict(zip(V1.keys, values, strict=True)) == {
        b"total_cache": 354484224,
        b"total_rss": 16068608,
        b"total_inactive_file": 282411008,
        b"total_active_file": 63074304,
        b"total_shmem": 8998912,
        b"total_dirty": 77824,
        b"total_writeback": 4096,
        b"total_workingset_refault_file": 69469,
        b"total_swap": 12288,
    }


def test_v2_reads_every_key_and_leaves_absent_ones_unknown() -> None:
    """Huge pages are in memory.stat only with their accounting on."""
    values = StatParser(V2.keys).parse(trees.text("memory_stat_v2.txt").encode())
    known = dict(zip(V2.keys, values, strict=True))
    assert known.pop(b"hugetlb") is None
    assert known[b"file"] == 354484224
    assert known[b"kernel_stack"] == 1310720
    assert None not in known.values()


def test_a_file_of_another_shape_is_learned_anew() -> None:
    """One parser serves cgroups whose files differ."""
    parser = StatParser((b"a", b"b"))
    assert parser.parse(b"a 1\nb 2\n") == [1, 2]
    assert parser.parse(b"b 3\na 4\n") == [4, 3]
    assert parser.parse(b"c 9\nb 5\n") == [None, 5]
    assert parser.parse(b"") == [None, None]
    assert parser.parse(b"a 6\nb 7\n") == [6, 7]


@given(st.lists(LINES, max_size=4))
def test_the_parser_agrees_with_a_plain_dictionary(files: list[list[tuple[bytes, int]]]) -> None:
    """Whatever the order, repetition or absence of lines; the first of equal keys counts."""
    parser = StatParser(V2.keys)
    for lines in files:
        first: dict[bytes, int] = {}
        for key, value in lines:
            first.setdefault(key, value)
        text = b"".join(b"%s %d\n" % line for line in lines)
        wanted = [first.get(key) for key in V2.keys]
        valid = [v if v is not None and 0 <= v < 10**20 else None for v in wanted]
        assert parser.parse(text) == valid


@given(st.lists(st.binary(max_size=400), max_size=5))
def test_any_bytes_parse_to_something(files: list[bytes]) -> None:
    """Noise gives unknown figures, never an exception."""
    for layout in (V1, V2):
        parser = StatParser(layout.keys, layout.section)
        for data in files:
            assert len(parser.parse(data)) == len(layout.keys)

"""The table of functions: by name and by address, and nothing it does not say."""

from __future__ import annotations

import pytest

from memtrace.golang.elf import Elf
from memtrace.golang.pclntab import Function, open_pclntab
from memtrace.golang.refusal import Refusal
from tests.unit.golang.conftest import Open
from tests.unit.golang.synthetic import TEXT, Made, sites


def test_functions_are_found_by_name(open_bytes: Open) -> None:
    """With where they end; a name that only begins like one is none."""
    table = open_pclntab(Elf(open_bytes(Made().bytes())))
    main, mark = (Made().entry(name) for name in ("main.main", "runtime.gcMark"))
    assert table.find({"main.main", "runtime.gcMark", "runtime.gc", "gcMark"}) == {
        "main.main": Function(main, main + 64),
        "runtime.gcMark": Function(mark, mark + 64),
    }


def test_addresses_have_the_name_of_their_function(open_bytes: Open) -> None:
    """From its first byte to the next one's; None outside."""
    table = open_pclntab(Elf(open_bytes(Made().bytes())))
    for name in sites():
        start = Made().entry(name)
        assert {table.lookup(start), table.lookup(start + 63)} == {name}
    assert table.lookup(TEXT - 1) is None
    assert table.lookup(TEXT + 64 * len(sites())) is None


def test_more_functions_than_are_read_at_once(open_bytes: Open) -> None:
    """The search goes through the file."""
    made = Made()
    made.sites = {f"main.f{number}": [b"\x90"] for number in range(100)}
    table = open_pclntab(Elf(open_bytes(made.bytes())))
    for number in range(100):
        assert table.lookup(TEXT + 64 * number + 1) == f"main.f{number}"
        assert table.find([f"main.f{number}"]) == {
            f"main.f{number}": Function(TEXT + 64 * number, TEXT + 64 * number + 64)
        }


def test_a_text_base_outside_of_code_is_refused(open_bytes: Open) -> None:
    """Functions must be in an executable segment."""
    data = Made().bytes().replace((TEXT).to_bytes(8, "little"), (0x800000).to_bytes(8, "little"))
    with pytest.raises(Refusal, match="outside of the program's code"):
        open_pclntab(Elf(open_bytes(data)))

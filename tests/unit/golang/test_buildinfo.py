"""What the go command wrote into a program, and that nothing else is taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.golang.binary import inspect
from memtrace.golang.buildinfo import parse
from memtrace.golang.refusal import State
from tests.unit.golang.conftest import Open
from tests.unit.golang.synthetic import Made

INFORMATION = """path\texample.org/cmd/server
mod\texample.org/server\tv1.2.3\th1:abc=
dep\texample.org/path\tv0.0.1
build\t-buildmode=pie
build\t-ldflags="-X main.password=secret"
build\tCGO_ENABLED=1
build\tDefaultGODEBUG=containermaxprocs=0,panicnil=1
build\tvcs.revision=abc
"""


def test_settings_are_those_that_matter() -> None:
    """What a program is called and how it behaves; no flags of the linker, which hold secrets."""
    info = parse(b"go1.25.5 X:greenteagc", INFORMATION.encode())
    assert (info.version, info.minor) == ("go1.25.5 X:greenteagc", 25)
    assert info.main == "example.org/cmd/server"
    assert info.settings.keys() == {"-buildmode", "CGO_ENABLED"}
    assert info.debug == {"containermaxprocs": "0"}
    assert "secret" not in str(info)


@pytest.mark.parametrize(
    ("version", "minor"),
    [
        ("go1.19.8", 19),
        ("go1.21rc2", 21),
        ("go1.20", 20),
        ("go1.22.3-fips (Red Hat)", 22),
        ("devel go1.28-abcdef", None),
        ("go1.", None),
        ("go2.0", None),
        ("1.25", None),
        ("go1.1234", None),
        ("", None),
    ],
)
def test_only_releases_have_a_number(version: str, minor: int | None) -> None:
    """What a distribution adds behind it does not matter."""
    assert parse(version.encode(), b"").minor == minor


def test_names_are_printable(open_bytes: Open) -> None:
    """They are shown on terminals."""
    made = Made(information="path\texample.org/\x1b[31mred\x07\n")
    build = inspect(open_bytes(made.bytes())).build
    assert build is not None
    assert build.main == "example.org/�[31mred�"


def test_a_string_without_an_end_is_refused(open_bytes: Open) -> None:
    """Its length leads out of the section."""
    data = Made().bytes().replace(b"\x08go1.25.5", b"\xff\x7fgo1.25.")
    assert inspect(open_bytes(data)).state == State.IMPLAUSIBLE


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_no_bytes_raise(version: bytes, information: bytes) -> None:
    """And no control character comes out."""
    info = parse(version, information)
    assert info.version.isprintable()
    assert info.main is None or info.main.isprintable()
    assert all(setting.isprintable() for setting in info.debug.values())


def test_what_is_kept_is_short() -> None:
    """It is kept of each program of a node, and anybody may write a megabyte there."""
    long = "\N{PILE OF POO}" * 200_000
    lines = (
        f"path\t{long}\nbuild\t-buildmode={long}\nbuild\tDefaultGODEBUG=containermaxprocs={long}"
    )
    info = parse(b"go1.25.5", lines.encode())
    assert info.main is not None
    for kept in (info.main, info.settings["-buildmode"], *info.debug.values()):
        assert len(kept) <= 256


def test_lines_beyond_what_go_writes_are_not_read() -> None:
    """Anybody may write a megabyte of them."""
    odd = "build\tx=y\n" * (1 << 16)
    info = parse(b"go1.25.5", f"{odd}path\texample.org/app\n".encode())
    assert (info.main, info.settings) == (None, {})

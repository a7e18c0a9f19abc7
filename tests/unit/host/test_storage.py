"""Where podman and CRI-O keep containers, and where users do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memtrace.host.runtimes.homes import home
from memtrace.host.runtimes.storage import Store, parse_toml, stores
from tests.unit.host import trees

USUAL = Store("var/lib/containers/storage", "run/containers/storage")


def test_without_a_configuration_there_is_the_usual_place(tmp_path: Path) -> None:
    """Where Debian's and everyone's packages put it."""
    assert stores(tmp_path, None) == (USUAL,)


def test_a_configured_place_comes_first(tmp_path: Path) -> None:
    """Containers from before the change may still be in the usual one."""
    text = '[storage]\ngraphroot = "/srv/c"\nrunroot = "/run/c"\n'
    trees.write(tmp_path, "etc/containers/storage.conf", text)
    assert stores(tmp_path, None) == (Store("srv/c", "run/c"), USUAL)


def test_a_user_has_places_of_their_own(tmp_path: Path) -> None:
    """A user that passwd does not know has none."""
    trees.write(tmp_path, "etc/passwd", trees.PASSWD)
    expected = Store("home/ann/.local/share/containers/storage", "run/user/1000/containers")
    assert stores(tmp_path, 1000) == (expected,)
    assert stores(tmp_path, 1001) == ()


@pytest.mark.parametrize(
    "line", ["", "ann", "ann:x:1000", "ann:x:1000:1000:Ann::", "a:x:1000:1000:A:home:", "::::::"]
)
def test_a_line_without_a_home_is_none(tmp_path: Path, line: str) -> None:
    """Empty, relative or missing."""
    trees.write(tmp_path, "etc/passwd", line)
    assert home(tmp_path, 1000) is None


@given(st.binary(max_size=200) | st.just(b"a=" + b"[" * 50_000))
def test_any_bytes_are_a_document_or_none(data: bytes) -> None:
    """Deep nesting and bad encodings included."""
    assert isinstance(parse_toml(data), dict | None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([b":", b"1000", b"/home", b"ann", b"\xff", b"\n", b"\0"])))
def test_any_passwd_is_read(tmp_path: Path, pieces: list[bytes]) -> None:
    """Never raises; a home is relative to the root."""
    (tmp_path / "etc").mkdir(exist_ok=True)
    (tmp_path / "etc/passwd").write_bytes(b"".join(pieces))
    found = home(tmp_path, 1000)
    assert found is None or not found.startswith("/")

"""Reading files below a root that may be hostile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memtrace.host import files


@pytest.fixture(params=["openat2", "step by step"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to stay below the root."""
    if request.param != "openat2":
        monkeypatch.setattr(files, "_openat2", lambda *_: None)
    return str(request.param)


def test_a_file_below_the_root_is_read(tmp_path: Path, reader: str) -> None:
    """Every byte of a regular file comes back."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"x" * 200_000)
    assert files.read_beneath(tmp_path, "a/b", 1 << 20) == b"x" * 200_000


def test_a_file_of_just_the_limit_is_read_and_a_longer_one_is_not(tmp_path: Path) -> None:
    """The limit is inclusive, and a cut file is never returned."""
    (tmp_path / "f").write_bytes(b"12345")
    assert files.read_bytes(tmp_path / "f", 5) == b"12345"
    assert files.read_bytes(tmp_path / "f", 4) is None


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd", "real"])
def test_a_file_that_is_a_link_is_not_read(tmp_path: Path, reader: str, target: str) -> None:
    """Not even when it stays inside."""
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to(target)
    assert files.read_beneath(tmp_path, "link", 4096) is None


@pytest.mark.parametrize("target", ["/etc", "../../../../../etc"])
def test_a_linked_directory_cannot_lead_out(tmp_path: Path, reader: str, target: str) -> None:
    """A link to /etc means etc below the root."""
    (tmp_path / "a").symlink_to(target)
    assert files.read_beneath(tmp_path, "a/passwd", 1 << 20) is None
    assert files.read_beneath(tmp_path, "../../../../../../etc/passwd", 1 << 20) is None


def test_a_linked_directory_inside_is_followed_as_the_host_would(tmp_path: Path) -> None:
    """A data directory moved to another disk by an absolute link is still found."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/f").write_text("moved")
    (tmp_path / "data").symlink_to("/disk")
    assert files.read_beneath(tmp_path, "data/f", 4096) == b"moved"


def test_what_is_not_a_regular_file_is_not_read(tmp_path: Path, reader: str) -> None:
    """A FIFO must not block the agent, a directory is no file."""
    os.mkfifo(tmp_path / "fifo")
    assert files.read_beneath(tmp_path, "fifo", 4096) is None
    assert files.read_beneath(tmp_path, ".", 4096) is None


@pytest.mark.parametrize("name", ["", "/", "..", "nul\0byte", "missing", "x" * 5000])
def test_impossible_names_give_nothing(tmp_path: Path, reader: str, name: str) -> None:
    """No name makes a reader raise."""
    assert files.read_beneath(tmp_path, name, 4096) is None
    assert files.names_beneath(tmp_path, name + "/missing", 10) == ()
    assert files.read_bytes(f"{tmp_path}/{name}", 4096) is None


def test_names_are_sorted_and_bounded(tmp_path: Path) -> None:
    """A directory with too many entries costs no more than the bound."""
    for name in "dbca":
        (tmp_path / name).touch()
    found = files.names_beneath(tmp_path, ".", 3)
    assert len(found) == 3
    assert list(found) == sorted(found)
    assert files.names_beneath(tmp_path, ".", 9) == ("a", "b", "c", "d")


def test_a_directory_may_be_a_link(tmp_path: Path) -> None:
    """Below the root, and read as if the root were "/"."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "name").touch()
    (tmp_path / "link").symlink_to("/real")
    assert files.names_beneath(tmp_path, "link", 9) == ("name",)


def test_no_descriptor_is_left_open(tmp_path: Path, reader: str) -> None:
    """Whatever the outcome."""
    before = len(os.listdir("/proc/self/fd"))
    for name in ("missing/x", ".", "a/b/../c", "nul\0"):
        files.read_beneath(tmp_path, name, 10)
        files.names_beneath(tmp_path, name, 10)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_directory_is_where_its_links_lead(tmp_path: Path) -> None:
    """As seen from the root, which links cannot leave."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/up").symlink_to("../../../..")
    (tmp_path / "one").symlink_to("/a/b")
    assert files.real_directory(tmp_path, "/one") == "/a/b"
    assert files.real_directory(tmp_path, "/a/up") == "/"
    assert files.real_directory(tmp_path, "/a/../one/.") == "/a/b"


@pytest.mark.parametrize("path", ["/none", "/file", "/one\0", "/" + "x" * 5000])
def test_what_is_no_directory_is_nowhere(tmp_path: Path, reader: str, path: str) -> None:
    """Absent, a file, an impossible name."""
    (tmp_path / "file").touch()
    assert files.real_directory(tmp_path, path) is None

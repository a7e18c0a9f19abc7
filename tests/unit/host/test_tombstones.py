"""Names that outlive their cgroup and memtrace itself."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host import tombstones as module
from memtrace.host.tombstones import FILE, KEPT_SECONDS, SAVE_SECONDS, Tombstones, parse
from memtrace.samples import Identity
from tests.unit.host import trees
from tests.unit.host.trees import JSON

WEB = Identity("container", "web", "docker", container="web", image="a:1", resolved_by="docker")
DB = Identity("container", "db", "cri-o", "shop", "pg-0", "db", "b:2", resolved_by="cri-o")
PATH = "/kubepods/burstable/pod1/c1"
NOW = 1_795_000_000.5
BOOT = "638fc9da-70ee-4c03-90e3-decdc113d180"
Open = Callable[[], Tombstones]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory; it is not there yet."""
    return tmp_path / "lib" / "memtrace"


@pytest.fixture
def reopen(tmp_path: Path, state: Path) -> Open:
    """memtrace starts, again and again in the same boot."""
    trees.write(tmp_path, "proc/sys/kernel/random/boot_id", f"{BOOT}\n")
    return lambda: Tombstones(state, tmp_path)


def test_a_name_survives_a_restart(reopen: Open) -> None:
    """And says where it comes from."""
    first = reopen()
    first.remember(7, PATH, WEB)
    first.remember(8, PATH, DB)
    first.save([7, 8], NOW)
    found = reopen().identity(8)
    assert found == Identity("container", "db", "cri-o", "shop", "pg-0", "db", "b:2", "tombstone")
    assert reopen().path(8) == PATH
    assert (reopen().identity(9), reopen().path(9)) == (None, None)


def test_the_directory_is_for_its_owner_alone(reopen: Open, state: Path) -> None:
    """Names of containers are nobody else's business."""
    tombstones = reopen()
    tombstones.remember(7, PATH, WEB)
    tombstones.save([7], NOW)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (state, state / FILE)]
    assert modes == [0o700, 0o600]
    assert [path.name for path in state.iterdir()] == [FILE]


def test_ids_of_another_boot_mean_nothing(reopen: Open, tmp_path: Path) -> None:
    """They count from one again."""
    first = reopen()
    first.remember(7, PATH, WEB)
    first.save([7], NOW)
    trees.write(tmp_path, "proc/sys/kernel/random/boot_id", f"{BOOT[::-1]}\n")
    assert reopen().identity(7) is None


def test_without_a_boot_id_nothing_is_believed() -> None:
    """Two unknown boots are not the same one."""
    document = {"version": 1, "boot_id": "", "entries": [_row(7)]}
    assert parse(json.dumps(document).encode(), "") == {}


def test_writing_is_rare_and_only_after_a_change(reopen: Open, state: Path) -> None:
    """Every ten seconds at most; at the end at once."""
    tombstones = reopen()
    tombstones.save([], NOW)
    assert not (state / FILE).exists()
    tombstones.remember(7, PATH, WEB)
    tombstones.save([7], NOW)
    tombstones.remember(8, PATH, DB)
    tombstones.save([7, 8], NOW + SAVE_SECONDS - 1)
    assert reopen().identity(8) is None
    tombstones.save([7, 8], NOW + SAVE_SECONDS - 1, at_once=True)
    assert reopen().identity(8) is not None
    before = (state / FILE).stat()
    tombstones.remember(8, PATH, DB)
    tombstones.save([7, 8], NOW + 99)
    assert (state / FILE).stat() == before


def test_a_removed_file_is_written_again(reopen: Open, state: Path) -> None:
    """With what was known, although nothing changed."""
    tombstones = reopen()
    tombstones.remember(7, PATH, WEB)
    tombstones.save([7], NOW)
    (state / FILE).unlink()
    state.rmdir()
    tombstones.save([7], NOW + SAVE_SECONDS)
    assert reopen().identity(7) is not None


def test_what_is_long_gone_is_dropped(reopen: Open) -> None:
    """A day after the kernel let go of it; what the kernel knows stays however old it is."""
    tombstones = reopen()
    tombstones.remember(7, PATH, WEB)
    tombstones.remember(8, PATH, DB)
    tombstones.save([7, 8], NOW)
    tombstones.remember(9, PATH, WEB)
    tombstones.save([8, 9], NOW + KEPT_SECONDS + 1)
    later = reopen()
    assert [later.identity(number) is not None for number in (7, 8, 9)] == [False, True, True]


def test_the_oldest_of_too_many_go(reopen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded, whatever happens on the machine."""
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    tombstones = reopen()
    for number in range(1, 6):
        tombstones.remember(number, PATH, WEB)
        tombstones.save([number], NOW + 100 * number)
    later = reopen()
    kept = [number for number in range(1, 6) if later.identity(number)]
    assert kept == [3, 4, 5]


def test_two_memtraces_may_share_the_directory(reopen: Open) -> None:
    """Neither wipes out what the other wrote since."""
    one, other = reopen(), reopen()
    one.remember(7, PATH, WEB)
    one.save([7], NOW)
    other.remember(8, PATH, DB)
    other.save([8], NOW)
    assert [reopen().identity(number) is not None for number in (7, 8)] == [True, True]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version":1}', b"\0" * 100, b"[" * 100_000])
def test_a_damaged_file_is_as_none(reopen: Open, state: Path, damage: bytes) -> None:
    """And is written anew with the next change."""
    state.mkdir(parents=True)
    (state / FILE).write_bytes(damage)
    tombstones = reopen()
    assert (tombstones.identity(7), tombstones.feature.enabled) == (None, True)
    tombstones.remember(7, PATH, WEB)
    tombstones.save([7], NOW)
    assert reopen().identity(7) is not None


def test_a_link_is_not_followed(reopen: Open, state: Path, tmp_path: Path) -> None:
    """Neither when reading nor when writing."""
    state.mkdir(parents=True)
    other = trees.write(tmp_path, "other", _document([_row(7)]))
    (state / FILE).symlink_to(other)
    tombstones = reopen()
    assert tombstones.identity(7) is None
    tombstones.remember(8, PATH, WEB)
    tombstones.save([8], NOW)
    assert other.read_text() == _document([_row(7)])
    assert not (state / FILE).is_symlink()


def test_a_file_beyond_its_bound_is_not_read(reopen: Open, state: Path) -> None:
    """Bounded input."""
    trees.write(state, FILE, _document([_row(7)]) + " " * (4 << 20))
    assert reopen().identity(7) is None


def test_a_directory_that_cannot_be_made_is_one_feature_off(tmp_path: Path) -> None:
    """With the reason and the loss; nothing else changes."""
    (tmp_path / "file").write_text("in the way")
    tombstones = Tombstones(tmp_path / "file" / "state", tmp_path)
    assert not tombstones.feature.enabled
    assert "Not a directory" in tombstones.feature.reason
    tombstones.remember(7, PATH, WEB)
    tombstones.save([7], NOW)
    assert tombstones.identity(7) is not None


def test_a_full_disk_is_one_feature_off_until_there_is_room(
    reopen: Open, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file from before stays as it was, and nothing is left beside it."""
    tombstones = reopen()
    tombstones.remember(7, PATH, WEB)
    tombstones.save([7], NOW)
    whole = (state / FILE).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    tombstones.remember(8, PATH, DB)
    tombstones.save([7, 8], NOW + 100)
    assert "No space left on device" in tombstones.feature.reason
    assert [path.name for path in state.iterdir()] == [FILE]
    assert (state / FILE).read_bytes() == whole
    monkeypatch.undo()
    tombstones.save([7, 8], NOW + 200)
    assert tombstones.feature.enabled
    assert reopen().identity(8) is not None


@pytest.mark.parametrize(
    "odd",
    [
        {"id": "7"},
        {"id": True},
        {"id": -1},
        {"id": 1 << 64},
        {"seen": None},
        {"seen": 1e300},
        {"seen": float("nan")},
        {"kind": "cgroup"},
        {"kind": ["container"]},
        {"path": None},
        {"path": "c1"},
        {"path": "/" * 5000},
        {"name": ""},
        {"name": "\x1b[2J"},
        {"name": "x" * 600},
    ],
)
def test_an_entry_that_makes_no_sense_is_left_out(odd: dict[str, object]) -> None:
    """The others stay."""
    data = _document([{**_row(7), **odd}, _row(8)])
    assert list(parse(data.encode(), BOOT)) == [8]


def test_an_odd_text_is_unknown() -> None:
    """Such as an image that is a number."""
    (entry,) = parse(_document([{**_row(7), "image": 5}]).encode(), BOOT).values()
    assert (entry.identity.image, entry.identity.name) == (None, "web")


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data: bytes) -> None:
    """As nothing, unless they are a file of this boot."""
    assert parse(data, BOOT) == {}


@given(st.lists(JSON | st.dictionaries(st.sampled_from(["id", "seen", "kind", "name"]), JSON)))
def test_any_entries_are_read(rows: list[object]) -> None:
    """Whatever types the values have."""
    for cgroup_id, entry in parse(_document(rows).encode(), BOOT).items():
        assert cgroup_id > 0
        assert entry.identity.name.isprintable()


def _row(cgroup_id: int) -> dict[str, object]:
    return {
        "id": cgroup_id,
        "seen": NOW,
        "path": PATH,
        "kind": "container",
        "name": "web",
        "runtime": "docker",
    }


def _document(rows: list[object] | list[dict[str, object]]) -> str:
    return json.dumps({"version": 1, "boot_id": BOOT, "entries": rows})

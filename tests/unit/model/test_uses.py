"""Who else uses a file: in words, and of several cgroups together."""

from __future__ import annotations

from memtrace.model import use_words
from memtrace.model.shapes import File
from memtrace.model.snapshot import snapshot
from memtrace.samples import FileUser, FileUses, Ledger
from tests.unit.model.builders import MIB, cgroup, file, sample

WEB = FileUser(3, "/web", "web", "web-1", 30, "nginx", 3 * MIB)
OTHER_WEB = WEB._replace(cgroup_id=4, cgroup="/web2", container="web-2", pid=40, bytes=2 * MIB)
SIDECAR = FileUser(5, "/side", "sidecar", None, 50, "cp", MIB)
PAYER = FileUser(2, "/db", "db", "db", 20, "postgres", 9 * MIB)


def used(uses: FileUses | None) -> File:
    """A file that /db pays for."""
    return File(file(MIB)._replace(uses=uses), MIB, 0, MIB, 0, "/db")


def test_others_are_named_by_what_they_do() -> None:
    """Readers first, then who dirties it, then what was read again; the payer is nobody else."""
    file = used(FileUses(2 * MIB, (WEB,), (PAYER, SIDECAR)))
    assert use_words.who(file) == "also read by web-1, dirtied by sidecar"
    told = "also read by web-1 (3.0 MiB), dirtied by sidecar (1.0 MiB), 2.0 MiB read again"
    assert use_words.in_words(file) == told
    assert use_words.briefly(file) == "dirtied: sidecar"


def test_processes_of_one_container_are_one() -> None:
    """Of many others two are named."""
    second = WEB._replace(pid=31, bytes=1)
    many = tuple(WEB._replace(container=f"web-{n}", bytes=n) for n in range(1, 6))
    assert use_words.who(used(FileUses(None, (WEB, second), None))) == "also read by web-1"
    words = use_words.who(used(FileUses(None, many, None)))
    assert words == "also read by web-5, web-4 and 3 more"
    assert use_words.briefly(used(FileUses(None, many, None))) == "read: web-5 +4"


def test_nobody_and_not_watched_say_nothing() -> None:
    """No words for what is not known or not there."""
    for uses in (None, FileUses(), FileUses(0, (), (PAYER,))):
        assert use_words.in_words(used(uses)) == use_words.briefly(used(uses)) == ""


def _parent(*uses: FileUses | None) -> FileUses | None:
    children = [
        cgroup(
            number,
            1,
            f"/{number}",
            ledger=Ledger(baseline_bytes=0, files=(file(MIB)._replace(uses=each),)),
        )
        for number, each in enumerate(uses, start=2)
    ]
    (whole,) = snapshot(sample(cgroup(1, path="/"), *children), None, None).containers[0].rows.files
    return whole.row.uses


def test_a_parent_adds_up_what_its_children_pay_for() -> None:
    """The same process at both is one user; the largest comes first."""
    first = FileUses(1, (OTHER_WEB, SIDECAR), ())
    assert _parent(first, FileUses(2, (SIDECAR._replace(bytes=2 * MIB),), None)) == FileUses(
        3, (SIDECAR._replace(bytes=3 * MIB), OTHER_WEB), None
    )


def test_unwatched_parts_make_the_whole_unknown() -> None:
    """Half of the truth would look like all of it."""
    assert _parent(FileUses(1, (WEB,), ()), None) is None

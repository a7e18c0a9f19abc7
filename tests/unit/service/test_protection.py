"""The agent's own survival, and what it says where it cannot have it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from memtrace.samples import Feature
from memtrace.service import protection
from memtrace.service.protection import OOM_SCORE_ADJ, Budget, protect, stay_small


@pytest.fixture(autouse=True)
def unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own process stays as it is."""
    monkeypatch.setattr(protection, "_lock", lambda _self: Feature(True))
    monkeypatch.setattr(protection, "prefer", lambda: Feature(True))


def test_it_asks_to_be_spared_by_the_oom_killer(tmp_path: Path) -> None:
    """By its own oom_score_adj; a refusal is a feature off, with the capability it takes."""
    (tmp_path / "oom_score_adj").write_text("0")
    assert protect(tmp_path)["oom_protection"].enabled
    assert (tmp_path / "oom_score_adj").read_text() == str(OOM_SCORE_ADJ)
    refused = protect(tmp_path / "missing")["oom_protection"]
    assert not refused.enabled
    assert "CAP_SYS_RESOURCE" in refused.reason


@pytest.mark.parametrize(("score", "enabled"), [("-997", True), ("-996", False), ("x", False)])
def test_who_started_it_may_have_spared_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: str, enabled: bool
) -> None:
    """A kubelet gives -997 to what a node cannot do without; that is enough."""
    (tmp_path / "oom_score_adj").write_text(score)

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert protect(tmp_path)["oom_protection"].enabled is enabled


def test_over_budget_is_news_once(tmp_path: Path) -> None:
    """It tidies up first; it is news when that did not help, and again after a recovery."""
    pages, tidied = tmp_path / "statm", []
    budget = Budget(1, lambda: tidied.append(1), tmp_path)
    mebibyte = (1 << 20) // os.sysconf("SC_PAGE_SIZE")
    seen = []
    for size in (1, 2, 2, 1, 3):
        pages.write_text(f"9999 {size * mebibyte} 0 0 0 0 0\n")
        seen.append(budget.check())
    assert seen == [None, 2 << 20, None, None, 3 << 20]
    assert len(tidied) == 3


def test_what_it_gives_back_is_enough(tmp_path: Path) -> None:
    """No news when tidying up helped; and none when the size cannot be read."""
    statm = tmp_path / "statm"
    statm.write_text("9 99999 0\n")
    assert Budget(1, lambda: statm.write_text("9 1 0\n") and None, tmp_path).check() is None
    assert Budget(1, None, tmp_path / "missing").check() is None


def test_threads_share_a_heap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where malloc is glibc's, which takes the option; nothing is done where it is not."""
    taken: list[int] = []
    libc = ctypes.CDLL(None)

    class Libc:
        def mallopt(self, option: int, value: int) -> None:
            taken.append(libc.mallopt(option, value))

    monkeypatch.setattr(protection.ctypes, "CDLL", lambda _name: Libc())
    stay_small()
    assert taken == [1]
    monkeypatch.setattr(protection.ctypes, "CDLL", lambda _name: object())
    stay_small()

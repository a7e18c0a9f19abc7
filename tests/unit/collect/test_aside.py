"""Jobs on a thread of their own."""

from __future__ import annotations

import threading

import pytest

from memtrace.collect.aside import Aside


def test_a_result_is_taken_once() -> None:
    """Then there is room for the next one."""
    aside: Aside[int] = Aside()
    assert aside.take(0) is None
    aside.start(lambda: 7)
    assert aside.take(5) == 7
    assert aside.take(0) is None
    assert not aside.busy


def test_a_job_that_hangs_delays_nobody() -> None:
    """It is busy until it ends, and nothing else is begun."""
    aside: Aside[int] = Aside()
    end = threading.Event()
    aside.start(lambda: 1 if end.wait(10) else 0)
    assert aside.take(0.01) is None
    assert aside.busy
    with pytest.raises(ValueError, match="one thing"):
        aside.start(lambda: 2)
    end.set()
    assert aside.take(5) == 1


def test_what_a_job_raises_is_raised_where_it_is_taken() -> None:
    """And the next one can begin."""
    aside: Aside[int] = Aside()

    def fail() -> int:
        raise OSError("gone")

    aside.start(fail)
    with pytest.raises(OSError, match="gone"):
        aside.take(5)
    assert not aside.busy


def test_the_last_job_comes_after_what_hangs() -> None:
    """Whoever ends it does not wait; the thread ends with it."""
    aside: Aside[int] = Aside()
    end, done = threading.Event(), threading.Event()
    aside.start(lambda: len([end.wait(5)]))
    aside.finish(done.set)
    assert not done.is_set()
    end.set()
    assert done.wait(5)
    assert aside._thread is not None
    aside._thread.join(5)
    assert not aside._thread.is_alive()


def test_without_any_job_the_last_one_is_done_at_once() -> None:
    """There is no thread."""
    done = threading.Event()
    Aside[int]().finish(done.set)
    assert done.is_set()

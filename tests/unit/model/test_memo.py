"""What is remembered, and for how long."""

from __future__ import annotations

from memtrace.model.memo import Memo


def test_equal_arguments_are_worked_out_once_while_asked_for() -> None:
    """At the next turn again; others, or a turn without asking, cost the work."""
    worked: list[int] = []
    memo: Memo[int] = Memo()

    def double(number: int) -> int:
        worked.append(number)
        return 2 * number

    def ask(number: int) -> int:
        memo.turn()
        return memo.recall(1, double, number)

    assert [ask(3), ask(3), ask(4), ask(3)] == [6, 6, 8, 6]
    assert worked == [3, 4, 3]
    memo.turn()
    assert (ask(3), worked) == (6, [3, 4, 3, 3])


def test_each_cgroup_has_its_own() -> None:
    """The same arguments for another cgroup are other work."""
    memo: Memo[list[int]] = Memo()
    memo.turn()
    assert memo.recall(1, list, (1,)) is not memo.recall(2, list, (1,))

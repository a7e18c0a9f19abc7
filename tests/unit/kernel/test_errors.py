"""How failures read: one sentence for people, the whole log for those who look."""

from __future__ import annotations

import pytest

from memtrace.kernel.errors import BpfError, check, messages


def test_an_error_is_one_sentence() -> None:
    """It says what was attempted, why it failed, and the symbol to search for."""
    error = BpfError(13, "load page_cache")
    assert str(error) == "cannot load page_cache: Permission denied (EACCES)"
    assert (error.errno, error.attempted, error.log) == (13, "load page_cache", "")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (524, "not supported by this kernel (ENOTSUPP)"),
        (4001, "not a BPF object (LIBBPF_ERRNO__FORMAT)"),
        (4010, "program type unknown to this kernel (LIBBPF_ERRNO__PROGTYPE)"),
        (3999, "Unknown error 3999 (3999)"),
    ],
)
def test_odd_numbers_are_put_in_words(code: int, words: str) -> None:
    """Numbers outside errno.h have words of their own."""
    assert str(BpfError(code, "try")) == f"cannot try: {words}"


def test_a_failure_carries_the_whole_log() -> None:
    """Everything collected is in the error and in its traceback note, and then gone."""
    messages.extend(["first line\n", "x" * 100_000])
    with pytest.raises(BpfError) as caught:
        check(-22, "load")
    assert caught.value.log == "first line\n" + "x" * 100_000
    assert caught.value.__notes__ == [caught.value.log]
    assert not messages


def test_a_success_forgets_what_was_said() -> None:
    """Old warnings never explain a later failure."""
    messages.append("a warning\n")
    assert check(3, "open") == 3
    with pytest.raises(BpfError) as caught:
        check(-2, "find")
    assert caught.value.log == ""

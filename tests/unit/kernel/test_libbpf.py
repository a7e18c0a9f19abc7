"""The binding: found or named as missing, with option structs of the sizes C has."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from memtrace.kernel import libbpf as binding
from memtrace.kernel.errors import BpfError


@pytest.fixture
def not_loaded() -> Iterator[None]:
    """A process that has not loaded libbpf yet."""
    binding.libbpf.cache_clear()
    yield
    binding.libbpf.cache_clear()


@pytest.mark.usefixtures("not_loaded")
def test_a_missing_libbpf_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library the error names the package to install."""

    def refuse(*_: object, **__: object) -> ctypes.CDLL:
        raise OSError("libbpf.so.1: cannot open shared object file")

    monkeypatch.setattr(binding.ctypes, "CDLL", refuse)
    with pytest.raises(BpfError, match=r"cannot use libbpf.so.1 \(package libbpf1\)") as caught:
        binding.libbpf()
    assert "cannot open shared object file" in caught.value.log


@pytest.mark.usefixtures("not_loaded")
def test_a_libbpf_without_a_function_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is too old says which function it lacks."""
    monkeypatch.setitem(binding._PROTOTYPES, "bpf_no_such_function", (None, ()))
    with pytest.raises(BpfError, match="libbpf1") as caught:
        binding.libbpf()
    assert "bpf_no_such_function" in caught.value.log


@pytest.mark.parametrize(
    ("options", "size"),
    [(binding.OpenOpts, 80), (binding.TestRunOpts, 80), (binding.IterAttachOpts, 24)],
)
def test_options_have_the_sizes_of_c(options: type[ctypes.Structure], size: int) -> None:
    """libbpf reads exactly `sz` bytes: the sizes are those of a 64-bit C compiler."""
    assert ctypes.sizeof(options) == size

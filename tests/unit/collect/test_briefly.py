"""Stacks in a few words."""

from __future__ import annotations

import pytest

from memtrace.collect.watches.briefly import briefly, short

GO = [
    "internal/runtime/syscall.Syscall6",
    "syscall.write",
    "internal/poll.(*FD).Write",
    "os.(*File).Write",
]
CONTAINERD = "github.com/containerd/containerd/archive"


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        ([*GO, "main.write", "main.writeSmall", "main.main", "runtime.main"],
         "main.write <- main.writeSmall <- main.main"),
        ([*GO, "io.copyBuffer", f"{CONTAINERD}.copyBuffered", f"{CONTAINERD}.applyNaive"],
         "archive.copyBuffered <- archive.applyNaive"),
        ([*GO, "runtime.main"], "syscall.Syscall6 <- syscall.write <- poll.(*FD).Write"),
        (["write", "", "copy_file", "main"], "copy_file"),
        (["__libc_write", "_IO_file_write", "fwrite", "save", "main"], "save"),
        (["crypto/x.New", "runtime.doInit1", "runtime.doInit", "runtime.main"], "x.New"),
        (["indexbytebody", "runtime.funcname", "example.org/n.Name"], "n.Name"),
        (["", ""], None),
        ([], None),
    ],
)  # fmt: skip
def test_what_the_program_was_doing(frames: list[str], told: str | None) -> None:
    """Its own functions; the library's where there are no others; nothing without names."""
    assert briefly(frames) == told


@pytest.mark.parametrize(
    ("name", "shortened"),
    [
        ("main.main", "main.main"),
        ("example.org/a/b.(*T).Do", "b.(*T).Do"),
        ("example.org/a.Map[go.shape.int,example.org/b.T]", "a.Map[...]"),
        ("gopkg.in/yaml%2ev3.Unmarshal", "yaml.v3.Unmarshal"),
        ("copy_file", "copy_file"),
    ],
)
def test_short_names(name: str, shortened: str) -> None:
    """Without the path of the package, which is as long as a line."""
    assert short(name) == shortened

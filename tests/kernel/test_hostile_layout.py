"""A kernel whose types are not what memtrace expects is refused in one sentence."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernel.harness.memtrace import PROGRAM
from tests.unit.kernel.doctored import VMLINUX, moved, renamed, resized

FAR = (1 << 21) - 1  # as many bytes as a 24-bit offset in bits can say
# For sh -c: let $0 be this kernel's types, for the command alone.
INSTEAD = f'mount --bind "$0" {VMLINUX} && exec "$@"'

HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda types: b"", "cannot read the kernel's BTF"),
    "half": (lambda types: types[: len(types) // 2], "cannot read the kernel's BTF"),
    "no event": (
        lambda types: renamed(types, "btf_trace_mm_filemap_add_to_page_cache", "b" * 38),
        "mm_filemap_add_to_page_cache",
    ),
    "no owner": (lambda types: renamed(types, "memcg_data", "memcg_dbta"), "who pays for it"),
    "no number": (lambda types: renamed(types, "i_ino", "i_inq"), "inode.i_ino"),
    "far member": (lambda types: moved(types, "inode", "i_ino", FAR), "types"),
    "far list": (lambda types: moved(types, "super_block", "s_inodes", FAR), "s_inodes"),
    "other member": (lambda types: moved(types, "address_space", "host", 8), "page_cache"),
    "huge struct": (lambda types: resized(types, "folio", (1 << 32) - 1), "types"),
}


def _top(types: Path) -> subprocess.CompletedProcess[str]:
    command = ["unshare", "-m", "sh", "-c", INSTEAD, str(types), PROGRAM, "top", "--json", "1", "1"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_layout_is_refused(name: str, tmp_path: Path) -> None:
    """Exit 3, one sentence that names what is wrong, no traceback, not one line of figures."""
    doctor, told = HOSTILE[name]
    types = tmp_path / "vmlinux"
    types.write_bytes(doctor(VMLINUX.read_bytes()))
    finished = _top(types)
    assert finished.returncode == 3, finished.stderr
    assert finished.stdout == ""
    assert told in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1


def test_without_the_walks_types_there_is_no_baseline(tmp_path: Path) -> None:
    """What only the walk reads costs the baseline alone: it is off by name, the ledger runs."""
    types = tmp_path / "vmlinux"
    types.write_bytes(renamed(VMLINUX.read_bytes(), "xa_head", "xb_head"))
    finished = _top(types)
    assert finished.returncode == 0, finished.stderr
    assert "struct xarray has no member xa_head" in finished.stdout

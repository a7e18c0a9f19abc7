"""The shared BPF sources are written in a dialect that BCC compiles as well.

Compile only: whether both engines count the same is another test's business.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.kernel.bcc_compile import SYSTEM_PYTHON, CompileError, compile_with_bcc, shared_sources
from tests.kernel.bcc_tree import BtfHeader, write_tree

OWN_SOURCE = """
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
    struct task_struct *task = (struct task_struct *)ctx->args[0];
    struct inode *inode = 0;
    unsigned int links = 0;
    bpf_probe_read_kernel(&inode, sizeof(inode), &task->mm->exe_file->f_inode);
    bpf_probe_read_kernel(&links, sizeof(links), (void *)&inode->i_nlink);
    return links;
}
"""


@pytest.fixture(scope="module")
def header() -> BtfHeader:
    """The running kernel's types; skips where BCC is not installed."""
    probe = [SYSTEM_PYTHON, "-c", "import importlib.util as u; assert u.find_spec('bcc')"]
    if subprocess.run(probe, check=False, capture_output=True).returncode != 0:
        pytest.skip("python3-bpfcc is not installed")
    return BtfHeader.of_running_kernel()


@pytest.fixture(scope="module")
def tree(header: BtfHeader, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernel tree made of BTF."""
    return write_tree(tmp_path_factory.mktemp("linux"), header)


def test_kernel_types_come_from_btf(header: BtfHeader, tree: Path, tmp_path: Path) -> None:
    """A program that reads task and inode members compiles without kernel headers."""
    source = tmp_path / "own.bpf.c"
    source.write_text(OWN_SOURCE)
    assert compile_with_bcc(source, tree, header)["on_exec"] > 0


def test_a_wrong_member_is_an_error(header: BtfHeader, tree: Path, tmp_path: Path) -> None:
    """A member that this kernel does not have fails, in clang's words."""
    source = tmp_path / "own.bpf.c"
    source.write_text(OWN_SOURCE.replace("exe_file", "no_such_member"))
    with pytest.raises(CompileError, match="no member named 'no_such_member'"):
        compile_with_bcc(source, tree, header)


def test_enumerators_and_members_are_the_kernels(header: BtfHeader) -> None:
    """The generated header answers what an engine asks of a kernel."""
    assert header.enumerator("BPF_MAP_TYPE_HASH") == 1
    assert header.has_member("task_struct", "group_leader")
    assert not header.has_member("task_struct", "no_such_member")


@pytest.mark.parametrize("source", shared_sources(), ids=lambda path: path.name)
def test_shared_source_compiles(source: Path, header: BtfHeader, tree: Path) -> None:
    """Each shared source becomes bytecode for every program in it."""
    sizes = compile_with_bcc(source, tree, header)
    assert sizes
    assert all(size > 0 for size in sizes.values())


def test_there_are_shared_sources() -> None:
    """The list of shared sources is not empty by accident."""
    assert [path.name for path in shared_sources()].count("page_cache.bpf.c") == 1

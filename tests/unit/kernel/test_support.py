"""Facts about a kernel, from a made-up root and made-up types."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtrace.kernel import support
from memtrace.kernel.btf import Btf
from memtrace.kernel.errors import BpfError
from memtrace.kernel.support import KernelFacts, Questions, ask, kernel_facts
from tests.unit.kernel.blobs import Blob

QUESTIONS = Questions(
    tracepoints=("sys_enter",),
    types=(("struct", "folio"),),
    members=(("folio", "memcg_data"),),
    enums=(("node_stat_item", "NR_SHMEM"),),
    helpers=("loop",),
)


@pytest.fixture
def no_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel whose types cannot be read."""

    def refuse() -> Btf:
        raise BpfError(2, "read the kernel's BTF")

    monkeypatch.setattr(support.Btf, "of_kernel", refuse)


def written(root: Path, **files: str) -> Path:
    """Files below `root`, named with __ for /."""
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.usefixtures("no_types")
def test_facts_come_from_the_given_root(tmp_path: Path) -> None:
    """Every file is read below the root."""
    root = written(
        tmp_path,
        proc__sys__kernel__osrelease="6.1.0-test\n",
        proc__sys__kernel__unprivileged_bpf_disabled="2\n",
        proc__sys__kernel__perf_event_paranoid="-1\n",
        proc__sys__kernel__bpf_stats_enabled="1\n",
        proc__self__status="CapEff:\t0000000000000001\n",
        sys__devices__system__cpu__online="0-1\n",
        sys__devices__system__cpu__possible="0-3\n",
        sys__kernel__btf__vmlinux="types",
        sys__kernel__security__lockdown="none [integrity] confidentiality\n",
    )
    facts = kernel_facts(root=root)
    assert facts == KernelFacts(
        release="6.1.0-test",
        btf_bytes=5,
        btf_problem="cannot read the kernel's BTF: No such file or directory (ENOENT)",
        online_cpus=(0, 1),
        possible_cpus=(0, 1, 2, 3),
        capabilities=frozenset({"CAP_CHOWN"}),
        unprivileged_bpf_disabled=2,
        perf_event_paranoid=-1,
        bpf_stats_enabled=1,
        lockdown="integrity",
    )


@pytest.mark.usefixtures("no_types")
def test_unreadable_types_make_every_answer_unknown(tmp_path: Path) -> None:
    """One problem is named, and no question is answered with no."""
    facts = kernel_facts(QUESTIONS, tmp_path)
    assert not facts.btf
    assert facts.tracepoint_params("sys_enter") is None
    assert facts.has_type("struct", "folio") is None
    assert facts.has_member("folio", "memcg_data") is None
    assert facts.enum_value("node_stat_item", "NR_SHMEM") is None
    assert facts.has_helper("loop") is None


def test_types_that_lack_what_was_asked_answer_no() -> None:
    """Readable types without the thing say no, not unknown."""
    with Btf.parse(Blob().bytes()) as btf:
        facts = KernelFacts(answers=ask(btf, QUESTIONS))
    assert facts.btf
    assert facts.tracepoint_params("sys_enter") is None
    assert facts.has_type("struct", "folio") is False
    assert facts.has_member("folio", "memcg_data") is False
    assert facts.has_helper("loop") is False


def test_an_unasked_question_is_a_mistake() -> None:
    """A decision cannot rest on a fact nobody looked up."""
    with pytest.raises(KeyError):
        KernelFacts().has_helper("loop")


def test_offsets_are_looked_for_in_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not built in may be loaded; what makes no sense, or is absent, is unknown."""
    kernel, module = Blob(), Blob()
    module.composite("btrfs_root", ("anon_dev", module.add(1, "int", 4, b"\x20\0\0\0")))
    (tmp_path / "sys/kernel/btf").mkdir(parents=True)
    (tmp_path / "sys/kernel/btf/btrfs").write_bytes(module.bytes(of_module=True))
    (tmp_path / "sys/kernel/btf/broken").write_bytes(b"no types")
    monkeypatch.setattr(support.Btf, "of_kernel", lambda: Btf.parse(kernel.bytes()))
    pair = ("btrfs_root", "anon_dev")
    for modules, expected in ((("btrfs",), 0), (("broken", "absent"), None), ((), None)):
        facts = kernel_facts(Questions(offsets=(pair,), modules=modules), tmp_path)
        assert facts.offset(*pair) == expected

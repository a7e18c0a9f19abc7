"""Which engine is chosen and why, and what becomes of a compiler that does not do its work."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.kernel import engines
from memtrace.kernel.engine_plan import planned, planned_go_gc
from memtrace.kernel.engines import choose, compilation
from memtrace.kernel.engines.bcc import (
    _COMMANDS,
    _PROBES,
    MEMBERS,
    SOURCES,
    TOGETHER,
    BccEngine,
    all_text,
)
from memtrace.kernel.engines.compilation import Compilation, decoded
from memtrace.kernel.errors import EngineError
from memtrace.kernel.headers import Headers
from memtrace.kernel.plan import QUESTIONS
from memtrace.kernel.support import KernelFacts
from tests.unit.kernel.test_plan import COMPLETE

Fake = Callable[[str], str]

TYPED = KernelFacts(release="6.1.0", btf_bytes=1, answers=COMPLETE)
UNTYPED = replace(TYPED, btf_bytes=None, btf_problem="cannot read the kernel's BTF")


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Make a program that stands for Python, with this shell text."""

    def make(text: str) -> str:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool, bool, bool], None]:
    """Say what this machine has: compiled objects, BCC, headers."""

    def have(objects: bool, package: bool, headers: bool) -> None:
        place = SOURCES.parent if objects else Path("/nonexistent")
        monkeypatch.setattr(engines, "OBJECTS", place)
        monkeypatch.setattr(engines, "has_bcc", lambda: package)
        monkeypatch.setattr(Headers, "found", property(lambda _: headers))

    return have


System = Callable[[bool, bool, bool], None]


def test_libbpf_comes_first(system: System) -> None:
    """With types and objects, whatever else there is."""
    system(True, True, True)
    assert choose("auto", TYPED).name == "libbpf"


@pytest.mark.parametrize("facts", [TYPED, UNTYPED], ids=["no objects", "no types"])
def test_bcc_stands_in(system: System, facts: KernelFacts) -> None:
    """Without types or without objects; from headers only where there are no types."""
    system(facts is UNTYPED, True, True)
    chosen = choose("auto", facts)
    assert (chosen.name, chosen.headers) == ("bcc", facts is UNTYPED)


def test_without_either_both_ways_out_are_said(system: System) -> None:
    """What libbpf needs, and what BCC needs, with the right package's name."""
    system(True, False, False)
    with pytest.raises(EngineError, match=r"CONFIG_DEBUG_INFO_BTF.*python3-bpfcc.*linux-headers"):
        choose("auto", UNTYPED)


def test_bcc_asked_for_without_types_or_headers(system: System) -> None:
    """One sentence that names both."""
    system(True, True, False)
    with pytest.raises(EngineError, match=r"bcc engine needs .*linux-headers"):
        choose("bcc", UNTYPED)


def test_what_bcc_cannot_is_off_by_name(system: System) -> None:
    """The core is as it was."""
    system(True, True, True)
    plan, reference = planned(choose("bcc", TYPED)), planned(choose("libbpf", TYPED))
    off = {name for name in plan.features if not plan.features[name].enabled}
    assert off == {"baseline", "slab_census", "slab_culprits"}
    assert all("bcc engine" in plan.features[name].reason for name in off)
    assert all("bcc engine" in each.missing for each in plan.on_demand.values())
    assert not planned_go_gc(choose("bcc", TYPED)).enabled
    core = ("shmem", "cgroup_events", "process_events", "pages", "blockers")
    assert all(getattr(plan, name) == getattr(reference, name) for name in core)


def test_kernels_that_reparent_are_refused(system: System) -> None:
    """Rows of removed cgroups would be wrong there."""
    system(True, True, True)
    members = {**COMPLETE.members, ("mem_cgroup_per_node", "objcg"): True}
    facts = replace(TYPED, answers=replace(COMPLETE, members=members))
    assert planned(choose("bcc", facts)).blockers


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo '{}'", "makes no sense"),
        ("echo nonsense", "makes no sense"),
        ("true", "makes no sense"),
        ("echo 'main.c:3: error: no such thing' >&2; exit 1", "error: no such thing"),
        ("exit 1", "it said nothing"),
        ("echo No module named bcc; exit 3", "needs the system package python3-bpfcc"),
        ("kill -9 $$", "killed by signal 9"),
        ("exec sleep 60", "did not end"),
        ("exec >/dev/null 2>&1; exec sleep 60", "did not end"),
        ("exec yes", f"killed by signal {signal.SIGXFSZ:d}"),  # at ANSWER_BYTES
    ],
)
def test_a_bad_child_is_one_sentence(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, script: str, sentence: str
) -> None:
    """Broken, failing, missing its package, killed, hanging or endless."""
    monkeypatch.setattr(compilation, "CHILD_SECONDS", 0.3 if "sleep" in script else 20)
    with pytest.raises(EngineError, match=sentence) as raised:
        Compilation({"text": "x" * 200_000}, fake(script)).bytecode()
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("prepared", [True, False])
def test_what_belongs_together_is_compiled_once(fake: Fake, tmp_path: Path, prepared: bool) -> None:
    """Whether it is begun in good time or when it is needed."""
    text = all_text(("page_cache", "lifecycle"))
    programs = [*(f"on_{event}" for event in _PROBES.findall(text)), *_COMMANDS.findall(text)]
    (tmp_path / "answer").write_text(json.dumps(dict.fromkeys(programs, "9500000000000000")))
    engine = BccEngine(TYPED, headers=False, python=fake(f"cd {tmp_path}; echo x >> n; cat answer"))
    if prepared:
        engine.prepare("page_cache")
    assert "on_mm_filemap_add_to_page_cache" in engine.open("page_cache").programs()
    assert "on_sched_process_exec" in engine.open("lifecycle").programs()
    assert (tmp_path / "n").read_text().count("x") == 1


def test_a_missing_python_is_one_sentence() -> None:
    """The system's may not be there."""
    with pytest.raises(EngineError, match="cannot be started"):
        Compilation({}, "/nonexistent/python3")


def test_an_answer_is_bytecode_by_program(fake: Fake) -> None:
    """Whatever clang said before."""
    script = """echo warning; echo '{"on_exec": "9500000000000000"}'"""
    assert Compilation({}, fake(script)).bytecode() == {
        "on_exec": bytes.fromhex("9500000000000000")
    }


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_answer_is_believed_unseen(answer: str) -> None:
    """Anything but whole instructions by name is refused."""
    try:
        found = decoded(answer)
    except EngineError:
        return
    assert all(len(code) % 8 == 0 for code in found.values())


def test_all_that_sources_may_name_is_asked() -> None:
    """Each member in an MT_HAS is among the questions to the kernel."""
    text = all_text(name for group in TOGETHER for name in group)
    assert set(MEMBERS.findall(text)) - {("s", "f")} <= set(QUESTIONS.members)


HEADER_FILES = {
    "source/include/trace/events/filemap.h": """
DECLARE_EVENT_CLASS(mm_filemap_op_page_cache,
	TP_PROTO(struct folio *folio),
DEFINE_EVENT(mm_filemap_op_page_cache, mm_filemap_add_to_page_cache,
	TP_PROTO(struct folio *folio),
""",
    "source/include/trace/events/oom.h": """
TRACE_EVENT(mark_victim,
	TP_PROTO(struct task_struct *task, uid_t uid),
""",
    "source/include/linux/mm_types.h": """
struct folio {
	unsigned int _folio_nr_pages;
};
struct page {
	unsigned long memcg_data;
};
""",
    "source/include/linux/page-flags.h": "enum pageflags {\n\tPG_head,\n};\n",
    "source/include/linux/cgroup_subsys.h": "SUBSYS(memory)\n",
    "source/include/uapi/linux/bpf.h": "FN(ringbuf_query),\n FN(loop, 181, ##ctx)",
    "build/include/config.h": "",
}


def test_headers_answer_like_types(tmp_path: Path) -> None:
    """Tracepoints with their arguments, members, enumerators and helpers."""
    for name, text in HEADER_FILES.items():
        path = tmp_path / "6.1.0" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    headers = Headers("6.1.0", tmp_path)
    assert headers.found
    answers = headers.answers(QUESTIONS)
    assert answers.tracepoints["mm_filemap_add_to_page_cache"] == 1
    assert answers.tracepoints["mark_victim"] == 2
    assert answers.tracepoints["cgroup_mkdir"] is None
    assert answers.members["folio", "_folio_nr_pages"]
    assert not answers.members["folio", "_nr_pages"]
    assert not answers.members["folio", "memcg_data"]
    assert answers.enums["pageflags", "PG_head"] is not None
    assert answers.enums["cgroup_subsys_id", "memory_cgrp_id"] is not None
    assert (answers.helpers["loop"], answers.helpers["task_pt_regs"]) == (True, False)


def test_no_headers_are_no_answers(tmp_path: Path) -> None:
    """Nothing raises where nothing is."""
    headers = Headers(None, tmp_path)
    assert not headers.found
    assert not any(headers.answers(QUESTIONS).members.values())

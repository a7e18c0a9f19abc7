"""What `memtrace doctor` looks at: facts of this machine as checks, each with cost and remedy."""

from __future__ import annotations

import os
from pathlib import Path

from memtrace.commands.common import STATE_DIR
from memtrace.kernel.engines import Choice
from memtrace.kernel.plan import OnDemand, Plan
from memtrace.kernel.support import KernelFacts
from memtrace.model.checks import Check
from memtrace.samples import Feature


def gather_checks(root: Path, engine: str = "auto") -> list[Check]:
    """All checks of this machine, the required ones first. `engine`: the one that is asked for."""
    from memtrace.kernel.engine_plan import planned, planned_go_gc
    from memtrace.kernel.engines import LIBBPF, Choice, choose
    from memtrace.kernel.errors import EngineError
    from memtrace.kernel.go_plan import go_processes_feature
    from memtrace.kernel.plan import QUESTIONS, oom_feature
    from memtrace.kernel.support import kernel_facts

    facts = kernel_facts(QUESTIONS)  # of this kernel and process, whatever --root says
    try:
        choice, problem = choose(engine, facts), ""
    except EngineError as error:
        choice, problem = Choice(LIBBPF, facts, ""), str(error)
    facts, plan = choice.facts, planned(choice)
    return [
        _library(),
        *_privileges(facts),
        _engine(choice, problem),
        _kernel(facts, plan),
        _objects(choice),
        _cgroups(root),
        *(_feature(name, feature) for name, feature in plan.features.items()),
        *(_on_demand(name, plan.on_demand[name]) for name in plan.on_demand),
        _feature("oom", oom_feature(facts)),
        _feature("go_processes", go_processes_feature(facts)),
        _feature("go_gc", planned_go_gc(choice)),
        _stalls(root),
        _state(STATE_DIR),
        *_optional_privileges(facts),
        *_runtimes(root),
        _other_engine(choice),
        _stats(facts),
    ]


def _library() -> Check:
    from memtrace.kernel.libbpf import libbpf

    try:
        libbpf()
    except OSError as error:
        return Check(
            "libbpf",
            "missing",
            str(error),
            costs="everything: it loads the probes",
            remedy="install libbpf.so.1 (Debian, Ubuntu: apt install libbpf1; Fedora: libbpf)",
            required=True,
        )
    return Check("libbpf", "ok", "libbpf.so.1", required=True)


def _privileges(facts: KernelFacts) -> list[Check]:
    from memtrace.collect.starting import missing_privileges

    missing = missing_privileges(facts)
    if not missing:
        return [Check("privilege", "ok", "may load and attach BPF programs", required=True)]
    return [
        Check(
            "privilege",
            "missing",
            f"without {' and '.join(missing)}",
            costs="everything: nothing can be attached",
            remedy="run as root (sudo), or in a container with "
            "capabilities BPF, PERFMON, DAC_READ_SEARCH and SYS_PTRACE",
            required=True,
        )
    ]


def _engine(choice: Choice, problem: str) -> Check:
    if not problem:
        types = "the kernel's headers" if choice.headers else "the kernel's BTF"
        detail = f"{choice.name}: {choice.why}; types from {types}"
        return Check("engine", "ok", detail, required=True)
    return Check(
        "engine",
        "missing",
        costs="everything: nothing loads the probes",
        remedy=problem,
        required=True,
    )


def _kernel(facts: KernelFacts, plan: Plan) -> Check:
    release = f"Linux {facts.release or '(unknown)'}"
    if not plan.blockers:
        size = f", types {facts.btf_bytes // 1024} KiB" if facts.btf_bytes else ""
        return Check("kernel", "ok", f"{release}{size}", required=True)
    return Check(
        "kernel",
        "missing",
        f"{release}: {'; '.join(plan.blockers)}",
        costs="everything: the page cache cannot be followed",
        remedy="use a kernel built with CONFIG_DEBUG_INFO_BTF=y; tested: docs/kernels.md",
        required=True,
    )


def _objects(choice: Choice) -> Check:
    from memtrace.kernel.engines import LIBBPF
    from memtrace.kernel.session import OBJECTS

    required = choice.name == LIBBPF

    found = sorted(path.name for path in OBJECTS.glob("*.bpf.o"))
    if "page_cache.bpf.o" in found:
        return Check("BPF objects", "ok", f"{len(found)} compiled", required=required)
    return Check(
        "BPF objects",
        "missing",
        "no compiled object beside the package",
        costs="the libbpf engine",
        remedy="run `make build` in the source tree, or install a built wheel",
        required=required,
    )


def _cgroups(root: Path) -> Check:
    from memtrace.host.hierarchy import HostError, find_hierarchy

    try:
        found = find_hierarchy(root)
    except HostError as error:
        return Check(
            "cgroups",
            "missing",
            str(error),
            costs="everything: nobody to charge memory to",
            remedy="mount the memory controller, or give --root when / is elsewhere",
            required=True,
        )
    version = f"memory controller on v{found.version} at {found.mount}"
    return Check("cgroups", "ok", f"{found.mode}: {version}", required=True)


def _feature(name: str, feature: Feature) -> Check:
    label = f"feature {name}"
    if feature.enabled:
        return Check(label, "ok", feature.reason or "on")
    from memtrace.kernel.engine_plan import REASON

    remedy = "--engine libbpf" if feature.reason.startswith(REASON) else "a newer kernel"
    return Check(label, "missing", "", costs=feature.reason, remedy=remedy)


def _on_demand(name: str, found: OnDemand) -> Check:
    if found.missing:
        return _feature(name, Feature(False, found.missing))
    return _feature(name, Feature(True, f"on demand: memtrace top --watch {name}"))


def _stalls(root: Path) -> Check:
    from memtrace.host import taskstats

    stalls, feature = taskstats.open_stalls(root)
    if stalls is not None:
        stalls.close()
    if feature.enabled:
        return _feature("taskstats", feature)
    remedies = {
        taskstats.SWITCHED_OFF: "sysctl kernel.task_delayacct=1: counts processes begun after it",
        taskstats.PRIVILEGE: "run as root, or add the capability NET_ADMIN",
        taskstats.NAMESPACE: "run with hostPID and hostNetwork",
        taskstats.NO_LIBRARY: "pip install pyroute2 (Debian: apt install python3-pyroute2)",
    }
    return Check(
        "feature taskstats",
        "off" if feature.reason == taskstats.SWITCHED_OFF else "missing",
        costs=feature.reason,
        remedy=remedies.get(feature.reason, "another kernel"),
    )


_OPTIONAL = (
    ("CAP_DAC_READ_SEARCH", "names of containers whose state only root may read"),
    ("CAP_SYS_PTRACE", "names, disk I/O and Go heaps of processes that other users run"),
    ("CAP_NET_ADMIN", "stalls of processes"),
)


def _optional_privileges(facts: KernelFacts) -> list[Check]:
    held = facts.capabilities or frozenset()
    return [
        Check(name, "ok")
        if name in held
        else Check(name, "missing", costs=cost, remedy="run as root, or add the capability")
        for name, cost in _OPTIONAL
    ]


def _runtimes(root: Path) -> list[Check]:
    from memtrace.host.runtimes.containerd import STATE_DIRS
    from memtrace.host.runtimes.docker import data_roots
    from memtrace.host.runtimes.storage import stores

    graphs = [store.graph for store in stores(root, None)]
    places = {
        "containerd": STATE_DIRS,
        "docker": [f"{place}/containers" for place in data_roots(root, None)],
        "podman": [f"{graph}/{mark}" for graph in graphs for mark in ("libpod", "db.sql")],
        "cri-o": ("run/crio", "var/lib/crio"),
        "systemd": ("run/systemd/system",),
    }
    return [_runtime(name, [root / place for place in where]) for name, where in places.items()]


def _runtime(name: str, places: list[Path]) -> Check:
    label = f"runtime {name}"
    found = next((place for place in places if _is_there(place)), None)
    if found is None:
        return Check(label, "ok", "not on this machine: nothing to name")
    if os.access(found, os.R_OK):
        return Check(label, "ok", f"found at {found}")
    return Check(
        label,
        "off",
        f"{found} cannot be read",
        costs="its containers appear by id only",
        remedy="run as root, or add CAP_DAC_READ_SEARCH",
    )


def _is_there(place: Path) -> bool:
    """Whether it exists, or may exist where we are not allowed to look."""
    try:
        place.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _state(directory: Path) -> Check:
    """Whether names of removed containers can be kept; makes nothing."""
    there = next(place for place in (directory, *directory.parents) if os.path.exists(place))
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Check("feature tombstones", "ok", f"in {directory}")
    return Check(
        "feature tombstones",
        "off",
        f"{there} cannot be written",
        costs="after a restart removed containers have no name",
        remedy="run as root, or give another --state-dir to memtrace top",
    )


def _other_engine(choice: Choice) -> Check:
    """What the engine that was not chosen would need."""
    from memtrace.kernel.engines import BCC, HEADERS, LIBBPF, PACKAGE, has_bcc, why_not_libbpf
    from memtrace.kernel.headers import Headers

    if choice.name == BCC:
        label, without = f"engine {LIBBPF}", why_not_libbpf(choice.facts)
        if choice.headers:
            without = choice.why.removeprefix("libbpf would need ")
    else:
        label = f"engine {BCC}"
        lacking = [] if has_bcc() else [PACKAGE]
        lacking += [] if choice.facts.btf or Headers(choice.facts.release).found else [HEADERS]
        without = " and ".join(lacking)
    if not without:
        return Check(label, "ok", f"could be used, too: --engine {label.split()[1]}")
    return Check(label, "off", f"would need {without}", costs="nothing: another engine is in use")


def _stats(facts: KernelFacts) -> Check:
    if facts.bpf_stats_enabled:
        return Check(
            "bpf_stats",
            "off",
            "kernel.bpf_stats_enabled is 1",
            costs="50 to 60 ns on every event of every BPF program on this machine",
            remedy="sysctl kernel.bpf_stats_enabled=0 unless somebody is measuring",
        )
    return Check("bpf_stats", "ok", "kernel.bpf_stats_enabled is 0: no cost per event")

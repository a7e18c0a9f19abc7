"""Advice that several verdicts give, with the line to paste where the container is configured.

Kubernetes: lines of YAML for the container; Docker, Podman and systemd: the command that changes
it; else the cgroup's own file.
"""

from __future__ import annotations

import shlex

from memtrace.model.shapes import Advice
from memtrace.model.units import size
from memtrace.model.verdict.case import MIB, NOTHING, RUN, Case, rounded_up
from memtrace.samples import CgroupSample, Identity

LEAST_LIMIT = 64 * MIB
HEADROOM = 1.25
"""On top of what stays: a limit that just fits today is reached tomorrow."""


def nothing(why: str, cost: str) -> Advice:
    """Return the advice to leave things as they are."""
    return Advice(NOTHING, None, None, why, cost)


def run_next(case: Case, arguments: str, why: str) -> Advice:
    """Return the advice to find out more with another command on this container."""
    name = shlex.quote(case.cgroup.path)
    return Advice(RUN, None, f"memtrace {arguments.format(name)}", why, "")


def limit(case: Case, proposed: int, why: str, cost: str) -> Advice:
    """Return the advice to set the memory limit, in whole MiB.

    Where another cgroup above sets it, that one is named: its configuration is not known here.
    """
    amount, owner = rounded_up(max(proposed, MIB)), case.memory.limit_cgroup
    paste = paste_limit(case.cgroup, amount, case.around.mode)
    if owner is not None and owner != case.cgroup.path:
        why, paste = f"{why}; the limit is that of {owner}", ""
    return Advice("memory limit", case.memory.limit_bytes, amount, why, cost, paste)


def limit_for(case: Case, kept: int, cost: str) -> tuple[Advice, ...]:
    """Propose a limit only where there is none: the part that stays, and a quarter more."""
    if case.memory.limit_bytes is not None or case.cgroup.path == "/":
        return ()
    why = f"bounds it; {size(kept)} is something else and has to fit"
    return (limit(case, max(int(kept * HEADROOM), LEAST_LIMIT), why, cost),)


def high(case: Case, proposed: int, why: str) -> tuple[Advice, ...]:
    """Return the advice to have the kernel reclaim earlier; only where memory.high exists (v2)."""
    if case.around.mode != "v2" or case.cgroup.path == "/":
        return ()
    amount = rounded_up(max(proposed, LEAST_LIMIT))
    paste = f"echo {amount} > {knob(case.cgroup, 'v2', 'memory.high')}"
    cost = "allocations beyond it wait for reclaim; lost when the container restarts"
    return (Advice("memory.high", None, amount, why, cost, paste),)


def request(case: Case, proposed: int, why: str, cost: str) -> Advice:
    """Return the advice to ask for so much memory; the request of now is not known here."""
    amount = rounded_up(proposed)
    named = case.cgroup.identity.namespace is not None
    paste = f"resources: {{requests: {{memory: {amount // MIB}Mi}}}}" if named else ""
    return Advice("memory request", None, amount, why, cost, paste)


def paste_limit(cgroup: CgroupSample, amount: int, mode: str) -> str:
    """Return what sets the memory limit of a container to so many bytes."""
    identity, mib = cgroup.identity, amount // MIB
    if identity.namespace is not None:
        return f"resources: {{limits: {{memory: {mib}Mi}}}}"
    name = shlex.quote(identity.container or identity.name)
    if identity.runtime in ("docker", "podman") and identity.container:
        return f"{identity.runtime} update --memory {mib}m {name}"
    if identity.kind == "unit":
        return f"systemctl set-property {name} MemoryMax={mib}M"
    return f"echo {amount} > {knob(cgroup, mode, 'memory.max', 'memory.limit_in_bytes')}"


def knob(cgroup: CgroupSample, mode: str, v2: str, v1: str = "") -> str:
    """Return the path of one of a cgroup's files, fit for a shell."""
    if mode == "v2":
        return shlex.quote(f"/sys/fs/cgroup{cgroup.path}/{v2}")
    return shlex.quote(f"/sys/fs/cgroup/memory{cgroup.path}/{v1}")


def paste_environment(identity: Identity, name: str, value: str) -> str:
    """Return what sets an environment variable; a running program has to be started anew."""
    if identity.namespace is not None:
        return f'env: [{{name: {name}, value: "{value}"}}]'
    if identity.kind == "unit":
        return f"[Service] Environment={name}={value}"
    if identity.runtime == "containerd" and identity.container:
        return f"ctr run --env {name}={value} ..."
    if identity.runtime in ("docker", "podman"):
        return f"{identity.runtime} run -e {name}={value} ..."
    return f"{name}={value}"

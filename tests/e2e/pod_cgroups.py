"""What a kubelet and containerd call the cgroups of pods, with either of their drivers.

cgroupfs: directories of ours, in a cgroup in place of the machine's root. systemd: slices and
scopes that systemd makes, below the machine's kubepods.slice; for a machine of our own.
"""

from __future__ import annotations

import os

SYSTEMD = os.environ.get("MEMTRACE_CGROUP_DRIVER") == "systemd"
TOP = f"memtrace-test-cri-{os.getpid()}"
"""With cgroupfs: the cgroup in place of the machine's root."""
OURS = "/kubepods.slice/" if SYSTEMD else f"/{TOP}/kubepods/"
"""What the paths of all pods begin with."""


def pod_parent(uid: str) -> str:
    """The cgroup of a burstable pod, as a kubelet names it for the runtime (cgroup_parent)."""
    if not SYSTEMD:
        return f"{OURS}burstable/pod{uid}"
    return f"{OURS}kubepods-burstable.slice/kubepods-burstable-pod{uid.replace('-', '_')}.slice"


def container_cgroup(uid: str, container: str) -> str:
    """The cgroup of a container of that pod, as containerd makes it."""
    return f"{pod_parent(uid)}/{f'cri-containerd-{container}.scope' if SYSTEMD else container}"

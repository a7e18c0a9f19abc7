"""Reads the small text files in which the kernel tells about itself. Bytes in, values out.

Every function takes None for a file that could not be read, and answers unknown.
"""

from __future__ import annotations

import re
from pathlib import Path

# linux/capability.h, by bit.
_CAPABILITY_BITS = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP "
    "LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER "
    "SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
    "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
    "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF "
    "CHECKPOINT_RESTORE"
)
CAPABILITIES = tuple(f"CAP_{name}" for name in _CAPABILITY_BITS.split())

_ZONE_LINE = re.compile(r"^ *(spanned|start_pfn:) +(\d{1,15})$", re.MULTILINE)


def text(path: Path) -> str | None:
    """A file's text without the last newline; None when it cannot be read."""
    try:
        return path.read_text(errors="replace").rstrip("\n")
    except OSError:
        return None


def number(path: Path) -> int | None:
    """A file's one integer; None when it is missing or holds something else."""
    try:
        return int(text(path) or "")
    except ValueError:
        return None


def cpu_list(listed: str | None) -> tuple[int, ...]:
    """CPU numbers of a kernel list such as "0-3,8"; empty when unknown or malformed."""
    if not listed or not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", listed):
        return ()
    return tuple(cpu for part in listed.split(",") for cpu in _span(part))


def capabilities(status: str | None) -> frozenset[str] | None:
    """The effective capabilities in a /proc/PID/status; None when it does not say."""
    line = re.search(r"^CapEff:\s*([0-9a-f]+)$", status or "", re.MULTILINE)
    if line is None:
        return None
    mask = int(line[1], 16)
    return frozenset(name for bit, name in enumerate(CAPABILITIES) if mask >> bit & 1)


def lockdown(listed: str | None) -> str | None:
    """The chosen word of "none [integrity] confidentiality"; None when unknown."""
    chosen = re.search(r"\[(\w+)\]", listed or "")
    return chosen[1] if chosen else None


def _span(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)


def page_spans(zoneinfo: str | None) -> tuple[range, ...]:
    """Page numbers of all zones in a /proc/zoneinfo, in order, none twice; empty when unknown."""
    sizes: list[int] = []
    zones: list[tuple[int, int]] = []
    for name, value in re.findall(_ZONE_LINE, zoneinfo or ""):
        if name == "spanned":
            sizes = [int(value)]
        elif sizes:  # told at the zone's end, and of zones with memory only
            zones.append((int(value), sizes.pop()))
    zones.sort()
    spans: list[range] = []
    for start, size in zones:  # zones of several nodes may lie within each other
        begin = max(start, spans[-1].stop) if spans else start
        if begin < start + size:
            spans.append(range(begin, start + size))
    return tuple(spans)

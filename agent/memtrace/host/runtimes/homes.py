"""Where users keep what runtimes without root write: their home directories, from /etc/passwd.

Users known only to a directory service have no entry there and are not found. Homes on the
network are left alone: runtimes cannot use them, and a lookup there could hang.
"""

from __future__ import annotations

from pathlib import Path

from memtrace.host.files import read_beneath
from memtrace.host.mounts import may_block, read_mounts

_LIMIT = 1 << 20  # bytes


def home(root: Path, uid: int) -> str | None:
    """The home directory of a user, relative to `root`, or None when it is not known."""
    data = read_beneath(root, "etc/passwd", _LIMIT) or b""
    for line in data.splitlines():
        fields = line.split(b":")
        if len(fields) >= 6 and fields[2] == b"%d" % uid and fields[5].startswith(b"/"):
            path = fields[5].decode("utf-8", "surrogateescape").strip("/")
            mounts = read_mounts(root / "proc/self/mountinfo") or ()
            return None if not path or may_block(mounts, f"/{path}") else path
    return None

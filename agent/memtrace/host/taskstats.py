"""How long processes stood still for want of memory: netlink taskstats, through pyroute2.

Asks about one thread group at a time. What a group needed and moved is not asked here: in
the kernel's answer for a whole group (TASKSTATS_CMD_ATTR_TGID) only the delays are filled in,
dead threads included, while its peak and its disk I/O are zero; the answer for a pid has
those of one thread. processes.py reads them from /proc.
"""

from __future__ import annotations

import errno
import itertools
import os
import sys
from pathlib import Path
from struct import Struct, error
from types import ModuleType
from typing import Any

from memtrace.host.files import read_bytes
from memtrace.samples import Feature

_SECONDS = 0.5  # the kernel answers at once; this is for a sandbox that swallows requests
_TASKSTATS_CMD_GET, _CTRL_CMD_GETFAMILY = 1, 3
_OLDEST = 9  # thrashing delays: since Linux b1d29ba82cf2 (in v4.20)
# Version 15 has new fields between the old ones, version 16 has them at the end again.
_SHUFFLED = 15
# struct taskstats: version; {count, nanoseconds} of blkio, swapin; freepages, thrashing; and,
# where the struct is that long, compact (version 11) and wpcopy (version 13).
_VERSION = Struct("=H")
_DISK_AND_SWAP = Struct("=32x4Q")
_RECLAIM_AND_THRASHING = Struct("=312x4Q")
_COMPACT = Struct("=352x2Q")
_COPY = Struct("=400x2Q")

_LOST = "no stalls of processes"
SWITCHED_OFF = f"{_LOST}: kernel.task_delayacct is 0"
PRIVILEGE = f"{_LOST}: netlink taskstats needs CAP_NET_ADMIN"
NAMESPACE = f"{_LOST}: not in the host's network and pid namespaces"
NO_SWITCH = f"{_LOST}: no kernel.task_delayacct (before 5.14, or built without)"
NO_LIBRARY = f"{_LOST}: the Python package pyroute2 is not installed"
UNKNOWN_ORDER = f"{_LOST}: taskstats version 15 has its fields in another order"
ON = Feature(True, "stalls of processes begun since kernel.task_delayacct is 1")

_INITIAL_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO


class Stalls:
    """An open netlink socket. Close it when done."""

    def __init__(self, netlink: ModuleType) -> None:
        """Find the kernel's taskstats family; OSError when it is not there or not for us."""
        import socket

        self._netlink = netlink
        self._request, self._reply = _messages(netlink)
        self._numbers = itertools.count(1)
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, netlink.NETLINK_GENERIC
        )
        try:
            self._socket.bind((0, 0))
            self._socket.settimeout(_SECONDS)
            self._family = self._find_family()
        except BaseException:
            self.close()
            raise

    def seconds(self, tgid: int) -> float | None:
        """Waited for reclaim, thrashing, swap-in and compaction, all threads, ever.

        None when the process is gone, and when none of its waits was counted, of any kind:
        then it is most likely older than kernel.task_delayacct=1, and nothing is counted of
        it. The kernel counts a swap-in of a page that was in use until lately under both
        headings. OSError when the kernel refuses.
        """
        try:
            return parse_seconds(self._ask(tgid))
        except ProcessLookupError:
            return None

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def version(self) -> int:
        """The version of the kernel's struct taskstats; OSError when it refuses."""
        return int(_VERSION.unpack_from(self._ask(os.getpid()))[0])

    def _ask(self, tgid: int) -> bytes:
        request = self._request()
        request["attrs"].append(["TGID", tgid])
        answer = self._exchange(request, self._family, _TASKSTATS_CMD_GET, self._reply)
        group = answer.get_attr("AGGR_TGID")
        stats = None if group is None else group.get_attr("STATS")
        if not isinstance(stats, bytes) or len(stats) < _RECLAIM_AND_THRASHING.size:
            raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
        return stats

    def _find_family(self) -> int:
        request = self._netlink.ctrlmsg()
        request["attrs"].append(["CTRL_ATTR_FAMILY_NAME", "TASKSTATS"])
        answer = self._exchange(
            request, self._netlink.GENL_ID_CTRL, _CTRL_CMD_GETFAMILY, self._netlink.ctrlmsg
        )
        return int(answer.get_attr("CTRL_ATTR_FAMILY_ID"))

    def _exchange(self, request: Any, family: int, command: int, reply: Any) -> Any:
        """Send a request and decode its own answer; what came late for another is skipped."""
        number = next(self._numbers) & 0xFFFF_FFFF
        request["cmd"], request["version"] = command, 1
        request["header"].update(
            type=family, flags=self._netlink.NLM_F_REQUEST, sequence_number=number
        )
        request.encode()
        self._socket.send(request.data)
        while True:
            data = self._socket.recv(65_536)
            _, kind, _, answered, _ = _HEADER.unpack_from(data)
            if answered != number:
                continue
            if kind == self._netlink.NLMSG_ERROR:
                code = -_ERROR.unpack_from(data)[0]
                raise OSError(code, os.strerror(code))
            answer = reply(data)
            answer.decode()
            return answer


_HEADER = Struct("=IHHII")
_ERROR = Struct("=16xi")


def parse_seconds(stats: bytes) -> float | None:
    """The delays of a struct taskstats; None when it counted none at all, or is too short."""
    pairs: list[int] = []
    for part in (_DISK_AND_SWAP, _RECLAIM_AND_THRASHING, _COMPACT, _COPY):
        if len(stats) >= part.size:
            pairs += part.unpack_from(stats)
    if len(pairs) < 8 or not any(pairs[::2]):
        return None
    _, swap, reclaim, thrashing, *later = pairs[1::2]
    return sum((swap, reclaim, thrashing, *later[:1])) / 1e9


def open_stalls(root: Path = Path("/")) -> tuple[Stalls | None, Feature]:
    """The source if it works here, and the feature `taskstats` with the reason if not.

    Loads pyroute2 only where the kernel counts delays at all.
    """
    switch = read_bytes(root / "proc/sys/kernel/task_delayacct", 16)
    if switch is None or switch.strip() != b"1":
        return None, Feature(False, NO_SWITCH if switch is None else SWITCHED_OFF)
    if not _in_initial_pid_namespace():
        return None, Feature(False, NAMESPACE)
    try:
        return _checked(Stalls(_pyroute2_netlink()))
    except ImportError:
        return None, Feature(False, NO_LIBRARY)
    except (OSError, error) as problem:
        return None, Feature(False, _why(problem))


def _checked(stalls: Stalls) -> tuple[Stalls | None, Feature]:
    try:
        known = _OLDEST <= stalls.version() != _SHUFFLED
    except BaseException:
        stalls.close()
        raise
    if known:
        return stalls, ON
    stalls.close()
    return None, Feature(False, UNKNOWN_ORDER)


def _why(problem: Exception) -> str:
    code = problem.errno if isinstance(problem, OSError) else None
    if code in (errno.EPERM, errno.EACCES):
        return PRIVILEGE
    return NAMESPACE if code == errno.ENOENT else f"{_LOST}: {problem}"


def _in_initial_pid_namespace() -> bool:
    """Whether the kernel means the same process by a pid as its own records do."""
    try:
        return os.readlink("/proc/self/ns/pid") == _INITIAL_PID_NAMESPACE
    except OSError:
        return False


def _pyroute2_netlink() -> ModuleType:
    """pyroute2's message codec alone: 1.2 MB and 10 ms.

    `import pyroute2.netlink` would first run pyroute2/__init__.py, which imports every
    protocol there is: 18 MB and 150 ms more. So the package is put in place without being
    run. Nothing else here uses it.
    """
    from importlib.util import find_spec, module_from_spec

    spec = find_spec("pyroute2")
    if spec is None:
        raise ImportError("pyroute2")
    sys.modules.setdefault("pyroute2", module_from_spec(spec))
    from pyroute2 import netlink  # type: ignore[import-untyped, unused-ignore]

    module: ModuleType = netlink
    return module


def _messages(netlink: Any) -> tuple[Any, Any]:
    """The request and the answer. pyroute2's own reads versions 8 and 15 of the struct only."""

    class Request(netlink.genlmsg):  # type: ignore[misc]
        nla_map = (("UNSPEC", "none"), ("PID", "uint32"), ("TGID", "uint32"))

    class Group(netlink.nla):  # type: ignore[misc]
        nla_map = (("UNSPEC", "none"), ("PID", "uint32"), ("TGID", "uint32"), ("STATS", "cdata"))

    class Reply(netlink.genlmsg):  # type: ignore[misc]
        nla_map = (
            *(("UNSPEC", "none"), ("PID", "none"), ("TGID", "none"), ("STATS", "none")),
            *(("AGGR_PID", "none"), ("AGGR_TGID", "Group")),
        )

    Reply.Group = Group
    return Request, Reply

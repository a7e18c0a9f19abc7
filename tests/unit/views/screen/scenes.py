"""A node to draw: pods, services, a mirror at its limit, hostile names; and a screen around it."""

from __future__ import annotations

from dataclasses import replace

from memtrace.model.history import History
from memtrace.model.selection import Selection
from memtrace.model.snapshot import snapshot
from memtrace.samples import (
    BaselineState,
    Census,
    CgroupSample,
    DriverRow,
    Feature,
    FileId,
    FileRow,
    FileUser,
    FileUses,
    GoCycles,
    GoHeap,
    GoProcess,
    Identity,
    Ledger,
    Memory,
    ProcessRow,
    Sample,
    Slab,
    SlabCulprit,
    SlabRow,
)
from memtrace.views.screen.app import TopScreen
from memtrace.views.screen.look import Look, look
from memtrace.views.screen.view import EVERYTHING, Scene, View, start
from tests.unit.model.builders import MIB, added, cgroup, removed, sample

HOSTILE = (
    "\x1b[2J\x1b[5;5Hgone",
    "two\nlines\r\ttabbed",
    "[bold red]markup[/bold red] [/]",
    "שלום\u202eabc\u200f مرحبا ٣",
    "日本語コンテナ",
    "e" + "\u0301" * 80 + "\u20dd",
    "\u0301starts with a mark",
    "👩\u200d👩\u200d👧\ufe0f❤\ufe0f🇩🇪",
    "\udcff\udc80bytes",
    "x" * 255,
    "",
)
PODS = "/kubepods.slice/kubepods-pod1.slice"


def memory(usage: int, file: int, limit: int | None = None) -> Memory:
    """Figures in MiB; what is neither file cache nor kernel memory is anonymous."""
    kernel = 2 * MIB if usage > 4 else 0
    return Memory(
        limit_bytes=None if limit is None else limit * MIB,
        usage_bytes=usage * MIB,
        inactive_file_bytes=file * MIB // 2,
        anon_bytes=(usage - file) * MIB - kernel,
        file_bytes=file * MIB,
        shmem_bytes=0,
        dirty_bytes=0,
        writeback_bytes=0,
        refaulted_bytes=0,
        slab_bytes=kernel,
        kernel_bytes=kernel,
        sock_bytes=0,
    )


def wrote(
    amount: int,
    held: int,
    comm: str,
    path: str,
    kind: str = "write",
    inode: int = 7,
    uses: FileUses | None = None,
) -> Ledger:
    """One process did one thing to one file, of which `held` is cached now; amounts in MiB."""
    file, size = FileId(8 << 20 | 1, inode), amount * MIB
    before, gone = max(0, held - amount) * MIB, max(0, amount - held) * MIB
    return Ledger(
        added=added(**{kind: size}),
        removed=removed(reclaim=gone),
        baseline_bytes=before,
        drivers=(DriverRow(file, path, None, 4711, comm, kind, f"{kind}64", size, size // 4),),
        files=(FileRow(file, path, None, False, False, False, before, size, gone, uses),),
        processes=(ProcessRow(4711, 1, comm, size),),
    )


def _user(name: str, comm: str, amount: int) -> FileUser:
    return FileUser(23, f"{PODS}/{name}", name, name, 4712, comm, amount * MIB)


USES = FileUses(12 * MIB, (_user("exporter", "node_exporter", 90),), (_user("backup", "cp", 3),))


def held(amount: int) -> Ledger:
    """Nothing happened; `amount` MiB was cached before."""
    return Ledger(baseline_bytes=amount * MIB)


def _group(
    number: int, parent: int, path: str, figures: Memory, own: int, kind: str = "unit"
) -> CgroupSample:
    name = path.rpartition("/")[2]
    pod = ("db-0", "containerd", "shop", "db-0") if kind == "pod" else (name,)
    identity = Identity(kind, *pod)
    return cgroup(number, parent, path, memory=figures, ledger=held(own), identity=identity)


def _unit(number: int, name: str, figures: Memory, ledger: Ledger) -> CgroupSample:
    return cgroup(
        number,
        2,
        f"/system.slice/{name}",
        memory=figures,
        ledger=ledger,
        identity=Identity("unit", name, "systemd"),
    )


def _in_pod(number: int, kind: str, name: str, figures: Memory, ledger: Ledger) -> CgroupSample:
    container = name if kind == "container" else None
    identity = Identity(kind, name, "containerd", "shop", "db-0", container, "postgres:16")
    path = f"{PODS}/{name}"
    return cgroup(number, 21, path, memory=figures, ledger=ledger, identity=identity)


def node(step: int = 0, names: tuple[str, ...] = ()) -> Sample:
    """The node at one moment; `step` moves some figures. `names`: further, hostile units."""
    data = "/var/lib/postgresql/16/main/base/16384/16385"
    cgroups = [
        cgroup(1, path="/", memory=memory(1500 + step, 900), ledger=held(60)),
        _group(2, 1, "/system.slice", memory(420, 300), 79),
        _unit(
            10,
            "mirror.service",
            memory(199, 196, 200),
            wrote(300, 196, "spegel", "/blobs/8f1c", "read"),
        ),
        _unit(
            11,
            "batch.service",
            memory(24 + step, 23),
            wrote(23, 23, "etl", "/dev/shm/shot", "shmem"),
        ),
        _unit(12, "ssh.service", memory(6, 2), held(2)),
        _group(20, 1, "/kubepods.slice", memory(700, 500), 5),
        _group(21, 20, PODS, memory(690, 495), 1, "pod"),
        _in_pod(
            22,
            "container",
            "postgres",
            memory(600 + 3 * step, 480, 1024),
            wrote(227, 480, "postgres", data, uses=USES),
        ),
        _in_pod(
            23, "container", "exporter", memory(80, 14, 100), wrote(9, 14, "exporter", "/metrics")
        ),
        _in_pod(24, "sandbox", "pause", memory(1, 0), held(0)),
        cgroup(
            30,
            1,
            "/old",
            state="removed",
            ledger=wrote(40, 40, "pip", "/cache/wheel"),
            identity=Identity("cgroup", "old"),
        ),
    ]
    for number, name in enumerate(names, start=100):
        path = f"/srv/{name}"
        cgroups.append(
            _unit(number, name, memory(3, 2), wrote(2, 2, name[:15], path, inode=number))
        )
    held_besides = [
        replace(each, slab=OBJECTS.get(each.cgroup_id, Slab()), go=go(each.cgroup_id, step))
        for each in cgroups
    ]
    made = sample(*held_besides)
    state = BaselineState("done", "", 12.0 + 2 * step, 0.2, 3149, 692 * MIB)
    features = {"baseline": Feature(True), "slab": Feature(False, "this kernel has no tracepoint")}
    return Sample(
        made.time + 2 * step,
        made.monotonic + 2 * step,
        "node-1",
        "v2",
        "libbpf",
        made.cgroups,
        baseline=state,
        features=features,
        cpus=2,
        census=Census(12.0 + 2 * step, 0.2, 0.004, 48 * MIB),
    )


def go(cgroup_id: int, step: int) -> tuple[GoProcess, ...]:
    """An exporter written in Go beside postgres, and one whose heap nobody can read."""
    if cgroup_id != 22:
        return ()
    heap = GoHeap(
        100,
        None,
        16,
        24 * MIB,
        30 * MIB,
        6 * MIB,
        2 * MIB,
        48 * MIB,
        40 * MIB,
        (900 + step) * MIB,
        40 + step,
    )
    collected = GoCycles(40 + step, 2, 1, 0.02, 0.001, 1.5 + step / 10, 0.1, 20 * MIB)
    exporter = GoProcess(
        71, 5, "exporter", "go", "", "go1.21.13", "example.org/exporter", True, "", 2.0, heap,
        gc=collected,
    )  # fmt: skip
    hidden = "its memory cannot be read: it needs CAP_SYS_PTRACE"
    return exporter, GoProcess(72, 6, "helper\x1b[2J", "go", hidden, "go1.25.5")


# What a census met, by cgroup.
OBJECTS = {
    22: Slab(
        (
            SlabRow("dentry", 12000, 12000 * 200, True),
            SlabRow("ext4_inode_cache", 900, 900 * 1136, True),
            SlabRow("kmalloc-cg-96", 500, 500 * 104, False),
            SlabRow("something_else", 1, 64, False, (SlabCulprit(7, "pg", "openat", 64),)),
        ),
        4096,
        8192,
    )
}


def scenes(count: int = 12, names: tuple[str, ...] = ()) -> list[Scene]:
    """The node at `count` moments, two seconds apart."""
    history, found, before = History(), [], None
    for step in range(count):
        now = node(step, names)
        drawn = snapshot(now, before, 2.0 if before else None)
        found.append(Scene(drawn, history.add(drawn)))
        before = now
    return found


def view(wanted: Selection = EVERYTHING, sort: str = "usage", rows: int | None = None) -> View:
    """What is on screen before any key."""
    made = start(plain_look(), wanted, sort, rows, 2.0)
    made.busy = ""
    return made


def plain_look() -> Look:
    """A terminal with colours and UTF-8."""
    return look(colour=True, unicode=True)


class Screen(TopScreen):
    """The app, fed by hand; counts what it asks for."""

    def __init__(self, state: View | None = None) -> None:
        super().__init__(
            state or view(),
            lambda: None,
            self._asked,
            look_inside=self._look_into,
            count_slab=self._counted,
        )
        self.asked = self.counted = 0
        self.looked_into: list[int | None] = []

    def _look_into(self, cgroup: int | None) -> None:
        self.looked_into.append(cgroup)

    def _asked(self) -> None:
        self.asked += 1

    def _counted(self) -> None:
        self.counted += 1

    def text(self) -> list[str]:
        """What is really on the screen, line by line."""
        return [strip.text for strip in self.screen._compositor.render_strips()]

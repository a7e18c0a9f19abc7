"""A Snapshot as one line of JSON, schema memtrace.snapshot/1 (docs/snapshot.schema.json).

Every key is there in every container; unknown is null. The line is plain ASCII, so any
locale can print it and no control character reaches a terminal: characters are written
as JSON's own escapes and come back whole, only bytes that are no UTF-8 turn into the
four characters \\xNN, because JSON has no way to hold them.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import chain
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from typing import Any

from memtrace.model.fields import PROCESS
from memtrace.model.shapes import (
    Container,
    Driver,
    File,
    MemoryFigures,
    PageCache,
    Process,
    Snapshot,
    Verdict,
    WorkingSet,
)
from memtrace.model.slab import shown
from memtrace.model.stacks import StackTable
from memtrace.model.words import device_name
from memtrace.samples import KINDS, REASONS, Census, CgroupSample, FileId, FileUser, FileUses
from memtrace.views.go_json import go_list
from memtrace.views.slab_json import slab_list
from memtrace.views.text import without_surrogates

SCHEMA = "memtrace.snapshot/1"


class _Quoted(dict[str | None, str]):
    """Strings as JSON, each made once per line: a path appears in many rows."""

    def __missing__(self, text: str | None) -> str:
        quoted = "null" if text is None else _quote(text)
        self[text] = quoted
        return quoted


def render(snapshot: Snapshot) -> str:
    """Return the snapshot as one line, without its newline."""
    return Renderer().render(snapshot)


class Renderer:
    """Renders one snapshot after another; a container that is as before is not formatted again."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Container, str]] = {}

    def render(self, snapshot: Snapshot) -> str:
        """Return the snapshot as one line, without its newline. It may have megabytes: one copy."""
        before, self._made = self._made, {}
        quoted = _Quoted()
        texts = []
        for container in snapshot.containers:
            key = container.source.cgroup_id
            made = before.get(key)
            if made is None or not _same(made[0], container):
                made = (container, f",{_container(container, quoted)}")
            self._made[key] = made
            texts.append(made[1])
        start = f'{line_of(_head(snapshot))[:-1]},"containers":['
        return "".join([start, *(text[1:] for text in texts[:1]), *texts[1:], "]}"])


def _same(made: Container, container: Container) -> bool:
    """Tell whether two containers read the same; the model hands on what did not change."""
    return made is container or made == container


def line_of(document: dict[str, Any]) -> str:
    """Return any document as one ASCII line of valid JSON."""
    line = _dumps(document)
    if "\\ud" in line:  # an undecodable byte, or half of a legitimate pair: look closer
        line = _dumps(_decodable(document))
    return line.replace("\x7f", "\\u007f")


_dumps = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def _quote(text: str) -> str:
    valid = text if text.isascii() else without_surrogates(text)
    return encode_basestring_ascii(valid).replace("\x7f", "\\u007f")


def _head(snapshot: Snapshot) -> dict[str, Any]:
    lost, swap = snapshot.lost, snapshot.swap
    return {
        "schema": SCHEMA,
        "time": snapshot.time,
        "interval_seconds": snapshot.interval_seconds,
        "node": snapshot.node,
        "cgroup_mode": snapshot.cgroup_mode,
        "engine": snapshot.engine,
        "lost": {
            "ring": lost.ring,
            "map_full": lost.map_full,
            "recursion": lost.recursion,
            "names": lost.names,
            "netlink": lost.netlink,
        },
        "swap": {
            "total_bytes": None if swap is None else swap.total_bytes,
            "used_bytes": None if swap is None else swap.used_bytes,
        },
        "features": {
            name: {"enabled": feature.enabled, "reason": feature.reason}
            for name, feature in snapshot.features.items()
        },
        "slab_census": census_state(snapshot.census),
        "slab_watch": {"armed": snapshot.slab_watch.armed, "since": snapshot.slab_watch.since},
    }


def census_state(census: Census) -> dict[str, Any] | None:
    """Return when the census was taken, what it cost, and what it could not charge to a cgroup."""
    if census.age_seconds is None:
        return None
    return {
        "age_seconds": round(census.age_seconds, 3),
        "cost_seconds": census.cost_seconds,
        "longest_seconds": census.longest_seconds,
        "slab_pages_bytes": census.slab_bytes,
        "nobody_bytes": sum(row.bytes for row in census.nobody.rows),
        "lost_bytes": census.lost_bytes,
        "odd_slabs": census.odd_slabs,
    }


def _container(container: Container, quoted: _Quoted) -> str:
    """Return one container; its lists are formatted, not built, as they are most of the line."""
    rows = container.rows
    drivers = ",".join([_driver(driver, quoted) for driver in rows.drivers])
    files = ",".join([_file(file, quoted) for file in rows.files])
    processes = ",".join([_process(process, quoted) for process in rows.processes])
    return (
        f'{line_of(_words(container))[:-1]},{_figures(container)},"drivers":[{drivers}],'
        f'"files":[{files}],"processes":[{processes}]}}'
    )


def identity_document(source: CgroupSample) -> dict[str, Any]:
    """Return who a cgroup is."""
    identity = source.identity
    return {
        "cgroup_id": source.cgroup_id,
        "cgroup": source.path,
        "kind": identity.kind,
        "runtime": identity.runtime,
        "namespace": identity.namespace,
        "pod": identity.pod,
        "container": identity.container,
        "name": identity.name,
        "image": identity.image,
        "state": source.state,
    }


def _words(container: Container) -> dict[str, Any]:
    """Return what holds text, and what is few."""
    source, rows, slab = container.source, container.rows, container.slab
    rest = None if slab is None else shown(slab)[1]
    return {
        **identity_document(source),
        "parent_id": source.parent_id,
        "leaf": container.leaf,
        "resolved_by": source.identity.resolved_by,
        "limit_cgroup": container.memory.limit_cgroup,
        "drivers_other_bytes": rows.drivers_other_bytes,
        "files_other_bytes": rows.files_other_bytes,
        "processes_other_bytes": rows.processes_other_bytes,
        "slab": slab_list(slab, container.culprits),
        "slab_other_bytes": rest,
        "slab_allocated_bytes": container.culprits.allocated_bytes,
        "slab_unwatched_bytes": container.culprits.unwatched_bytes,
        "go": go_list(container.go),
        "go_other_bytes": None if container.go is None else container.go.other_bytes,
        "stacks": stack_list(container.stacks),
        "stacks_other_bytes": None if container.stacks is None else container.stacks.other_bytes,
        "verdict": verdict_document(container.verdict),
    }


def stack_list(table: StackTable | None) -> list[dict[str, Any]] | None:
    """Return from which code pages came, the largest first; null while nobody watches."""
    if table is None:
        return None
    return [
        {
            "pid": row.tgid or None,
            "comm": row.comm,
            "kind": row.kind,
            "function": row.function,
            "frames": list(row.frames),
            "bytes": row.bytes,
            "samples": row.samples,
        }
        for row in table.rows
    ]


def _slots(*names: str) -> str:
    return ",".join(f'"{name}":%s' for name in names)


_AMOUNTS_OF_MEMORY = tuple(name for name in MemoryFigures._fields if name != "limit_cgroup")
_amounts_of_memory = attrgetter(*_AMOUNTS_OF_MEMORY)
_IO = ",".join(f'{{"kind":"{kind}",{_slots("bytes", "delta_bytes")}}}' for kind in KINDS)
_REMOVED_BY = ",".join(f'{{"reason":"{reason}",{_slots("bytes")}}}' for reason in REASONS)
_FIGURES = (
    f'{_slots(*_AMOUNTS_OF_MEMORY)},"working_set":{{{_slots(*WorkingSet._fields)}}},"page_cache":{{{_slots(*PageCache._fields)}}},'
    f'"io":[{_IO}],"removed_by":[{_REMOVED_BY}]'
)


def _figures(container: Container) -> str:
    """Return the amounts, in the order of _FIGURES; formatted, as they are many."""
    amounts = (
        *_amounts_of_memory(container.memory),
        *container.working_set,
        *container.page_cache,
        *chain.from_iterable(zip(container.added, container.added_deltas, strict=True)),
        *container.removed,
    )
    return _FIGURES % tuple(["null" if amount is None else amount for amount in amounts])


def _template(*names: str) -> str:
    """Return a row's format: its values in order."""
    return "{" + _slots(*names) + "}"


_DRIVER = _template(
    "path",
    "container_path",
    "device",
    "inode",
    "pid",
    "tgid",
    "comm",
    "kind",
    "syscall",
    "added_bytes",
    "added_delta_bytes",
    "function",
    "sampled",
)
_FILE = _template(
    "path",
    "container_path",
    "device",
    "inode",
    "deleted",
    "resident_bytes",
    "baseline_bytes",
    "added_bytes",
    "removed_bytes",
    "charged_to",
    "refaulted_bytes",
    "touched_by",
    "dirtied_by",
)
_USER = _template("cgroup_id", "cgroup", "name", "container", "pid", "comm", "bytes")
_PROCESS = _template("pid", "comm", "added_bytes", *(field.name for field in PROCESS))
_process_facts = attrgetter(*(field.name for field in PROCESS))
_BOOLEAN = {None: "null", False: "false", True: "true"}


def _driver(driver: Driver, quoted: _Quoted) -> str:
    row, added, delta = driver
    pid = row.tgid or "null"
    return _DRIVER % (
        quoted[row.path],
        quoted[row.container_path],
        *_numbers(row.file),
        pid,
        pid,
        quoted[row.comm],
        quoted[row.kind],
        quoted[row.syscall],
        added,
        "null" if delta is None else delta,
        quoted[row.function],
        _BOOLEAN[row.function is not None],
    )


def _file(entry: File, quoted: _Quoted) -> str:
    row, resident, baseline, added, removed, charged_to = entry
    return _FILE % (
        quoted[row.path],
        quoted[row.container_path],
        *_numbers(row.file),
        _BOOLEAN[row.deleted],
        "null" if resident is None else resident,
        "null" if baseline is None else baseline,
        added,
        removed,
        quoted[charged_to],
        *_uses(row.uses, quoted),
    )


def _uses(uses: FileUses | None, quoted: _Quoted) -> tuple[int | str, str, str]:
    """Return refaulted bytes, touchers and dirtiers as JSON."""
    if uses is None:
        return ("null", "null", "null")
    refaulted = "null" if uses.refaulted_bytes is None else uses.refaulted_bytes
    return refaulted, _users(uses.touched_by, quoted), _users(uses.dirtied_by, quoted)


def _users(users: tuple[FileUser, ...] | None, quoted: _Quoted) -> str:
    if users is None:
        return "null"
    return f"[{','.join([_user(user, quoted) for user in users])}]"


def _user(user: FileUser, quoted: _Quoted) -> str:
    return _USER % (
        user.cgroup_id,
        quoted[user.cgroup],
        quoted[user.name],
        quoted[user.container],
        user.pid or "null",
        quoted[user.comm],
        user.bytes,
    )


def _process(process: Process, quoted: _Quoted) -> str:
    row, added = process
    facts = ["null" if fact is None else fact for fact in _process_facts(row)]
    return _PROCESS % (row.tgid or "null", quoted[row.comm], added, *facts)


def _numbers(file: FileId | None) -> tuple[str, int | str]:
    """Return device and inode as JSON."""
    if file is None:
        return ("null", "null")
    return (_device_json(file.device), file.inode)


@lru_cache(maxsize=1024)
def _device_json(device: int) -> str:
    return f'"{device_name(device)}"'


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict with every key of the schema."""
    return {
        "id": verdict.id,
        "claim": verdict.claim,
        "severity": verdict.severity,
        "confidence": verdict.confidence,
        "bytes": verdict.bytes,
        "evidence": [evidence._asdict() for evidence in verdict.evidence],
        "advice": [
            {
                "setting": advice.setting,
                "from": advice.current,
                "to": advice.proposed,
                "why": advice.why,
                "cost": advice.cost,
                "paste": advice.paste or None,
            }
            for advice in verdict.advice
        ],
        "others": list(verdict.others),
    }


def _decodable(value: Any) -> Any:
    """Return a copy whose strings are all valid Unicode."""
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, dict):
        return {_decodable(key): _decodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decodable(item) for item in value]
    return value

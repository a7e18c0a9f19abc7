"""A post-mortem as one JSON document, schema memtrace.oom/1 (docs/oom.schema.json).

Every key is there in every record; unknown is null. What the text shows comes from this
document alone, so that a record on disk reads as it did when it was new.
"""

from __future__ import annotations

from typing import Any

from memtrace.kills import COUNTERS
from memtrace.model.oom_shapes import Named, Postmortem, Process
from memtrace.model.shapes import Container, Driver, File
from memtrace.model.shapes import Process as SampledProcess
from memtrace.model.words import device_name
from memtrace.samples import KINDS, FileId
from memtrace.views.go_json import go_row
from memtrace.views.json import line_of, verdict_document

SCHEMA = "memtrace.oom/1"
MAX_FILES, MAX_DRIVERS = 20, 20

Document = dict[str, Any]


def line(document: Document) -> str:
    """Return the record as one ASCII line, without its newline."""
    return line_of(document)


def document(made: Postmortem, record_id: str) -> Document:
    """Return the record with every key of the schema."""
    event = made.event
    victims = [_process(victim) for victim in made.victims]
    verdict = verdict_document(made.verdict) if made.verdict else None
    return {
        "schema": SCHEMA,
        "id": record_id,
        "time": event.time,
        "boot_ns": event.boot_ns,
        "boot_id": made.boot_id,
        "node": made.node,
        "kill": made.kill,
        "source": event.source,
        "seen_late": event.source == COUNTERS,
        "since": event.since,
        "kills": event.kills,
        "victims": victims,
        "victim": victims[0] if victims else None,
        "trigger": _process(made.trigger) if made.trigger else None,
        "oom_cgroup": _limited(made),
        "allocation": {"order": event.order, "gfp_mask": event.gfp_mask},
        "composition": {**made.composition._asdict(), "slab": None},
        "history": [moment._asdict() for moment in made.history],
        **_sampled(made.sampled),
        "go": None if made.go is None else [go_row(row) for row in made.go],
        "verdict": verdict,
        "advice": verdict["advice"] if verdict else [],
        "gaps": list(made.gaps),
    }


def _place(place: Named) -> Document:
    identity = place.identity
    return {
        "cgroup_id": place.cgroup_id,
        "kind": identity.kind if identity else None,
        "name": identity.name if identity else None,
        "namespace": identity.namespace if identity else None,
        "pod": identity.pod if identity else None,
        "container": identity.container if identity else None,
        "image": identity.image if identity else None,
    }


def _limited(made: Postmortem) -> Document:
    where = made.oom_cgroup
    return {
        "path": where.place.path,
        "limit": where.limit,
        "usage": where.usage,
        "limited_by": where.limited_by,
        "scored_against": where.total,
        **_place(where.place),
    }


def _process(process: Process) -> Document:
    task = process.task
    return {
        "pid": task.tgid,
        "tgid": task.tgid,
        "tid": task.pid,
        "start": task.start,
        "uid": task.uid,
        "comm": task.comm,
        "cgroup": process.place.path,
        **_place(process.place),
        "oom_score_adj": task.oom_score_adj,
        "rss_bytes": task.rss_bytes,
        "rss_anon_bytes": task.anon_bytes,
        "rss_file_bytes": task.file_bytes,
        "rss_shmem_bytes": task.shmem_bytes,
        "swap_bytes": task.swap_bytes,
        "peak_rss_bytes": task.peak_bytes,
        "maxrss_bytes": task.maxrss_bytes,
        "virtual_bytes": task.virtual_bytes,
        "page_table_bytes": task.page_table_bytes,
        "disk_read_bytes": task.disk_read_bytes,
        "disk_write_bytes": task.disk_write_bytes,
    }


def _sampled(container: Container | None) -> Document:
    """Return the lists that the last sample has; none of it is known without one."""
    if container is None:
        return {"top_files": None, "top_processes": None, "io": None, "drivers": None}
    rows = container.rows
    return {
        "top_files": [_file(file) for file in rows.files[:MAX_FILES]],
        "top_processes": [_sampled_process(process) for process in rows.processes],
        "io": [
            {"kind": kind, "bytes": amount, "delta_bytes": delta}
            for kind, amount, delta in zip(
                KINDS, container.added, container.added_deltas, strict=True
            )
            if amount
        ],
        "drivers": [_driver(driver) for driver in rows.drivers[:MAX_DRIVERS]],
    }


def _file(file: File) -> Document:
    row = file.row
    return {
        "path": row.path,
        "container_path": row.container_path,
        **_number(row.file),
        "deleted": row.deleted,
        "resident_bytes": file.resident_bytes,
        "added_bytes": file.added_bytes,
        "removed_bytes": file.removed_bytes,
        "charged_to": file.charged_to,
    }


def _sampled_process(process: SampledProcess) -> Document:
    row = process.row
    return {
        "pid": row.tgid or None,
        "comm": row.comm,
        "added_bytes": process.added_bytes,
        "peak_rss_bytes": row.peak_rss_bytes,
        "disk_read_bytes": row.disk_read_bytes,
        "disk_write_bytes": row.disk_write_bytes,
        "stall_seconds": row.stall_seconds,
    }


def _driver(driver: Driver) -> Document:
    row = driver.row
    return {
        "path": row.path,
        "container_path": row.container_path,
        **_number(row.file),
        "pid": row.tgid or None,
        "tgid": row.tgid or None,
        "comm": row.comm,
        "kind": row.kind,
        "syscall": row.syscall,
        "added_bytes": driver.added_bytes,
        "added_delta_bytes": driver.added_delta_bytes,
    }


def _number(file: FileId | None) -> Document:
    device, inode = (device_name(file.device), file.inode) if file else (None, None)
    return {"device": device, "inode": inode}

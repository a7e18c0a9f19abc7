"""Kubernetes Events of the agent: from records of kills to what is sent, where that is wanted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from memtrace.host.runtimes.paths import pod_uid
from memtrace.samples import Feature

OUTSIDE = "no Kubernetes Events: KUBERNETES_SERVICE_HOST is not set, so this is no pod"


class KillEvents:
    """One Event for each record. Never waits, never raises; `feature` is None when unwanted."""

    def __init__(self, wanted: bool) -> None:
        self._sender = None
        self._outside = Feature(False, OUTSIDE) if wanted else None
        if wanted:
            from memtrace.service.kubernetes import Sender, in_cluster

            server = in_cluster()
            self._sender = None if server is None else Sender(server)

    @property
    def feature(self) -> Feature | None:
        """Whether they can be sent, and why not."""
        return self._outside if self._sender is None else self._sender.feature

    def tell(self, records: Iterable[dict[str, Any]]) -> None:
        """Send what tells of these kills."""
        if self._sender is None:
            return
        from memtrace.views.kubernetes import event

        for record in records:
            self._sender.send(event(record, _uid(record)))

    def close(self) -> None:
        """End the sending."""
        if self._sender is not None:
            self._sender.close()


def _uid(record: dict[str, Any]) -> str | None:
    """Of the pod, from the path of the victim's cgroup, else of the one at its limit."""
    paths = ((record["victim"] or {}).get("cgroup"), (record["oom_cgroup"] or {}).get("path"))
    return next((uid for path in paths if path and (uid := pod_uid(path))), None)

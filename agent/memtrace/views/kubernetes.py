"""A post-mortem as a Kubernetes Event (core/v1), for `kubectl describe pod`. Sends nothing.

Draws the document alone. Names in it come from strangers: one that Kubernetes would not take
never becomes part of an address, and the Event is then about the node.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from memtrace.model.units import size
from memtrace.model.words import REASON_OF_KILL
from memtrace.views.text import printable

Document = dict[str, Any]

REASON = "MemoryKill"
MAX_MESSAGE = 1000  # what events.k8s.io takes is 1024 bytes
_MAX_NAME = 253
# RFC 1123, as Kubernetes has it: namespaces and containers, and names of pods.
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL.pattern}(?:\.{_LABEL.pattern})*")
_NODE_NAMESPACE = "default"  # where Kubernetes itself puts Events about nodes


def event(document: Document, pod_uid: str | None) -> Document:
    """Return the Event; its name follows from the record, so that it is made once only.

    `pod_uid`: of the pod in whose cgroup it was, without which kubectl describe leaves it out.
    """
    where = _about(document, pod_uid)
    node = str(document.get("node"))
    moment = _moment(document.get("time"))
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": _name(where["name"], str(document.get("id"))),
            "namespace": where.get("namespace", _NODE_NAMESPACE),
        },
        "involvedObject": where,
        "type": "Warning",
        "reason": REASON,
        "message": _message(document),
        "source": {"component": "memtrace", "host": node},
        "reportingComponent": "memtrace",
        "reportingInstance": node,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


def _about(document: Document, pod_uid: str | None) -> Document:
    """Return the pod's reference, with its container; the node's where there is no pod."""
    for place in (_part(document, "victim"), _part(document, "oom_cgroup")):
        namespace, pod = place.get("namespace"), place.get("pod")
        if _is(_LABEL, namespace) and _is(_SUBDOMAIN, pod):
            about = {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": pod}
            about |= {"uid": pod_uid} if pod_uid else {}
            if _is(_LABEL, place.get("container")):
                about["fieldPath"] = f"spec.containers{{{place['container']}}}"
            return about
    node = str(document.get("node"))
    return {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node}


def _message(document: Document) -> str:
    victim, limited = _part(document, "victim"), _part(document, "oom_cgroup")
    kill = REASON_OF_KILL.get(str(document.get("kill")), "killed")
    limit = limited.get("limit")
    at = f" ({size(limit)})" if isinstance(limit, int) and "limit" in kill else ""
    who = f"{victim.get('comm')} (pid {victim.get('pid')})" if victim else "A process"
    claim = _part(document, "verdict").get("claim")
    words = [f"{who} was {kill}{at}.", str(claim or ""), f"memtrace oom show {document.get('id')}"]
    message = printable(" ".join(word for word in words if word))
    return message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 1]}…"


def _name(about: str, record_id: str) -> str:
    ending = f".memtrace-{re.sub(r'[^a-z0-9]+', '-', record_id.lower())}"
    return f"{about[: _MAX_NAME - len(ending)].rstrip('-.')}{ending}"


def _moment(time: Any) -> str:
    seconds = time if isinstance(time, (int, float)) else 0
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _part(document: Document, name: str) -> Document:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _is(pattern: re.Pattern[str], text: Any) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None

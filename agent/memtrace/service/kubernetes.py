"""Sends Kubernetes Events to the API server, from a thread of its own. Composes none.

Whoever hands one over never waits: what does not fit is counted as lost, and what cannot be
sent is tried a few times and then lost, too. Imported only where Events are wanted: TLS
takes 5 MB.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from memtrace.samples import Feature

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
WAITING = 64
"""Events that wait at most; the oldest makes room, as kills come in storms."""
RETRY_SECONDS = (1.0, 5.0, 25.0)
TIMEOUT_SECONDS = 5.0
APART_SECONDS = 0.2
CLOSE_SECONDS = 2.0
_LIMIT = 1 << 20  # bytes of a token or certificate
_ANSWER_LIMIT = 1 << 16
_DONE = (200, 201, 202, 409)  # 409: there already, of an answer that was lost
_AGAIN = (408, 429, 500, 502, 503, 504)
_RIGHTS = (401, 403)


class Server(NamedTuple):
    """Where the API server is, and the directory with the pod's token and its certificate."""

    host: str
    port: int
    account: Path = ACCOUNT


class Refused(Exception):
    """An Event was not taken: why, and whether it may be later."""

    def __init__(self, reason: str, again: bool) -> None:
        super().__init__(reason)
        self.again = again


def in_cluster(environment: Mapping[str, str] = os.environ) -> Server | None:
    """The API server of the cluster this pod is in; None outside of one."""
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    known = host and port.isdecimal() and int(port) < 1 << 16
    return Server(host, int(port)) if known else None


class Sender:
    """Sends Events one after the other until closed. `feature` says whether it can."""

    def __init__(self, server: Server, retry_seconds: Sequence[float] = RETRY_SECONDS) -> None:
        self._server = server
        self._retry_seconds = retry_seconds
        self._events: deque[dict[str, Any]] = deque()
        self._change = threading.Condition()
        self._closed = False
        self._idle = True
        self.lost = 0
        self.feature = Feature(True)
        threading.Thread(target=self._run, name="kubernetes-events", daemon=True).start()

    def send(self, event: dict[str, Any]) -> None:
        """Have it sent; returns at once."""
        with self._change:
            if len(self._events) >= WAITING:
                self._events.popleft()
                self.lost += 1
            self._events.append(event)
            self._change.notify_all()

    def close(self) -> None:
        """End it, with a moment for what waits still."""
        with self._change:
            self._change.wait_for(lambda: self._idle and not self._events, CLOSE_SECONDS)
            self._closed = True
            self._change.notify_all()

    def _run(self) -> None:
        while (event := self._next()) is not None:
            self._deliver(event)
            time.sleep(APART_SECONDS)

    def _next(self) -> dict[str, Any] | None:
        with self._change:
            self._idle = True
            self._change.notify_all()
            self._change.wait_for(lambda: self._closed or bool(self._events))
            if self._closed:
                return None
            self._idle = False
            return self._events.popleft()

    def _deliver(self, event: dict[str, Any]) -> None:
        for pause in (*self._retry_seconds, None):
            try:
                post(self._server, event)
                self.feature = Feature(True)
                return
            except Refused as error:
                self.feature = Feature(False, f"no Kubernetes Events: {error}")
                if not error.again or pause is None or self._stops_within(pause):
                    break
        self.lost += 1

    def _stops_within(self, seconds: float) -> bool:
        with self._change:
            return self._change.wait_for(lambda: self._closed, seconds)


def post(server: Server, event: Mapping[str, Any]) -> None:
    """Make one Event. Raises Refused. The token is read each time: it is replaced every hour."""
    try:
        token = _read(server.account / "token").decode("ascii").strip()
        trust = ssl.create_default_context(cadata=_read(server.account / "ca.crt").decode("ascii"))
    except (OSError, ValueError) as error:  # of the files, of ASCII, of a certificate
        raise Refused(f"the service account in {server.account}: {error}", again=True) from error
    path = f"/api/v1/namespaces/{event['metadata']['namespace']}/events"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        with closing(_Connection(server, trust)) as connection:
            connection.request("POST", path, json.dumps(event).encode(), headers)
            answer = connection.getresponse()
            status, said = answer.status, answer.read(_ANSWER_LIMIT)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Refused(f"{server.host}:{server.port}: {error}", again=True) from error
    if status not in _DONE:
        right = "; apply deploy/kubernetes/components/events" if status in _RIGHTS else ""
        reason = f"the API server answers {status}{_said(said)}{right}"
        raise Refused(reason, again=status in _AGAIN)


class _Connection(http.client.HTTPConnection):
    """TLS over http.client, whose own class for it is absent where it was imported without."""

    def __init__(self, server: Server, trust: ssl.SSLContext) -> None:
        super().__init__(server.host, server.port, timeout=TIMEOUT_SECONDS)
        self._trust = trust

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = self._trust.wrap_socket(plain, server_hostname=self.host)


def _said(answer: bytes) -> str:
    """What the server gives as its reason: the `message` of a Status."""
    try:
        message = json.loads(answer)["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return f": {message[:300]}" if isinstance(message, str) else ""


def _read(path: Path) -> bytes:
    with path.open("rb") as opened:
        return opened.read(_LIMIT)

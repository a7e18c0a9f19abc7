"""The agent's door: answers GET on a few paths, from functions that know; nothing else.

Hostile input: whoever reaches the port may send anything. Requests are read by the standard
library's parser (line and header bounds), answered without looking at a body, and at most
MOST_AT_ONCE at a time, each within TIMEOUT_SECONDS.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from memtrace.service.without import without

with without("ssl"):  # 5 MB for a client nobody uses
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MOST_AT_ONCE = 16
TIMEOUT_SECONDS = 5.0


class Answer(NamedTuple):
    """What to send back."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Request(NamedTuple):
    """What of a request matters: the headers Accept and Accept-Encoding, empty without them."""

    accept: str = ""
    encodings: str = ""


Route = Callable[[Request], Answer]


class ListenError(Exception):
    """Nothing can be listened to there: one sentence."""


class Listener:
    """Serves `routes` (path -> what answers) on a thread of its own until closed."""

    def __init__(self, host: str, port: int, routes: Mapping[str, Route]) -> None:
        """Raises ListenError when the address is taken or not ours."""
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._server = _Server(family, (host, port), routes)
        except OSError as error:
            raise ListenError(f"{host}:{port} cannot be listened on: {error.strerror}") from error
        self._thread = threading.Thread(target=self._serve, name="listener", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port, also when 0 was asked for."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop serving and close the port. May be called twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(TIMEOUT_SECONDS)
        self._server.server_close()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, family: int, address: tuple[str, int], routes: Mapping[str, Route]) -> None:
        self.address_family = family
        self.routes = routes
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """As the base's base does it: that one asks for the host's full name, which may hang."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread, or not at all when too many wait already."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that breaks off is nobody's business."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = TIMEOUT_SECONDS
    server_version = "memtrace"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, *_: Any) -> None:
        """Scrapes are not events."""

    def _answer(self, with_body: bool) -> None:
        route = self.server.routes.get(self.path.partition("?")[0])
        asked = Request(self._header("Accept"), self._header("Accept-Encoding"))
        answer = route(asked) if route else _nothing(self.server.routes)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)

    def _header(self, name: str) -> str:
        return ",".join(self.headers.get_all(name, []))


def _nothing(routes: Mapping[str, Route]) -> Answer:
    there = f"not here; there is {' '.join(sorted(routes))}\n"
    return Answer(404, "text/plain; charset=utf-8", there.encode())

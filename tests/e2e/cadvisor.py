"""A target that says what a kubelet's cAdvisor said, for joins: a recording, no cAdvisor."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEAD = """\
# HELP container_memory_working_set_bytes Current working set in bytes.
# TYPE container_memory_working_set_bytes gauge
"""
LINE = (
    'container_memory_working_set_bytes{{container="{container}",id="/kubepods/burstable/pod{pod}/{id}"'
    ',image="registry.example/app:1",name="{id}",namespace="{namespace}",pod="{pod}"}} 1.2345e+07\n'
)


@contextmanager
def cadvisor(namespace: str, pods: Sequence[str]) -> Iterator[str]:
    """Serve the container `app` of each pod, and the pods themselves, as the kubelet does."""
    rows = [("app", pod, "0123456789abcdef") for pod in pods] + [("", pod, "") for pod in pods]
    body = HEAD + "".join(
        LINE.format(container=container, pod=pod, id=number, namespace=namespace)
        for container, pod, number in rows
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()

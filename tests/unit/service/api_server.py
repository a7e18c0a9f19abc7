"""A stand-in for Kubernetes' API server: TLS, a token, and the statuses a test wants.

It takes Events and keeps what it was asked; it knows nothing else of Kubernetes.
"""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from memtrace.service.kubernetes import Server
from tests.outcomes import unavailable


class ApiServer(ThreadingHTTPServer):
    """Answers with one status after the other, the last one for ever; `None` is no answer."""

    def __init__(self, directory: Path, address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), _Handler)
        self.statuses: list[int | None] = [201]
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.leave = threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "ca.crt", directory / "key")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.where = Server("127.0.0.1", self.server_port, directory)

    def __enter__(self) -> ApiServer:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers["Authorization"], body))
        statuses = self.server.statuses
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        if status is None:
            self.server.leave.wait(20)
            return
        answer = json.dumps({"kind": "Status", "message": f"for reason {status}"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def make_account(directory: Path, *addresses: str) -> Path:
    """Write what a pod gets of its service account, and the key of the server at `addresses`."""
    if not shutil.which("openssl"):
        unavailable("openssl is not installed")
    names = ",".join(f"IP:{address}" for address in addresses)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=kubernetes", "-keyout", "key"]
    command += ["-out", "ca.crt", "-addext", f"subjectAltName={names}"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=60)
    (directory / "token").write_text("first\n")
    return directory

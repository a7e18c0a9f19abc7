"""A client of tests/workloads/go/serve.go: pulls blobs, at full speed or at a pace."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator

_CHUNK = 1 << 20
_PAUSE = 0.3


def pull(port: int, path: str) -> int:
    """Get all of a blob; its size in bytes."""
    return sum(map(len, _chunks(port, path)))


class _Pulling(threading.Thread):
    """Pulls beside a block, at most until that ends."""

    def __init__(self, port: int, path: str) -> None:
        super().__init__(daemon=True)
        self._wanted = port, path
        self._enough = threading.Event()

    def __enter__(self) -> _Pulling:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self.join()


class SlowPull(_Pulling):
    """Gets a blob at so many bytes a second, until it is there or the block ends."""

    def __init__(self, port: int, path: str, bytes_per_second: int) -> None:
        super().__init__(port, path)
        self._pause = _CHUNK / bytes_per_second

    def run(self) -> None:
        """Pull."""
        for _ in _chunks(*self._wanted):
            if self._enough.wait(self._pause):
                break


class PullingAgain(_Pulling):
    """Gets a blob again and again, until the block ends."""

    def run(self) -> None:
        """Pull."""
        while not self._enough.wait(_PAUSE):
            pull(*self._wanted)


def _chunks(port: int, path: str) -> Iterator[bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        while chunk := answer.read(_CHUNK):
            yield chunk
    finally:
        connection.close()

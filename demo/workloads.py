"""The programs of the demo's stories, each doing one thing until it is ended.

Run as `python workloads.py STORY DIRECTORY`, in the cgroup that is to pay for it. Says "ready" on
standard output once the story can be seen. Imports nothing of memtrace.
"""

from __future__ import annotations

import mmap
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MIB = 1 << 20
LAYERS = 6
LAYER_BYTES = 24 * MIB
DATABASE_BYTES = 40 * MIB
SMALL_FILES = 10_000
HOG_STEP = 3 * MIB


def mirror(place: Path) -> None:
    """Serve files to a peer with sendfile, as a registry mirror does."""
    here, peer = socket.socketpair()
    threading.Thread(target=_swallow, args=(peer,), daemon=True).start()
    for number, path in enumerate(_round(place)):
        with path.open("rb") as file:
            while os.sendfile(here.fileno(), file.fileno(), None, MIB):
                pass
        _ready(number >= LAYERS)
        time.sleep(0.5)


def replica(place: Path) -> None:
    """Keep a copy of a database: one large file, and its log as very many small ones."""
    with (place / "app.db").open("wb") as file:
        for _ in range(DATABASE_BYTES // MIB):
            file.write(bytes(MIB))
    number = 0
    while True:
        folder = place / f"app.db-shadow/{number // 1000:04}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:08}.wal").write_bytes(bytes(4096))
        number += 1
        _ready(number == SMALL_FILES)
        if number > SMALL_FILES:
            time.sleep(0.05)


def reader(place: Path) -> None:
    """Read more than fits below the limit, again and again."""
    for number, path in enumerate(_round(place)):
        with path.open("rb") as file:
            while file.read(MIB):
                pass
        _ready(number >= LAYERS)
        time.sleep(0.5)


def hog(_: Path) -> None:
    """Keep more and more memory, until the kernel ends it."""
    kept = []
    _ready(True)
    while True:
        block = mmap.mmap(-1, HOG_STEP, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        block.write(bytes(HOG_STEP))
        kept.append(block)
        time.sleep(0.25)


def _round(place: Path) -> Iterator[Path]:
    paths = sorted(place.glob("layer-*"))
    while True:
        yield from paths


def _swallow(peer: socket.socket) -> None:
    room = bytearray(MIB)
    while peer.recv_into(room):
        pass


def _ready(now: bool) -> None:
    global _said
    if now and not _said:
        _said = True
        print("ready", flush=True)


_said = False
STORIES: dict[str, Callable[[Path], None]] = {
    "mirror": mirror,
    "replica": replica,
    "reader": reader,
    "hog": hog,
}

if __name__ == "__main__":
    STORIES[sys.argv[1]](Path(sys.argv[2]))

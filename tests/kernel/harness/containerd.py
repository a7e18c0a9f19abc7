"""A real containerd: the one that runs here, or one of our own that is ended afterwards.

Its state lives in the default /run/containerd, where every agent looks for bundles; when
that is ours, it is removed again. Images are made from busybox by hand: no network.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.kernel.harness.cgroup import ENTER, Cgroup, remove_cgroups
from tests.kernel.harness.files import PAGE

STATE = Path("/run/containerd")
NAMESPACE = f"memtrace-test-ctr-{os.getpid()}"
IMAGE_FILES = {"/image/read": 307, "/image/changed": 211}
"""Files in the image's second layer, in pages."""
IMAGE = "docker.io/memtrace-test/busybox:1"
CONFIG = """version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri"]
"""


class Containerd:
    """containerd and a namespace of our own in it, both gone on exit."""

    def __init__(self, directory: Path, cgroup: Cgroup | None = None, layers: int = 0) -> None:
        """Keep image store and logs below `directory`, on a disk; run in `cgroup` if given.

        The image has so many more `layers`, of one small file each.
        """
        self._layers = layers
        self._cgroup = cgroup
        self._directory = directory
        self._socket = STATE / "containerd.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._tasks: list[str] = []

    def __enter__(self) -> Containerd:
        if not self._answers():
            self._start()
        image = self._directory / "image.tar"
        write_image(image, self._layers)
        self.ctr("images", "import", "--digests=false", str(image))
        return self

    def __exit__(self, *_: object) -> None:
        for task in self._tasks:
            self._try("tasks", "kill", "-s", "SIGKILL", task)
            self._try("tasks", "delete", "--force", task)
            self._try("containers", "delete", task)
        self._try("images", "delete", "--sync", IMAGE)
        self._try_any("namespaces", "remove", NAMESPACE)
        for left in STATE.glob(f"io.containerd.*/{NAMESPACE}"):
            shutil.rmtree(left, ignore_errors=True)
        self._stop()
        remove_cgroups(NAMESPACE)

    def run(
        self,
        name: str,
        mount: Path,
        *command: str,
        mounts: Sequence[str] = (),
        given: Sequence[str] = (),
    ) -> None:
        """Start a container in the background, with `mount` writable at /data.

        `mounts` are more of them, as `ctr run --mount` takes them; `given` more of its options.
        """
        bind = f"type=bind,src={mount},dst=/data,options=rbind:rw"
        self._tasks.append(name)
        options = [part for each in (bind, *mounts) for part in ("--mount", each)]
        self.ctr("run", "--detach", *options, *given, IMAGE, name, *command)

    def run_and_remove(self, name: str, *command: str, options: Sequence[str] = ()) -> None:
        """Run a container to its end, however that is, and let ctr remove all there was of it."""
        self._try("run", "--rm", *options, IMAGE, name, *command)

    def pid(self, name: str) -> int:
        """The first process of a container."""
        lines = (line.split() for line in self.ctr("tasks", "list").splitlines())
        return next(int(words[1]) for words in lines if words[0] == name)

    def kill(self, name: str) -> None:
        """End a container's task and delete it, so that its cgroup goes."""
        self._try("tasks", "delete", "--force", name)

    def ctr(self, *arguments: str) -> str:
        """Run ctr in our namespace."""
        command = ["ctr", "-a", str(self._socket), "-n", NAMESPACE, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"ctr {arguments}: {done.stderr}"
        return done.stdout

    def _try(self, *arguments: str) -> None:
        command: list[str | Path] = ["ctr", "-a", self._socket, "-n", NAMESPACE, *arguments]
        subprocess.run(command, capture_output=True, timeout=60, check=False)

    def _try_any(self, *arguments: str) -> None:
        command: list[str | Path] = ["ctr", "-a", self._socket, *arguments]
        subprocess.run(command, capture_output=True, timeout=60, check=False)

    def _answers(self) -> bool:
        command: list[str | Path] = ["ctr", "-a", self._socket, "version"]
        if not self._socket.exists():
            return False
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0

    def _start(self) -> None:
        config = self._directory / "config.toml"
        config.write_text(CONFIG)
        self._socket = self._directory / "containerd.sock"
        command: list[str | Path] = ["containerd", "-c", config, "--root", self._directory / "root"]
        command += ["--state", STATE, "-a", self._socket]
        if self._cgroup:
            command = ["sh", "-c", ENTER, self._cgroup.directory, *command]
        self._owns_state = not STATE.exists()
        with open(self._directory / "log", "wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < deadline, (self._directory / "log").read_text()
            time.sleep(0.1)

    @property
    def socket(self) -> Path:
        """Where it answers."""
        return self._socket

    @property
    def is_ours(self) -> bool:
        """Whether containerd was started here, rather than found running."""
        return self._process is not None

    def _stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=20)
            if self._owns_state:
                shutil.rmtree(STATE, ignore_errors=True)


def write_image(
    target: Path,
    more: int = 0,
    files: Mapping[str, int] = MappingProxyType(IMAGE_FILES),
    command: Sequence[str] = (),
) -> None:
    """Write a Docker archive: a layer with a static busybox as /bin/sh, and one with `files`.

    And so many `more` of one page each: /image/1 and so on. `command` is what it runs by itself.
    """
    layers = {"layer.tar": image_layer(), "files.tar": _files(files)}
    for number in range(1, more + 1):
        layers[f"{number}.tar"] = _files({f"/image/{number}": 1})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": list(command)},
        "rootfs": {
            "type": "layers",
            "diff_ids": [
                f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers.values()
            ],
        },
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": list(layers)}]
    with tarfile.open(target, "w") as archive:
        for name, layer in layers.items():
            _add(archive, name, layer)
        _add(archive, "config.json", json.dumps(config).encode())
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def image_layer() -> bytes:
    """A root file system: a static busybox as /bin/sh and a few names more."""
    buffer = io.BytesIO()
    busybox = Path(shutil.which("busybox") or "/bin/busybox").read_bytes()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        _add(layer, "bin/busybox", busybox, mode=0o755)
        for name in ("sh", "dd", "cat", "sleep"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            layer.addfile(link)
    return buffer.getvalue()


def _files(files: Mapping[str, int]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for name, pages in files.items():
            _add(layer, name.lstrip("/"), b"m" * (pages * PAGE))
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))

"""Real docker and podman of our own, gone on exit. Images are made from busybox: no network.

Both keep their files below a directory of the test, which is linked to where every memtrace
looks for them; that place must not be taken, or they are unavailable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kernel.harness.cgroup import remove_cgroups
from tests.kernel.harness.containerd import Containerd, image_layer
from tests.outcomes import unavailable

NO_NETWORK = ("--network", "none")
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
"""podman asks for more than a root without CAP_SYS_RESOURCE may have."""


def as_in_kubernetes(name: str, *, namespace: str, pod: str, image: str) -> tuple[str, ...]:
    """Options of `ctr run` for a container as containerd's CRI plugin notes it in its bundle."""
    notes = {
        "container-type": "container",
        "container-name": name,
        "image-name": image,
        "sandbox-id": "6f" * 32,
        "sandbox-name": pod,
        "sandbox-namespace": namespace,
    }
    told = (f"io.kubernetes.cri.{key}={value}" for key, value in notes.items())
    return tuple(word for note in told for word in ("--annotation", note))


@contextmanager
def containerd_in(disk: Path) -> Iterator[Containerd]:
    """A containerd of our own below `disk`; its containers' cgroups go with it."""
    needed("containerd", "ctr", "runc", "busybox")
    (disk / "ctr").mkdir()
    with Containerd(disk / "ctr") as running:
        yield running


class Linked:
    """A link from a place of the system to a directory of ours; refuses a place that is taken."""

    def __init__(self, place: Path, target: Path) -> None:
        """Say where and what for; nothing is made before `__enter__`."""
        self._place, self._target = place, target
        self._made: list[Path] = []

    def __enter__(self) -> Linked:
        if self._place.exists() or self._place.is_symlink():
            unavailable(f"{self._place} belongs to somebody else")
        above = self._place.parent
        self._made = [path for path in (above, *above.parents) if not path.exists()]
        above.mkdir(parents=True, exist_ok=True)
        self._target.mkdir(parents=True, exist_ok=True)
        self._place.symlink_to(self._target)
        return self

    def __exit__(self, *_: object) -> None:
        self._place.unlink()
        for path in self._made:
            shutil.rmtree(path)  # podman keeps a cache beside its store


class Docker:
    """dockerd on a socket of its own, with the containerd at `containerd`."""

    name = "docker"
    image = "memtrace-test/docker:1"

    def __init__(self, directory: Path, containerd: Path) -> None:
        """Keep everything below `directory`, on a disk."""
        self._directory = directory
        self._containerd = containerd
        self._socket = directory / "docker.sock"
        self._link = Linked(Path("/var/lib/docker"), directory / "docker")

    def __enter__(self) -> Docker:
        self._directory.mkdir()
        self._link.__enter__()
        self._start()
        self._docker("import", "-c", "ENV PATH=/bin", root_archive(self._directory), self.image)
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + 30
        while containers := self._docker("ps", "--all", "--quiet").split():
            assert time.monotonic() < deadline, f"docker does not remove {containers}"
            self._try("rm", "--force", *containers)  # refused while --rm removes one
        self._process.terminate()
        self._process.wait(timeout=30)
        self._link.__exit__()
        remove_cgroups("docker")

    def run(self, name: str, mount: Path, *command: str, options: tuple[str, ...] = ()) -> str:
        """Start a container in the background with `mount` at /data; returns its id."""
        volume = ("--volume", f"{mount}:/data")
        given = ("--detach", "--name", name, *NO_NETWORK, *volume, *options)
        return self._docker("run", *given, self.image, *command).strip()

    def execute(self, name: str, *command: str) -> str:
        """Run a command inside a container to its end and return its output."""
        return self._docker("exec", name, *command)

    def remove(self, name: str) -> None:
        """End a container and delete it."""
        self._docker("rm", "--force", name)

    def _start(self) -> None:
        (self._directory / "daemon.json").write_text("{}")
        command: list[str | Path] = ["dockerd", "--config-file", self._directory / "daemon.json"]
        command += ["--bridge=none", "--iptables=false", "--ip6tables=false"]
        command += ["--data-root", self._directory / "docker", "--pidfile", self._directory / "pid"]
        command += ["--exec-root", self._directory / "exec", "--host", f"unix://{self._socket}"]
        command += ["--containerd", self._containerd]
        with open(self._directory / "log", "wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while _run("docker", "--host", f"unix://{self._socket}", "version").returncode:
            assert time.monotonic() < deadline, (self._directory / "log").read_text()
            time.sleep(0.1)

    def _try(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return _run("docker", "--host", f"unix://{self._socket}", *arguments)

    def _docker(self, *arguments: str | Path) -> str:
        done = self._try(*arguments)
        assert done.returncode == 0, f"docker {arguments}: {done.stderr}"
        return done.stdout


class Podman:
    """podman with a store of its own. It has no daemon."""

    name = "podman"
    image = "localhost/memtrace-test/podman:1"

    def __init__(self, directory: Path) -> None:
        """Keep everything below `directory`, on a disk."""
        self._directory = directory
        self._link = Linked(Path("/var/lib/containers/storage"), directory / "store")

    def __enter__(self) -> Podman:
        self._directory.mkdir()
        self._link.__enter__()
        self._podman("import", "-c", "ENV PATH=/bin", root_archive(self._directory), self.image)
        return self

    def __exit__(self, *_: object) -> None:
        self._podman("rm", "--all", "--force", "--time", "0")
        self._link.__exit__()
        remove_cgroups("libpod_parent")

    def run(self, name: str, mount: Path, *command: str, options: tuple[str, ...] = ()) -> str:
        """Start a container in the background with `mount` at /data; returns its id."""
        volume = ("--volume", f"{mount}:/data")
        given = ("--detach", "--name", name, *NO_NETWORK, *LIMITS, *volume, *options)
        return self._podman("run", *given, self.image, *command).strip()

    def remove(self, name: str) -> None:
        """End a container and delete it."""
        self._podman("rm", "--force", "--time", "0", name)

    def _podman(self, *arguments: str | Path) -> str:
        where = self._directory
        places = ["--root", where / "store", "--runroot", where / "run", "--tmpdir", where / "tmp"]
        how = ["--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        done = _run("podman", *places, *how, *arguments)
        assert done.returncode == 0, f"podman {arguments}: {done.stderr}"
        return done.stdout


def root_archive(directory: Path) -> Path:
    """A root file system of busybox as one archive."""
    archive = directory / "root.tar"
    archive.write_bytes(image_layer())
    return archive


def needed(*programs: str) -> None:
    """Make the test unavailable unless all these programs are there."""
    for program in programs:
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
            unavailable(f"{program} is not installed")


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False
    )

"""Debian's kernels for guests: which there are, and how to get one.

A kernel is a row of the table: a name, the suites that carry it and the package that
always depends on the newest build of it. Fetched with apt-get into build/vm, with
sources and state of its own: the machine's apt and its packages stay as they are.
Does not boot anything.
"""

from __future__ import annotations

import fcntl
import lzma
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).parents[2] / "build" / "vm"
MIRROR = os.environ.get("MEMTRACE_DEBIAN_MIRROR", "http://deb.debian.org/debian")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
NEWEST = "newest"


@dataclass(frozen=True)
class GuestKernel:
    """A kernel version and where Debian keeps it; suites are tried in order.

    `version` is "6.12", or NEWEST for whatever the suite has when it is fetched.
    """

    version: str
    suites: tuple[str, ...]
    package: str = "linux-image-cloud-amd64"

    @property
    def release_start(self) -> str:
        """What uname -r begins with; nothing where any version will do."""
        return "" if self.version == NEWEST else f"{self.version}."


# One row per kernel that is booted. No patch version is pinned: a suite moves on by
# itself. Add a row and every test that asks for each kernel runs on it too.
KERNELS: tuple[GuestKernel, ...] = (
    GuestKernel("5.10", ("bullseye-security", "bullseye")),
    GuestKernel("6.1", ("bookworm-security", "bookworm")),
    GuestKernel("6.12", ("bookworm-backports", "trixie")),
    GuestKernel(NEWEST, ("trixie-backports", "sid")),
)


class KernelUnavailable(Exception):
    """The package could not be had: a sentence with the reason."""


@dataclass(frozen=True)
class KernelFiles:
    """An unpacked kernel package."""

    root: Path

    @property
    def image(self) -> Path:
        """The bootable image."""
        return next(self.root.glob("boot/vmlinuz-*"))

    @property
    def release(self) -> str:
        """What uname -r will say."""
        return self.image.name.removeprefix("vmlinuz-")

    @property
    def modules(self) -> Path:
        """The directory of this release's modules."""
        return self.root / "lib" / "modules" / self.release

    def module_files(self, name: str) -> list[Path]:
        """A module after all it depends on; empty when it is built in."""
        for line in (self.modules / "modules.dep").read_text().splitlines():
            path, _, needed = line.partition(":")
            if module_name(path) == name:
                return [self.modules / part for part in (*reversed(needed.split()), path)]
        built_in = (self.modules / "modules.builtin").read_text().split()
        if name in map(module_name, built_in):
            return []
        raise KeyError(f"kernel {self.release} has no module {name}")


def module_name(path: str) -> str:
    """virtio_blk, from kernel/drivers/block/virtio_blk.ko.xz."""
    return Path(path).name.partition(".")[0].replace("-", "_")


def module_bytes(path: Path) -> bytes:
    """A module as insmod takes it, decompressed."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Only one process fetches at a time."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def fetch(kernel: GuestKernel, cache: Path = CACHE) -> KernelFiles:
    """The kernel from the cache or from the archive; KernelUnavailable with the reason."""
    target = cache / "kernels" / kernel.version
    with locked(cache):
        if not target.exists():
            download(kernel, cache, target)
    return KernelFiles(target)


def download(kernel: GuestKernel, cache: Path, target: Path) -> None:
    """Try the suites in order; the directory appears when it is complete."""
    for tool in ("apt-get", "dpkg", "depmod"):
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            raise KernelUnavailable(f"{tool} is needed to fetch and unpack Debian's kernels")
    failures = []
    for suite in kernel.suites:
        work = cache / "work" / f"{kernel.version}-{suite}"
        shutil.rmtree(work, ignore_errors=True)
        try:
            unpack(apt_download(work, suite, kernel), work / "root")
        except subprocess.CalledProcessError as error:
            failures.append(f"{suite}: {last_line(error.stderr) or error}")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        (work / "root").rename(target)
        shutil.rmtree(work)
        return
    raise KernelUnavailable(f"kernel {kernel.version} not downloaded ({'; '.join(failures)})")


def fetch_headers(kernel: GuestKernel, cache: Path = CACHE) -> Path:
    """The headers of a fetched kernel, unpacked as below /; KernelUnavailable with the reason."""
    release = fetch(kernel, cache).release
    target = cache / "headers" / release
    with locked(cache):
        if not target.exists():
            download_headers(kernel, release, cache, target)
    return target


def download_headers(kernel: GuestKernel, release: str, cache: Path, target: Path) -> None:
    """Try the suites in order; the directory appears when it is complete."""
    package = f"linux-headers-{release}"
    for suite in kernel.suites:
        work = cache / "work" / f"headers-{release}-{suite}"
        shutil.rmtree(work, ignore_errors=True)
        try:
            for deb in apt_download_headers(work, suite, package):
                subprocess.run(["dpkg", "-x", deb, work / "root"], check=True, capture_output=True)
        except subprocess.CalledProcessError:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        (work / "root").rename(target)
        shutil.rmtree(work)
        return
    raise KernelUnavailable(f"{package} is in none of {', '.join(kernel.suites)}")


def apt_download_headers(work: Path, suite: str, package: str) -> list[Path]:
    """Download a headers package and the one with what all configurations share."""
    environment = apt_environment(work, suite)

    def apt(*command: str) -> str:
        done = subprocess.run(
            command, cwd=work / "debs", env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    apt("apt-get", "update", "-qq")
    depends = apt("apt-cache", "depends", "--important", package)
    apt("apt-get", "download", "-qq", package, *re.findall(r"linux-headers-\S+-common", depends))
    return list((work / "debs").glob("*.deb"))


def last_line(text: str | None) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed((text or "").splitlines()) if line.strip()), "")


def apt_environment(work: Path, suite: str) -> dict[str, str]:
    """An apt of its own: one source, private lists and cache, nothing installed."""
    for name in ("no-parts", "lists/partial", "cache/archives/partial", "debs"):
        (work / name).mkdir(parents=True, exist_ok=True)
    archive = f"{MIRROR}-security" if suite.endswith("-security") else MIRROR
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {archive} {suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": work / "no-parts",
        "Dir::State::lists": work / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": work / "cache",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
        "Acquire::Retries": 3,
        "Acquire::http::Timeout": 30,
    }
    (work / "apt.conf").write_text("".join(f'{key} "{v}";\n' for key, v in settings.items()))
    return {**os.environ, "APT_CONFIG": str(work / "apt.conf"), "LC_ALL": "C"}


def apt_download(work: Path, suite: str, kernel: GuestKernel) -> list[Path]:
    """Download the image package that the kernel's package stands for, and its parts."""
    environment = apt_environment(work, suite)

    def apt(*command: str) -> str:
        done = subprocess.run(
            command, cwd=work / "debs", env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    apt("apt-get", "update", "-qq")
    depends = apt("apt-cache", "depends", "--important", kernel.package).split()
    wanted = re.compile(rf"linux-image-{re.escape(kernel.release_start)}\d")
    package = next(filter(wanted.match, depends), None)
    if package is None:
        reason = f"{kernel.package} is not {kernel.version} there"
        raise subprocess.CalledProcessError(1, "apt-cache", stderr=reason)
    parts = apt("apt-cache", "depends", "--important", package).split()
    split = [name for name in parts if re.match("linux-(base|binary|modules)-", name)]
    apt("apt-get", "download", "-qq", package, *split)
    return list((work / "debs").glob("*.deb"))


def unpack(packages: list[Path], root: Path) -> None:
    """Unpack the packages and index their modules, as their installation would."""

    def run(*command: str | Path) -> None:
        path = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        subprocess.run(command, env=path, check=True, capture_output=True, text=True)

    for package in packages:
        run("dpkg", "-x", package, root)
    for release in root.glob("usr/lib/modules/*"):  # since 7.0: merged /usr, image beside modules
        for place in ("boot", "lib/modules"):
            (root / place).mkdir(parents=True, exist_ok=True)
        (release / "vmlinuz").rename(root / "boot" / f"vmlinuz-{release.name}")
        release.rename(root / "lib" / "modules" / release.name)
    files = KernelFiles(root)
    run("depmod", "-b", root, files.release)

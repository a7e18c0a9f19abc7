"""A guest that is a whole Debian: systemd as first process, cgroup v2, containerd.

Its root file system is made once from the image's base, in build/vm; each boot begins with it as
it was made. A second disk has what a test brings, at /work, and room.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.image import base_archive
from tests.outcomes import unavailable
from tests.vm.harness import GuestResult, add_modules, boot
from tests.vm.initramfs import GUEST, Initramfs
from tests.vm.kernels import (
    CACHE,
    GuestKernel,
    KernelUnavailable,
    fetch,
    last_line,
    locked,
)

PACKAGES = (
    *("systemd-sysv", "dbus", "kmod", "iproute2", "openssl", "busybox-static", "libbpf1"),
    *("containerd", "runc", "containernetworking-plugins"),
    *("python3", "python3-grpcio", "python3-hypothesis", "python3-prometheus-client"),
    *("python3-pytest", "python3-pytest-timeout", "python3-yaml"),
)
MODULES = ("virtio_pci", "virtio_blk", "ext4", "overlay", "veth")
ROOT_MEGABYTES, WORK_MEGABYTES = 1536, 2048
SECONDS = 900
# The clock is what it is: a kernel that finds it unstable patches itself, which TCG gets wrong.
COMMAND_LINE = "tsc=reliable systemd.run=/work/run"


def run_debian(
    kernel: GuestKernel,
    command: list[str],
    files: Mapping[str, Path | bytes],
    *,
    memory_megabytes: int = 2048,
    timeout: float = 600,
) -> GuestResult:
    """Boot, run `command` when systemd is up, and return what it printed last, as JSON.

    `files` maps paths below /work to files, directories or bytes. Ends the test as unavailable
    when Debian's packages cannot be had; raises GuestError like `run_guest`.
    """
    try:
        unpacked, root = fetch(kernel), root_disk()
    except KernelUnavailable as error:
        unavailable(str(error))
    with tempfile.TemporaryDirectory(prefix="memtrace-guest-", dir="/var/tmp") as name:
        work = Path(name)
        image = Initramfs()
        for directory in ("proc", "dev", "root"):
            image.directory(directory)
        image.program(Path(shutil.which("busybox") or "busybox"), "/bin/busybox")
        image.link("/bin/sh", "busybox")
        image.data("/init", (GUEST / "init.debian").read_bytes(), 0o755)
        add_modules(image, unpacked, MODULES)
        image.write(work / "initramfs")
        (work / "root").symlink_to(root)
        write_work(work, {**files, "run": runner(command)})
        return boot(work, unpacked, memory_megabytes, timeout, COMMAND_LINE)


def runner(command: list[str]) -> bytes:
    """What systemd runs: the command, its status, and the end of the machine."""
    return (
        "#!/bin/sh\nstty -F /dev/ttyS1 raw\n"
        f"{shlex.join(command)} >/dev/ttyS1 2>/dev/console </dev/null\n"
        'echo "guest-exit $?" >/dev/ttyS1\nsync\nexec systemctl reboot -ff\n'
    ).encode()


def write_work(work: Path, files: Mapping[str, Path | bytes]) -> None:
    """The second disk, with these files on it."""
    staged = work / "staged"
    for path, content in files.items():
        target = staged / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
            target.chmod(0o755)
        else:  # as they are: layers of images have owners, and files that hide others
            _run("cp", "-a", str(content), str(target))
    make_ext4(work / "disk", WORK_MEGABYTES, staged)
    shutil.rmtree(staged)


def root_disk() -> Path:
    """The root file system, made unless it was; KernelUnavailable with the reason."""
    target = CACHE / "debian.ext4"
    with locked(CACHE):
        if not target.exists():
            tree = CACHE / "work" / "debian"
            shutil.rmtree(tree, ignore_errors=True)
            try:
                install(tree)
                make_ext4(target.with_suffix(".new"), ROOT_MEGABYTES, tree)
            except (OSError, subprocess.SubprocessError) as error:
                said = getattr(error, "stdout", None) or str(error)
                raise KernelUnavailable(f"no Debian for guests: {last_line(said)}") from None
            target.with_suffix(".new").rename(target)
            shutil.rmtree(tree)
    return target


def install(tree: Path) -> None:
    """Debian's smallest system, and what a node has."""
    tree.mkdir(parents=True)
    _run("tar", "-C", str(tree), "-xf", str(base_archive()))
    shutil.copy("/etc/resolv.conf", tree / "etc")
    apt = ("chroot", str(tree), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq")
    _run(*apt, "update", "-oAPT::Update::Error-Mode=any")
    _run(*apt, "install", "-y", "--no-install-recommends", "-oAPT::Sandbox::User=root", *PACKAGES)
    for unneeded in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(tree / unneeded)
    (tree / "work").mkdir()
    # Nothing of it starts by itself: tests start a containerd of their own.
    (tree / "etc/systemd/system/containerd.service").symlink_to("/dev/null")


def make_ext4(target: Path, megabytes: int, content: Path) -> None:
    """An ext4 with the files of a directory, in a sparse file."""
    with target.open("wb") as handle:
        handle.truncate(megabytes << 20)
    _run("mkfs.ext4", "-q", "-F", "-d", str(content), str(target))


def _run(*command: str) -> None:
    path = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    subprocess.run(
        command,
        env=path,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )

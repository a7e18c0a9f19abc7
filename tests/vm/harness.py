"""Boot a kernel in QEMU without KVM, run one Python script in it, return what it printed.

`run_guest(kernel, script)` is all a test needs. The script runs as root on a machine with
cgroup v2, ramfs on /ram, optionally ext4 on /disk, the agent on PYTHONPATH and libbpf.
The last line it prints on stdout is its result, as JSON; stderr goes to the console.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.outcomes import unavailable
from tests.vm.initramfs import Initramfs, base_image
from tests.vm.kernels import GuestKernel, KernelFiles, KernelUnavailable, fetch, module_bytes

QEMU = "qemu-system-x86_64"
# Without cx16, newer kernels do not use the instruction that TCG gets wrong under SMP.
MACHINE = ("-accel", "tcg,thread=multi", "-cpu", "max,-cx16", "-smp", "2")
CONSOLE_TAIL = 40


class GuestError(AssertionError):
    """The guest did not come to an end, or its script failed; holds the console's last lines."""

    def __init__(self, sentence: str, console: str) -> None:
        tail = "\n".join(console.splitlines()[-CONSOLE_TAIL:])
        super().__init__(f"{sentence}\n--- console ---\n{tail}")
        self.console = console


@dataclass(frozen=True)
class GuestResult:
    """What came back: the script's result, everything it printed, and the console."""

    json: Any
    stdout: str
    console: str


def run_guest(
    kernel: GuestKernel,
    script: Path | str,
    files: Mapping[str, Path | bytes] | None = None,
    *,
    arguments: Sequence[str] = (),
    modules: Sequence[str] = (),
    disk_megabytes: int = 0,
    memory_megabytes: int = 1024,
    timeout: float = 60,
) -> GuestResult:
    """Boot `kernel`, run `script` (a path, or the text itself) and return its result.

    `files` maps guest paths to host files, directories or bytes. `modules` are loaded
    with what they need. `disk_megabytes` gives the guest an empty ext4 on /disk. Ends the
    test as unavailable when the kernel cannot be had; raises GuestError after `timeout`
    seconds or when the script fails.
    """
    try:
        unpacked = fetch(kernel)
    except KernelUnavailable as error:
        unavailable(str(error))
    with tempfile.TemporaryDirectory(prefix="memtrace-guest-") as name:
        work = Path(name)
        image = base_image()
        add_script(image, script, arguments)
        add_files(image, files or {})
        drivers = ("virtio_pci", "virtio_blk") if disk_megabytes else ()
        add_modules(image, unpacked, [*modules, *drivers])
        image.write(work / "initramfs")
        if disk_megabytes:
            make_disk(work / "disk", disk_megabytes)
        return boot(work, unpacked, memory_megabytes, timeout)


def add_script(image: Initramfs, script: Path | str, arguments: Sequence[str]) -> None:
    """Put the script and the command that runs it where init looks for them."""
    text = script.read_text() if isinstance(script, Path) else script
    image.data("/guest/script.py", text.encode())
    image.data("/guest/command", shlex.join(["python3", "/guest/script.py", *arguments]).encode())


def add_files(image: Initramfs, files: Mapping[str, Path | bytes]) -> None:
    """Add a test's own files; a program brings its libraries."""
    for path, content in files.items():
        if isinstance(content, bytes):
            image.data(path, content, 0o755)
        elif content.is_dir():
            image.tree(content, path)
        else:
            image.program(content, path)


def add_modules(image: Initramfs, kernel: KernelFiles, names: Sequence[str]) -> None:
    """Add modules and the order in which init loads them."""
    paths = list(dict.fromkeys(path for name in names for path in kernel.module_files(name)))
    for path in paths:
        image.data(f"/modules/{path.name}", module_bytes(path))
    image.data("/modules/order", "\n".join(path.name for path in paths).encode())


def make_disk(path: Path, megabytes: int) -> None:
    """An empty ext4 in a sparse file."""
    with path.open("wb") as handle:
        handle.truncate(megabytes << 20)
    mkfs = shutil.which("mkfs.ext4") or "/usr/sbin/mkfs.ext4"
    subprocess.run([mkfs, "-q", "-F", path], check=True, capture_output=True)


def qemu_command(work: Path, kernel: KernelFiles, memory_megabytes: int, more: str) -> list[str]:
    """The whole machine: console and result are files, nothing reads stdin."""
    return [
        *(QEMU, *MACHINE, "-m", str(memory_megabytes), "-no-reboot", "-nodefaults"),
        *("-display", "none", "-nic", "none", *drives(work)),
        *("-serial", f"file:{work / 'console'}", "-serial", f"file:{work / 'result'}"),
        *("-kernel", str(kernel.image), "-initrd", str(work / "initramfs")),
        *("-append", f"console=ttyS0 panic=-1 quiet {more}"),
    ]


def drives(work: Path) -> list[str]:
    """Its disks; nothing is written to the one that other guests have, too."""
    options = "if=virtio,format=raw,cache=unsafe"
    shared = ["-drive", f"file={work / 'root'},{options},snapshot=on"]
    own = ["-drive", f"file={work / 'disk'},{options}"]
    return [
        *(shared if (work / "root").exists() else []),
        *(own if (work / "disk").exists() else []),
    ]


def boot(
    work: Path, kernel: KernelFiles, memory_megabytes: int, timeout: float, more: str = ""
) -> GuestResult:
    """Run the machine to its end and read what it left. `more` is for the kernel's command line."""
    command = qemu_command(work, kernel, memory_megabytes, more)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        sentence = f"guest {kernel.release} did not end within {timeout:g} s"
        raise GuestError(sentence, read(work / "console")) from None
    return result_of(read(work / "result"), read(work / "console") + done.stderr, kernel.release)


def read(path: Path) -> str:
    """A file of the guest's, which may be missing or cut in the middle of a character."""
    return path.read_text(errors="replace").replace("\r\n", "\n") if path.exists() else ""


def result_of(output: str, console: str, release: str) -> GuestResult:
    """Take the exit status off the output and decode its last line."""
    stdout, marker, status = output.rpartition("guest-exit ")
    if not marker:
        raise GuestError(f"guest {release} ended before its script did", console)
    if status.strip() != "0":
        raise GuestError(f"script ended with {status.strip()} on {release}\n{stdout}", console)
    lines = stdout.strip().splitlines()
    try:
        return GuestResult(json.loads(lines[-1] if lines else "null"), stdout, console)
    except json.JSONDecodeError:
        raise GuestError(f"script's last line is no JSON: {lines[-1]}", console) from None

"""The guest's file system: busybox, this Python, libbpf and the agent, as a cpio archive.

Files keep their host paths, so what works here works there. Everything is read, nothing
is staged on disk. What the guest does with it is guest/init's business.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUEST = Path(__file__).parent / "guest"

DIRECTORIES = ("dev", "proc", "sys", "tmp", "run", "root", "etc", "ram", "disk", "guest")
LIBRARIES = ("libbpf.so.1", "libgcc_s.so.1")  # the second: what ends a thread
PACKAGES: tuple[str, ...] = ()  # of the virtual environment: what the agent imports

# Parts of the standard library that no agent needs, and that are large or bring libraries.
LEFT_OUT = re.compile(
    r"/(test|tests|idlelib|tkinter|turtledemo|lib2to3|ensurepip|distutils|pydoc_data|"
    r"(dist|site)-packages|config-[^/]*)(/|$)|/(_ssl|_hashlib|_curses|_tkinter|_gdbm|_dbm|nis|"
    r"readline|_test[^/]*|_xx[^/]*|xx[^/]*)[^/]*\.so$|\.a$"
)


class Initramfs:
    """Collects files by guest path and writes them as one newc cpio archive."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[int, float, bytes]] = {}

    def directory(self, path: str) -> None:
        """Add a directory and the ones above it."""
        parts = Path(path.strip("/")).parts
        for count in range(1, len(parts) + 1):
            self._entries.setdefault("/".join(parts[:count]), (stat.S_IFDIR | 0o755, 0, b""))

    def data(self, path: str, content: bytes, mode: int = 0o644, mtime: float = 0) -> None:
        """Add a file with this content."""
        self.directory(str(Path(path).parent))
        self._entries[path.strip("/")] = (stat.S_IFREG | mode, mtime, content)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self.directory(str(Path(path).parent))
        self._entries[path.strip("/")] = (stat.S_IFLNK | 0o777, 0, target.encode())

    def file(self, source: Path, path: str | None = None) -> None:
        """Add a file of the host, at its own path unless told otherwise."""
        status = source.stat()
        content = source.read_bytes()
        self.data(path or str(source.absolute()), content, status.st_mode & 0o777, status.st_mtime)

    def tree(self, source: Path, path: str | None = None) -> None:
        """Add a directory of the host with everything below it that is not left out."""
        base = path or str(source.absolute())
        for found in walk(source):
            self.file(found, f"{base}/{found.relative_to(source)}")

    def program(self, source: Path, path: str | None = None) -> None:
        """Add a program or library with the libraries it is linked to."""
        self.file(source, path)
        for library in linked_libraries([source]):
            self.file(library)

    def libraries_of(self, paths: Iterable[Path]) -> None:
        """Add what these libraries are linked to."""
        for library in linked_libraries(paths):
            self.file(library)

    def write(self, target: Path) -> None:
        """Write the archive; directories come before what they hold."""
        with target.open("wb") as output:
            for number, (name, entry) in enumerate(sorted(self._entries.items()), start=1):
                output.write(record(number, name, *entry))
            output.write(record(0, "TRAILER!!!", 0, 0, b""))


def record(number: int, name: str, mode: int, mtime: float, content: bytes) -> bytes:
    """One entry of a newc archive: header, name and content, each padded to four bytes."""
    raw = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, int(mtime), len(content), 0, 0, 0, 0, len(raw), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + raw
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def walk(directory: Path) -> Iterator[Path]:
    """Every file below a directory, without what is left out; where that one is does not count."""
    for path, folders, names in os.walk(directory):
        below = path.removeprefix(str(directory))
        folders[:] = [name for name in folders if not LEFT_OUT.search(f"{below}/{name}")]
        for name in names:
            if not LEFT_OUT.search(f"{below}/{name}") and (Path(path) / name).is_file():
                yield Path(path) / name


def linked_libraries(paths: Iterable[Path]) -> set[Path]:
    """What the dynamic linker would load for these files, the linker itself included."""
    done = subprocess.run(["ldd", *paths], capture_output=True, text=True, check=False)
    return {Path(path) for path in re.findall(r"^\t(?:.* => )?(/\S+) \(0x", done.stdout, re.M)}


def library(name: str) -> Path:
    """Where the dynamic linker finds a library by its soname."""
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True)
    found = re.search(rf"^\t{re.escape(name)} .* => (\S+)$", listing.stdout, re.MULTILINE)
    if found is None:
        raise FileNotFoundError(name)
    return Path(found[1])


def add_python(image: Initramfs) -> Path:
    """Add the interpreter of this run and its standard library; returns the interpreter."""
    interpreter = Path(os.path.realpath(sys.executable))
    standard = Path(sysconfig.get_path("stdlib"))
    image.program(interpreter)
    image.tree(standard)
    extensions = [path for path in walk(standard) if path.suffix == ".so"]
    image.libraries_of(extensions)
    return interpreter


def add_agent(image: Initramfs) -> None:
    """Add the package with its BPF objects, and the packages it imports."""
    image.tree(ROOT / "agent" / "memtrace", "/agent/memtrace")
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            image.tree(Path(spec.origin).parent, f"/packages/{name}")


def base_image() -> Initramfs:
    """What every guest has, before a test adds its script, files and modules."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise FileNotFoundError("busybox")
    image = Initramfs()
    for name in DIRECTORIES:
        image.directory(name)
    image.program(Path(busybox), "/bin/busybox")
    image.link("/bin/sh", "busybox")
    image.link("/bin/python3", str(add_python(image)))
    for name in LIBRARIES:
        image.program(library(name))
    add_agent(image)
    image.data("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    image.data("/etc/group", b"root:x:0:\n")
    image.data("/init", (GUEST / "init").read_bytes(), 0o755)
    return image

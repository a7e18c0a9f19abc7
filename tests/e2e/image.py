"""The image of deploy/Dockerfile, built for real: podman, on a Debian made with debootstrap.

No registry is asked: the base carries the name the Dockerfile's FROM has, and lacks what the
real one lacks (manuals, translations). Kept in build/image: the base, podman's layers (about
1.2 GB), and the image as an archive under a name that tells what it was made from.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.runtimes import needed
from tests.outcomes import unavailable
from tests.vm.kernels import MIRROR, last_line, locked

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "image"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
NAME = "localhost/memtrace:latest"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LARGEST_STORE = 4 << 30
_UNWANTED = ("man", "info", "locale", "doc")
_SECONDS = 600
# What of the host goes into the build, and stays out of the image: whom pip may trust.
_PIP = "/root/.config/pip"


def image_archive() -> Path:
    """The image as `docker load` takes it; built unless it was, from these very sources."""
    needed("podman", "debootstrap", "runc")
    target = CACHE / f"memtrace-{_sources()}.tar"
    with locked(CACHE):
        if not target.exists():
            for old in CACHE.glob("memtrace-*.tar"):
                old.unlink()
            try:
                _build(target)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                said = error.stderr or error.output or b""
                _give_up(said.decode(errors="replace"))
    return target


def unpack(archive: Path, below: str, target: Path) -> None:
    """What the image has below a directory, e.g. "opt/memtrace", as `target`/opt/memtrace."""
    with tarfile.open(archive) as image:
        manifest = image.extractfile("manifest.json")
        assert manifest is not None
        for name in json.load(manifest)[0]["Layers"]:
            with tarfile.open(fileobj=image.extractfile(name)) as layer:
                wanted = [each for each in layer if each.name.startswith(f"{below}/")]
                layer.extraction_filter = lambda member, _: member  # links to /usr/bin are meant
                layer.extractall(target, wanted)


def image_bytes() -> int:
    """The size of all the image's layers, unpacked."""
    return int(_podman("image", "inspect", "--format", "{{.Size}}", NAME))


def run_in_image(*command: str) -> str:
    """What a shell command in the image's file system prints; nothing is started as a container."""
    mounted = _podman("image", "mount", NAME).strip()
    try:
        done = subprocess.run(
            ["chroot", mounted, *command], capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout
    finally:
        _podman("image", "umount", NAME)


def _give_up(said: str) -> None:
    """No network is unavailable, anything else a failure."""
    if re.search("Could not resolve|Temporary failure|Couldn't download|Connection", said):
        unavailable(f"the image's packages could not be downloaded: {last_line(said)}")
    raise AssertionError(said[-4000:])


def _build(target: Path) -> None:
    if _size(CACHE / "store") > LARGEST_STORE:
        shutil.rmtree(CACHE / "store")
    base = _base_name()
    if not _podman("images", "--quiet", base).strip():
        _podman("import", str(base_archive()), base)
    trust = CACHE / "pip"
    trust.mkdir(exist_ok=True)
    (trust / "pip.conf").write_text(f"[global]\ncert = {_PIP}/certificates\n")
    shutil.copy(CERTIFICATES, trust / "certificates")
    how = ["--isolation", "chroot", "--network", "host", "--pull=never", "--layers"]
    how += ["--volume", f"{trust}:{_PIP}:ro", "--file", str(DOCKERFILE), "--tag", NAME]
    _podman("build", *how, str(ROOT))
    unfinished = target.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    _podman("save", "--format", "docker-archive", "--output", str(unfinished), NAME)
    unfinished.rename(target)


def _base_name() -> str:
    (name,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    return f"docker.io/library/{name}"


def base_archive() -> Path:
    """The smallest Debian of the suite in the base's name, as an archive."""
    name = _base_name()
    archive = CACHE / f"{name.rpartition('/')[2].replace(':', '-')}.tar"
    if not archive.exists():
        suite = name.rpartition(":")[2].removesuffix("-slim")
        tree = CACHE / "base"
        shutil.rmtree(tree, ignore_errors=True)
        _run("debootstrap", "--variant=minbase", suite, str(tree), MIRROR)
        _slim(tree)
        _run("tar", "-C", str(tree), "-cf", str(archive.with_suffix(".new")), ".")
        archive.with_suffix(".new").rename(archive)
        shutil.rmtree(tree)
    return archive


def _slim(tree: Path) -> None:
    """Without what Debian's own images leave out, now and in packages to come."""
    rules = "".join(f"path-exclude /usr/share/{name}/*\n" for name in _UNWANTED)
    (tree / "etc/dpkg/dpkg.cfg.d/docker").write_text(rules)
    for path in [tree / "usr/share" / name for name in _UNWANTED] + [
        *(tree / "var/cache/apt/archives", tree / "var/lib/apt/lists")
    ]:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    (tree / "var/cache/apt/archives/partial").mkdir()
    (tree / "var/lib/apt/lists/partial").mkdir()


def _sources() -> str:
    """A digest of what the Dockerfile copies, and of itself."""
    digest = hashlib.sha256(DOCKERFILE.read_bytes())
    for line in DOCKERFILE.read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for name in line.split()[1:-1]:
                for path in _files(ROOT / name):
                    digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for found in sorted(path.rglob("*")):
        if found.is_file() and found.suffix not in (".pyc", ".o"):
            yield found


def _size(directory: Path) -> int:
    paths = (os.path.join(where, name) for where, _, names in os.walk(directory) for name in names)
    return sum(os.lstat(path).st_size for path in paths)


def _podman(*arguments: str) -> str:
    places = ["--root", str(CACHE / "store"), "--runroot", str(CACHE / "run")]
    places += ["--tmpdir", str(CACHE / "tmp"), "--runtime", "runc"]
    how = ["--cgroup-manager", "cgroupfs", "--events-backend", "none"]
    return _run("podman", *places, *how, *arguments)


def _run(*command: str) -> str:
    path = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    done = subprocess.run(command, env=path, check=True, capture_output=True, timeout=_SECONDS)
    return done.stdout.decode()

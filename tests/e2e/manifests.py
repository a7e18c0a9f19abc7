"""The manifests as a cluster would get them: written by Debian's kustomize, read as objects."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.outcomes import unavailable
from tests.vm.kernels import apt_environment, last_line, locked

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
CACHE = ROOT / "build" / "kustomize"
SUITE = "trixie"  # bookworm has none; its libraries will do


def variants() -> list[Path]:
    """Everything one can apply: the base and the overlays."""
    return [KUBERNETES / "base", *sorted((KUBERNETES / "overlays").iterdir())]


def rendered(directory: Path) -> list[dict[str, Any]]:
    """The objects of a kustomization, in the order in which they are applied."""
    done = subprocess.run(
        [kustomize(), "build", directory], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


def kustomize() -> Path:
    """The one on this machine, or Debian's, downloaded once."""
    installed = shutil.which("kustomize")
    if installed:
        return Path(installed)
    program = CACHE / "usr" / "bin" / "kustomize"
    with locked(CACHE):
        if not program.exists():
            try:
                _download()
            except (OSError, subprocess.CalledProcessError) as error:
                reason = last_line(getattr(error, "stderr", None)) or str(error)
                unavailable(f"kustomize could not be downloaded: {reason}")
    return program


def _download() -> None:
    environment = apt_environment(CACHE / "apt", SUITE)
    where = CACHE / "apt" / "debs"
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "download", "-qq", "kustomize"],
        ["sh", "-c", f"dpkg -x kustomize_*.deb {CACHE}"],
    ):
        subprocess.run(
            command, cwd=where, env=environment, check=True, capture_output=True, text=True
        )
    shutil.rmtree(CACHE / "apt")

"""An apt with a root of its own: a repository on loopback, and the real apt-get, http and dpkg.

Neither the network nor this machine's packages, lists, hooks and settings are touched.
"""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PACKAGE = "memtrace-test-big"
CONTROL = f"""\
Package: {PACKAGE}
Version: 1
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: one large file
"""
STATE = (
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "etc/apt/sources.list.d",
    "etc/apt/trusted.gpg.d",
    "var/cache/apt/archives/partial",
    "var/lib/apt/lists/partial",
    "var/lib/dpkg/info",
    "var/lib/dpkg/triggers",
    "var/lib/dpkg/updates",
    "var/log/apt",
)


class _Silent(SimpleHTTPRequestHandler):
    """Serves files, and does not report each of them."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def write_repository(tree: Path, target: Path) -> None:
    """Make the files below `tree` the only package of a repository."""
    target.mkdir()
    control = tree / "DEBIAN" / "control"
    control.parent.mkdir()
    control.write_text(CONTROL)
    package = target / f"{PACKAGE}_1_all.deb"
    subprocess.run(["dpkg-deb", "-Znone", "-b", tree, package], check=True, capture_output=True)
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    facts = f"Filename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n"
    (target / "Packages").write_text(CONTROL + facts)


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve a directory on loopback; yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=directory))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def write_root(root: Path, address: str) -> Path:
    """Prepare an empty system below `root` that installs from `address`; return APT_CONFIG."""
    for name in STATE:
        (root / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] {address} ./\n")
    settings = {
        "Dir": root,
        "DPkg::Options::": f"--root={root}",
        "APT::Sandbox::User": "root",
        "Acquire::http::Proxy": "DIRECT",
        "Acquire::Languages": "none",
    }
    config = root / "apt.conf"
    config.write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
    return config

"""Hatchling build hook: put the compiled BPF objects into the wheel.

Compiles when clang is there; otherwise ships the objects that came with the source
archive. How to compile is tools/build_bpf.py's business, not this file's.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def load_builder(root: Path) -> ModuleType:
    """Import tools/build_bpf.py by path: tools/ is not a package and is not installed."""
    spec = importlib.util.spec_from_file_location("build_bpf", root / "tools" / "build_bpf.py")
    if spec is None or spec.loader is None:
        raise RuntimeError("tools/build_bpf.py is missing from this source tree")
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_bpf"] = module
    spec.loader.exec_module(module)
    return module


class BpfBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compile bpf/ before hatchling collects the files of a wheel or source archive."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, or check that prebuilt objects are there; tag wheels with the machine."""
        if version == "editable" and os.environ.get("MEMTRACE_SKIP_BPF"):
            return
        root = Path(self.root)
        builder = load_builder(root)
        builder.ship_sources(root)
        if builder.tool("clang") and builder.tool("llvm-strip"):
            builder.build_all(root)
        else:
            self._require_prebuilt(root, builder)
        if self.target_name == "wheel" and version != "editable":
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-linux_{platform.machine()}"

    @staticmethod
    def _require_prebuilt(root: Path, builder: ModuleType) -> None:
        missing = [
            str(target)
            for target in map(builder.object_for, builder.sources(root))
            if not (root / target).exists()
        ]
        if missing:
            raise RuntimeError(
                f"clang and llvm-strip are not installed and {', '.join(missing)} was not prebuilt:"
                " install clang and llvm, or build from the source archive of a release"
            )

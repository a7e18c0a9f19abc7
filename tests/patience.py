"""How many times longer than usual things may take where tests run: an emulated machine is slow."""

from __future__ import annotations

import os

PATIENCE = float(os.environ.get("MEMTRACE_PATIENCE", "1"))

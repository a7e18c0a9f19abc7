"""One line of `memtrace doctor`: what was checked, what it costs to lack it, how to get it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "off", "missing"]


@dataclass(frozen=True, slots=True)
class Check:
    """`status` ok, off (works, but switched off) or missing; `costs` is what is lost without it.

    `required` tells whether memtrace can start at all without it.
    """

    name: str
    status: Status
    detail: str = ""
    costs: str = ""
    remedy: str = ""
    required: bool = False

"""Logs through structlog: one event a line, JSON unless a person reads them on a terminal.

Goes to standard error. What comes from outside (paths, names) is escaped by JSON, and by
`repr` on a terminal: no control character reaches it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from memtrace.service.without import without

with without("rich", "ssl"):  # 10 MB: colours for tracebacks; TLS for asyncio, which it imports
    import structlog


def start_logging(log_format: str, level: str, clean: Callable[[str], str]) -> Any:
    """Set logging up and return the agent's logger. `clean` makes text fit for a terminal."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    last: Any = structlog.processors.JSONRenderer(default=str)
    if not as_json:
        last = _console(clean)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger()


def _console(clean: Callable[[str], str]) -> Callable[[Any, str, dict[str, Any]], str]:
    def render(_logger: Any, _method: str, event: dict[str, Any]) -> str:
        time, level = event.pop("time"), event.pop("level")
        words = [f"{key}={value!s}" for key, value in event.items() if key != "event"]
        return clean(f"{time} {level:<7} {event['event']}  {' '.join(words)}".rstrip())

    return render


class _Lines:
    """Writes one line at a time; a reader that left or a full disk must not end the agent."""

    def __init__(self, *_: Any) -> None:
        self.lost = 0

    def msg(self, line: str) -> None:
        try:
            sys.stderr.write(line.encode("ascii", "backslashreplace").decode() + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            self.lost += 1

    debug = info = warning = error = critical = msg

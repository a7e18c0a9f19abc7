"""What the agent is told: one flat table of settings, from a TOML file and then from flags.

A setting means the same in the file (`state_dir`) and as a flag (`--state-dir`).
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

LARGEST_FILE = 1 << 20
ENGINES = ("auto", "libbpf", "bcc")
LOG_FORMATS = ("auto", "json", "console")
LOG_LEVELS = ("debug", "info", "warning", "error")
NOWHERE = "none"
MOST_FILES = 20


class SettingsError(Exception):
    """A setting is wrong: one sentence that names it and says what it may be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `memtrace agent` can be told. `listen`: HOST:PORT, or "none"."""

    interval: float = 1.0  # seconds between samples
    listen: str = "127.0.0.1:9435"
    state_dir: Path = Path("/var/lib/memtrace")
    oom_dir: Path = Path("/var/log/memtrace/oom")
    history_hours: float = 24.0
    history_megabytes: float = 256.0
    budget_megabytes: float = 96.0  # the agent's own resident memory; beyond it, it tidies up
    root: Path = Path("/")
    engine: str = "auto"
    metrics_files: int = 0  # how many of its largest files each container has in /metrics
    baseline: bool = True
    kubernetes_events: bool = False
    log_format: str = "auto"
    log_level: str = "info"


def read_settings(file: Path | None, flags: Mapping[str, Any]) -> Settings:
    """Defaults, over them the file, over that the flags that were given. Raises SettingsError."""
    given = {} if file is None else _parse(file)
    settings = _apply(Settings(), given, f"{file}: ")
    return _apply(settings, flags, "")


def address(listen: str) -> tuple[str, int] | None:
    """Host and port of HOST:PORT or [IPv6]:PORT; None for "none". Raises SettingsError."""
    if listen == NOWHERE:
        return None
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise SettingsError(
            f"listen: '{listen}' is not HOST:PORT, such as 127.0.0.1:9435 or [::1]:9435, or none"
        )
    return host, int(port)


def _parse(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise SettingsError(f"{file} is larger than any settings; is it the right file?")
        return tomllib.loads(content.decode())
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # of TOML, or of UTF-8
        raise SettingsError(f"{file} is not TOML: {error}") from error


def _apply(settings: Settings, given: Mapping[str, Any], where: str) -> Settings:
    known = [field.name for field in fields(Settings)]
    changes = {}
    for name, value in given.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise SettingsError(f"{where}there is no setting '{name}'; {hint}")
        try:
            changes[name] = _CHECKS[name](value)
        except SettingsError as error:
            raise SettingsError(f"{where}{error}") from None
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{where}{name} must be {error}, not {value!r}") from None
    return replace(settings, **changes)


def _seconds(value: Any) -> float:
    return _number(value, 0.1, 3600, "seconds from 0.1 to 3600")


def _size(value: Any) -> float:
    return _number(value, 1, 1 << 20, "a number from 1 up")


def _hours(value: Any) -> float:
    return _number(value, 0.01, 24 * 366, "hours from 0.01 to 8784")


def _number(value: Any, least: float, most: float, meaning: str) -> float:
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not least <= number <= most:
        raise ValueError(meaning)
    return float(number)


def _files(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_FILES:
        raise ValueError(f"a number from 0 to {MOST_FILES}")
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, (str, Path)) or not str(value) or "\0" in str(value):
        raise ValueError("a path")
    return Path(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _listen(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("HOST:PORT or none")
    address(value)
    return value


def _one_of(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)

    return check


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "interval": _seconds,
    "listen": _listen,
    "state_dir": _path,
    "oom_dir": _path,
    "history_hours": _hours,
    "history_megabytes": _size,
    "budget_megabytes": _size,
    "root": _path,
    "engine": _one_of(*ENGINES),
    "metrics_files": _files,
    "baseline": _flag,
    "kubernetes_events": _flag,
    "log_format": _one_of(*LOG_FORMATS),
    "log_level": _one_of(*LOG_LEVELS),
}

"""Amounts of bytes in words, for claims and for every screen. Does not align or colour."""

from __future__ import annotations

_LONG = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SHORT = ("B", "K", "M", "G", "T", "P", "E")


def size(amount: int | None) -> str:
    """Binary units with the unit spelled out ("1.2 GiB"); a dash when unknown."""
    return "-" if amount is None else " ".join(_scaled(amount, _LONG))


def short_size(amount: int | None) -> str:
    """At most six characters ("1.2G" is GiB, "-340M"); a dash when unknown."""
    if amount is None:
        return "-"
    number, unit = _scaled(amount, _SHORT)
    return number + unit


def signed_size(amount: int | None) -> str:
    """As short_size, with a plus sign for growth."""
    return f"+{short_size(amount)}" if amount is not None and amount > 0 else short_size(amount)


def percent(part: int | None, whole: int | None) -> str:
    """A whole percentage; a dash when either side is unknown or there is no whole."""
    if part is None or not whole:
        return "-"
    return f"{round(100 * part / whole)}%"


def _scaled(amount: int, units: tuple[str, ...]) -> tuple[str, str]:
    value, step = float(abs(amount)), 0
    while value >= 999.5 and step < len(units) - 1:
        value, step = value / 1024, step + 1
    digits = 1 if step and value < 9.95 else 0
    return f"{'-' if amount < 0 else ''}{value:.{digits}f}", units[step]


def clock(seconds: float) -> str:
    """Return a length of time as 0:07, 12:34 or 1:02:03, to the nearest second."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

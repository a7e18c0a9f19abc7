"""Units of systemd, told by the last part of the path alone. Asks nobody over D-Bus."""

from __future__ import annotations

import re

from memtrace.samples import Identity

_UNIT = re.compile(r"[^/\0]{1,248}\.(?:service|scope|slice|mount|socket|swap)")
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


class Systemd:
    """Gives every unit its name, unescaped."""

    name = "systemd"

    def identify(self, cgroup_path: str) -> Identity | None:
        """The unit whose cgroup this is, or None."""
        last = cgroup_path.rpartition("/")[2]
        if _UNIT.fullmatch(last) is None:
            return None
        return Identity("unit", unescape(last), runtime="systemd", resolved_by=self.name)


def unescape(unit: str) -> str:
    r"""A unit name with \x2d and the like undone (systemd-escape(1)).

    A name that would then hold control or undecodable characters is left as it is.
    """
    raw = unit.encode("utf-8", "surrogateescape")
    plain = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), raw)
    text = plain.decode("utf-8", "replace")
    return text if text.isprintable() and "�" not in text else unit

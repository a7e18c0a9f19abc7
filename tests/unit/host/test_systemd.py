"""Names of systemd's units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host.runtimes.systemd import Systemd, unescape
from memtrace.samples import Identity


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/system.slice/nginx.service", "nginx.service"),
        ("/system.slice", "system.slice"),
        ("/init.scope", "init.scope"),
        ("/system.slice/var-lib-my\\x2dapp.mount", "var-lib-my-app.mount"),
        ("/user.slice/user-0.slice/user@0.service/app.slice/caf\\xc3\\xa9.service", "café.service"),
    ],
)
def test_a_unit_is_named_by_its_last_part(path: str, name: str) -> None:
    """With escapes undone."""
    assert Systemd().identify(path) == Identity(
        "unit", name, runtime="systemd", resolved_by="systemd"
    )


@pytest.mark.parametrize("path", ["/", "", "/a", "/a.service/b", "/.slice", "/service"])
def test_other_cgroups_are_no_units(path: str) -> None:
    """The ending decides."""
    assert Systemd().identify(path) is None


@pytest.mark.parametrize("unit", ["a\\x1b[31m.service", "a\\xff.service", "a\\x0a.service"])
def test_an_escape_that_hides_a_control_character_stays_escaped(unit: str) -> None:
    """Names end up on terminals."""
    assert unescape(unit) == unit


@given(st.text(max_size=80) | st.from_regex(r"(\\x[0-9a-f]{2}|.)*\.service"))
def test_any_name_unescapes_to_something(name: str) -> None:
    """Never raises, and adds nothing unprintable."""
    assert unescape(name) == name or unescape(name).isprintable()
    Systemd().identify("/" + name)

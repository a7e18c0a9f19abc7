"""Settings: defaults, the file over them, flags over that; what is wrong is named."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.service.settings import Settings, SettingsError, address, read_settings


def test_nothing_given_is_the_defaults() -> None:
    """An agent without a word of configuration runs."""
    assert read_settings(None, {}) == Settings()


def test_a_flag_wins_over_the_file(tmp_path: Path) -> None:
    """And the file over the default."""
    file = tmp_path / "memtrace.toml"
    file.write_text('interval = 5\nlisten = "[::1]:1"\nbaseline = false\n')
    settings = read_settings(file, {"interval": 2.0, "state_dir": "/state"})
    assert settings == Settings(2.0, "[::1]:1", Path("/state"), baseline=False)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("intervall = 1", "did you mean interval?"),
        ("what = 1", "there are interval, listen"),
        ("interval = true", "interval must be seconds from 0.1 to 3600, not True"),
        ("interval = nan", "interval must be seconds"),
        ("interval = 0.01", "interval must be seconds"),
        ('baseline = "no"', "baseline must be true or false"),
        ("state_dir = ''", "state_dir must be a path"),
        ('state_dir = "a\\u0000b"', "state_dir must be a path"),
        ("listen = 1", "listen must be HOST:PORT or none"),
        ("listen = 'x:99999'", "'x:99999' is not HOST:PORT"),
        ("engine = 'gcc'", "engine must be one of auto, libbpf, bcc"),
        ("interval = [1]", "interval must be seconds"),
        ("interval", "is not TOML"),
        ("\xff", "is not TOML"),
        ("a=" + "[" * 5000, "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    """The file, the setting, and what it may be."""
    file = tmp_path / "memtrace.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=named.replace("?", r"\?")) as caught:
        read_settings(file, {})
    assert str(caught.value).startswith(str(file))


def test_a_file_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    """A sentence, never a traceback."""
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_settings(tmp_path / "none", {})
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        read_settings(tmp_path, {})
    (tmp_path / "large").write_text("#" * (1 << 21))
    with pytest.raises(SettingsError, match="larger than any settings"):
        read_settings(tmp_path / "large", {})


@given(st.binary(max_size=200))
def test_any_bytes_are_settings_or_refused(tmp_path_factory: Any, content: bytes) -> None:
    """Nothing else happens."""
    file = tmp_path_factory.mktemp("any") / "memtrace.toml"
    file.write_bytes(content)
    with contextlib.suppress(SettingsError):
        read_settings(file, {})


@pytest.mark.parametrize(
    ("text", "where"),
    [("127.0.0.1:9435", ("127.0.0.1", 9435)), ("[::1]:0", ("::1", 0)), ("none", None)],
)
def test_where_to_listen(text: str, where: tuple[str, int] | None) -> None:
    """IPv6 in brackets, none for nowhere."""
    assert address(text) == where


@pytest.mark.parametrize("value", [-1, 21, True, 2.0, "2"])
def test_files_in_the_metrics_are_few(value: object) -> None:
    """Each is a series of its own."""
    with pytest.raises(SettingsError, match="metrics_files must be a number from 0 to 20"):
        read_settings(None, {"metrics_files": value})

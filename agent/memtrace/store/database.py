"""The SQLite file of a recording: its tables, how it is opened, and what is no recording of ours.

Knows nothing of what the pieces hold.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from memtrace.store.errors import StoreError, UnusableError
from memtrace.store.segments import LARGEST_PIECE

APPLICATION = 0x6D747263  # "mtrc", in the header of the file
SCHEMA = 1
"""Raised when an older memtrace would misread what a newer one writes; new fields do not."""

TABLES = {
    # One process' writing from its start to its end, with the names of the fields it writes.
    "runs": "CREATE TABLE runs (run INTEGER PRIMARY KEY, boot TEXT NOT NULL, fields TEXT NOT NULL)",
    # `segment` is the number of the segment's first moment; `position` are seconds from the start.
    "moments": (
        "CREATE TABLE moments (number INTEGER PRIMARY KEY, segment INTEGER NOT NULL, "
        "run INTEGER NOT NULL, time REAL NOT NULL, monotonic REAL NOT NULL, "
        "position REAL NOT NULL)"
    ),
    "pieces": "CREATE TABLE pieces (number INTEGER PRIMARY KEY, piece BLOB NOT NULL)",
}
COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a file while it is written."""

_CACHE_KIB = 512
_BUSY_SECONDS = 2.0


@contextmanager
def sentences(path: Path, doing: str) -> Iterator[None]:
    """Turn SQLite's errors into StoreErrors."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_NOTADB":
            raise UnusableError(f"{path} is no recording of memtrace.") from error
        kind = UnusableError if name.startswith("SQLITE_CORRUPT") else StoreError
        raise kind(f"{doing} {path} failed: {error}.") from error
    except UnicodeDecodeError as error:  # in SQLite's complaint about a damaged table
        raise UnusableError(f"{path} is damaged.") from error


def refuse_existing(path: Path) -> None:
    """Raise StoreError if something is there already, or where SQLite keeps its own."""
    for each in (path, *(Path(f"{path}{more}") for more in COMPANIONS)):
        if os.path.lexists(each):
            raise StoreError(f"{each} exists already; remove it or give another name.")


def remove(path: Path, parts: Sequence[str] = ("", *COMPANIONS)) -> None:
    """Remove a recording, or some parts of it, as far as that goes."""
    for more in parts:
        with suppress(OSError):
            os.unlink(f"{path}{more}")


def make(path: Path) -> sqlite3.Connection:
    """Make an empty recording where nothing is, readable by its owner only. Raises StoreError.

    Whole or not at all: half a recording would look like a damaged one.
    """
    refuse_existing(path)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}.") from error
    connection = None
    try:
        with sentences(path, "writing"):
            connection = _connect(path, "mode=rw")
            _lay_out(connection)
            return connection
    except BaseException:
        if connection is not None:
            connection.close()
        remove(path)
        raise


def _lay_out(connection: sqlite3.Connection) -> None:
    _prepare(connection)
    connection.execute("BEGIN")
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    for statement in TABLES.values():
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
    connection.execute("COMMIT")


def resume(path: Path) -> sqlite3.Connection:
    """Open a recording to write on. Raises StoreError."""
    _check_file(path)
    with sentences(path, "opening"):
        connection = _checked(path, "mode=rw")
        _prepare(connection)
        return connection


def read(path: Path) -> sqlite3.Connection:
    """Open a recording to read, also while it is being written. Raises StoreError."""
    _check_file(path)
    with sentences(path, "opening"):
        try:
            return _checked(path, "mode=ro")
        except sqlite3.OperationalError as error:
            # What belongs beside the file can neither be found nor made: a read-only disk.
            if not error.sqlite_errorname.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
                raise
            return _checked(path, "mode=ro&immutable=1")


def _check_file(path: Path) -> None:
    """Raise StoreError where SQLite would be vague, or wait.

    The file is not opened for that: closing it would drop the locks that SQLite holds on it in
    this process (POSIX).
    """
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from error
    if not is_file:
        raise UnusableError(f"{path} is no recording of memtrace.")
    if not os.access(path, os.R_OK):
        raise StoreError(f"{path} cannot be read: {os.strerror(errno.EACCES)}.")


def _checked(path: Path, how: str) -> sqlite3.Connection:
    connection = _connect(path, how)
    try:
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError unless the file is a recording that this memtrace understands."""
    if _pragma(connection, "application_id") != APPLICATION:
        raise UnusableError(f"{path} is no recording of memtrace.")
    schema = _pragma(connection, "user_version")
    if schema > SCHEMA:
        raise UnusableError(
            f"{path} was recorded by a newer memtrace (schema {schema}; this one reads up to "
            f"{SCHEMA}); upgrade memtrace to look at it."
        )
    # Views, triggers and the like are SQL of whoever made the file: none of it is run.
    found = connection.execute("SELECT name, sql FROM sqlite_master LIMIT 9").fetchall()
    if len(found) != len(TABLES) or dict(found) != TABLES or schema != SCHEMA:
        raise UnusableError(f"{path} is no recording of memtrace, or damaged.")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value if isinstance(value, int) else -1


def _connect(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_PIECE + (1 << 20))
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Make writing safe and cheap.

    Write-ahead log: readers never stop the writer, and a kill loses at most what was not
    committed. synchronous=NORMAL: it is synced to disk at each checkpoint, not at each commit,
    so that a power cut loses what was written since then and damages nothing. Checkpoints are
    the writer's.
    """
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")

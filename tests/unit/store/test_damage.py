"""Recordings made by somebody who means harm, or by a bad disk: a StoreError, and nothing else."""

from __future__ import annotations

import resource
import sqlite3
import zlib
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from memtrace.model.modeler import Modeler
from memtrace.store import segments
from memtrace.store.encoding import lines
from memtrace.store.errors import StoreError
from memtrace.store.layout import field_names
from memtrace.store.reader import Recording
from memtrace.store.segments import SegmentReader
from memtrace.store.writer import Writer
from memtrace.views.json import Renderer
from tests.unit.store.generated import sequence
from tests.unit.store.test_recording import at, read, write


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a recording."""
    path = tmp_path_factory.mktemp("whole") / "r"
    write(path, [at(number) for number in range(130)])
    return path.read_bytes()


def used(path: Path) -> None:
    """Read and show everything."""
    modeler, renderer = Modeler(), Renderer()
    for sample in read(path):
        renderer.render(modeler.snapshot(sample))


def _flipped(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 3, 30))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("seed", range(80))
def test_flipped_bits_are_noticed_or_harmless(whole: bytes, tmp_path: Path, seed: int) -> None:
    """Anywhere in the file."""
    (tmp_path / "r").write_bytes(_flipped(whole, Random(seed)))
    with suppress(StoreError):
        used(tmp_path / "r")


@pytest.mark.parametrize("part", [0.01, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_cut_file_is_noticed(whole: bytes, tmp_path: Path, part: float) -> None:
    """A torn copy."""
    (tmp_path / "r").write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(StoreError):
        used(tmp_path / "r")


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bits_inside_the_lines(seed: int) -> None:
    """Beneath the compression, whose checks a forger passes: any sample, then any bit."""
    random, before = Random(seed), None
    reader, modeler, renderer = SegmentReader(field_names()), Modeler(), Renderer()
    deflate = zlib.compressobj()
    for sample in sequence(seed):
        frame = [line.encode() for line in lines(sample, before)]
        at_fault = random.randrange(len(frame))
        frame[at_fault] = _flipped(frame[at_fault], random)
        piece = deflate.compress(b"".join(line + b"\n" for line in frame))
        with suppress(StoreError):
            read_back = reader.sample(piece + deflate.flush(zlib.Z_SYNC_FLUSH))
            renderer.render(modeler.snapshot(read_back))
        before = sample


def test_a_bomb_does_not_go_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample that inflates without end, with line ends or without, is left at its bound."""
    monkeypatch.setattr(segments, "LARGEST_SAMPLE", 64 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for line, complaint in ((b"\n" * 4096, "damaged"), (b"x" * 4096, "no end")):
        deflate = zlib.compressobj()
        bomb = b"".join(deflate.compress(line) for _ in range(50_000))
        with pytest.raises(StoreError, match=complaint):
            SegmentReader(field_names()).sample(bomb + deflate.flush(zlib.Z_SYNC_FLUSH))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE moments SET number = number + 1000 WHERE number > 100",
        "UPDATE moments SET position = -position",
        "UPDATE moments SET position = 'soon'",
        "UPDATE moments SET time = 1e300",
        "UPDATE moments SET segment = 'x'",
        "UPDATE moments SET segment = 1 WHERE number = 61",
        "UPDATE moments SET run = 9",
        "UPDATE runs SET fields = '[1'",
        "UPDATE runs SET fields = '{}'",
        "UPDATE runs SET fields = zeroblob(9)",
        "UPDATE runs SET fields = CAST(x'ff' AS TEXT)",
        "UPDATE pieces SET piece = 'text'",
        "UPDATE pieces SET piece = zeroblob(70000000) WHERE number = 3",
        "DELETE FROM pieces WHERE number = 60",
        "DELETE FROM moments WHERE number = 60",
    ],
)
def test_forged_tables_are_refused(tmp_path: Path, statement: str, whole: bytes) -> None:
    """Whatever SQL can put there."""
    (tmp_path / "r").write_bytes(whole)
    database = sqlite3.connect(tmp_path / "r")
    database.execute(statement)
    database.commit()
    database.close()
    with pytest.raises(StoreError):
        used(tmp_path / "r")


def test_an_empty_recording_has_no_moment(tmp_path: Path) -> None:
    """Nothing was appended."""
    Writer(tmp_path / "r", "boot").close()
    with Recording(tmp_path / "r") as recording:
        assert recording.moments == []

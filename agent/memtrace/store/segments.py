"""Segments: runs of samples of which the first stands alone and each other one changes the one
before. All of a segment is one deflate stream, cut into a piece for each sample, so that a path
is spelled out once in it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from memtrace.samples import Sample
from memtrace.store.decoding import Decoder
from memtrace.store.encoding import lines
from memtrace.store.errors import StoreError
from memtrace.store.layout import Names

LENGTH = 60
"""Samples in a segment: what has to be read at most to get at one of them."""

LONGEST = 1000
"""Samples in a segment at most, whoever wrote it."""

LARGEST_PIECE = 64 << 20
LARGEST_SAMPLE = 256 << 20
LONGEST_LINE = 16 << 20
_STEP = 1 << 20
_LEVEL = 1  # 3 gives a fifteenth less and needs a tenth more time; 6 the same again


class SegmentWriter:
    """Makes the pieces of one segment."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(_LEVEL)
        self._last: Sample | None = None
        self.count = 0

    def piece(self, sample: Sample) -> bytes:
        """Return the next piece. Raises StoreError; begin another segment after that."""
        size, found = 0, []
        for line in lines(sample, self._last):
            size += len(line) + 1
            if len(line) > LONGEST_LINE or size > LARGEST_SAMPLE:
                raise StoreError("a sample is too large to be recorded.")
            found.append(self._deflate.compress(f"{line}\n".encode()))
        found.append(self._deflate.flush(zlib.Z_SYNC_FLUSH))
        self._last = sample
        self.count += 1
        return b"".join(found)


class SegmentReader:
    """Makes samples of the pieces of one segment, in their order."""

    def __init__(self, names: Names) -> None:
        self._inflate = zlib.decompressobj()
        self._decoder = Decoder(names)

    def sample(self, piece: bytes) -> Sample:
        """Return the next sample. Raises StoreError; read the segment anew after that."""
        return self._decoder.decode(_lines(self._inflated(piece)))

    def _inflated(self, piece: bytes) -> Iterator[bytes]:
        """Yield what was deflated, a bounded part at a time."""
        size, part = 0, b""
        while piece or len(part) == _STEP:
            try:
                part = self._inflate.decompress(piece, _STEP)
            except zlib.error as error:
                raise StoreError(f"the recording is damaged: {error}") from error
            size += len(part)
            if size > LARGEST_SAMPLE:
                raise StoreError("the recording is damaged: a sample has no end.")
            yield part
            piece = self._inflate.unconsumed_tail


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise StoreError("the recording is damaged: a line has no end.")
        yield from whole
    if rest:
        raise StoreError("the recording is damaged: a sample is not whole.")

"""Says of most files at once that the baseline walk did not meet them. Keeps no file.

A Bloom filter with one hash: asking the kernel's map costs 10 us, and on a node that
makes hundreds of files a second nearly every answer is no.
"""

from __future__ import annotations

BITS = 1 << 21
"""256 KiB: of 100,000 walked files, 1 in 20 others is taken for one of them."""


class Sieve:
    """A set of files that may answer yes wrongly, never no."""

    def __init__(self) -> None:
        self._bits = bytearray(BITS // 8)

    def clear(self) -> None:
        """Forget all."""
        self._bits = bytearray(BITS // 8)

    def add(self, file: bytes) -> None:
        """Remember a file (wire.FILE)."""
        bit = hash(file) % BITS
        self._bits[bit >> 3] |= 1 << (bit & 7)

    def __contains__(self, file: bytes) -> bool:
        bit = hash(file) % BITS
        return bool(self._bits[bit >> 3] & 1 << (bit & 7))

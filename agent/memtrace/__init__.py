"""memtrace: which container's memory goes up, and which I/O did it."""

__version__ = "0.1.0"

"""The words after `memtrace`, one file each; the only room that wires the others."""

"""From two Samples to one Snapshot. Pure: no I/O, no clock, only memtrace.samples below it."""

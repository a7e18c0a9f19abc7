"""The live screen of `memtrace top`: pure functions draw lines, one Textual app shows them."""

"""What the stories share: a place to run a program in, what memtrace says of it, the table."""

"""Stories to see memtrace at work; see __main__.py."""

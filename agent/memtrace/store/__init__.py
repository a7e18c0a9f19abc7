"""Keeps Samples: one SQLite file, written while they happen and read at any moment of it."""

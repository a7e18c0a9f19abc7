"""Views draw what they are handed and never fetch."""

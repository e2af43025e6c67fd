"""Lint: every problem of the files, found at once."""

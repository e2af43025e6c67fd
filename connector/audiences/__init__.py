"""Audiences: listed, found by name, created, renamed and deleted."""

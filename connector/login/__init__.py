"""Signing in with a vendor, and out again: the tokens go into the store."""

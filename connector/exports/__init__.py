"""Exports: files of lines for a vendor, made of events as records are."""

"""Audience destinations described by files: map, hash, batch and deliver people's identifiers to ad audiences."""

from __future__ import annotations

__version__ = "0.1.0"

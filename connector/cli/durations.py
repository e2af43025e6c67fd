"""Durations on the command line, such as 30d."""

from __future__ import annotations

from connector.errors import ConfigError, Problem


def seconds_of(text: str, option: str) -> float:
    """Return the seconds of a duration as 30d, 12h, 90m or 45s. Raise ConfigError (C049)."""
    from connector._util.times import span

    try:
        return span(text)
    except ValueError:
        hint = "write it like 30d, 12h, 90m or 45s"
        raise ConfigError([Problem("C049", option, "", "is not a duration", hint)]) from None

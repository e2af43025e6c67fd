"""What commands print on standard output: text for people, or JSON with stable names."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

from connector.cli.options import Format
from connector.errors import Problem

# Control characters, line separators and overrides of the direction of text: what a terminal acts
# on.
_CONTROLS = "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069"
_INVISIBLE = re.compile(f"[{_CONTROLS}]")
_INVISIBLE_OR_BREAK = re.compile(f"[{_CONTROLS}\\t\\n]")


def visible(text: str) -> str:
    r"""Escape control characters (as `\u001b`) so that none acts on the terminal.

    Line breaks and tabs are kept.
    """
    return _INVISIBLE.sub(_escape, text)


def on_one_line(text: str) -> str:
    """Return a text as `visible` does, with line breaks and tabs escaped as well."""
    return _INVISIBLE_OR_BREAK.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def print_result(result: Any, as_text: Callable[[Any], str], form: Format) -> None:
    """Print a result in the format that was asked for.

    Raise OutputError when it cannot be written.
    """
    if form is Format.JSON:
        import json

        say_raw(json.dumps(result, ensure_ascii=False))
    else:
        say(as_text(result))


def say(text: str) -> None:
    """Print a text for people. Raises as `say_raw` does."""
    say_raw(visible(text))


def say_raw(text: str) -> None:
    """Print a text as it is.

    Raise OutputError when it cannot be written, BrokenPipeError when the reader is gone.
    """
    print(text, flush=True)


def warn(problems: Iterable[Problem]) -> None:
    """Print warnings on standard error; ignore a failure to write them."""
    for problem in problems:
        say_error(str(problem))


def say_error(text: str) -> None:
    """Print a line on standard error; ignore a failure to write it."""
    print(visible(text), file=sys.stderr, flush=True)

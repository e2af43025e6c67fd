"""What commands print on standard output: for people, or JSON with stable names."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from connector.cli.options import Format
from connector.errors import ConnectorError, Problem


def print_result(result: Any, as_text: Callable[[Any], str], form: Format) -> None:
    """Print a result as it was asked for. Raises ConnectorError when it cannot be written."""
    if form is Format.JSON:
        import json

        say(json.dumps(result, ensure_ascii=False))
    else:
        say(as_text(result))


def say(text: str) -> None:
    """Print a text. Raises ConnectorError when it cannot be written, BrokenPipeError when nobody reads it any more."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ConnectorError(f"the output cannot be written: {error.strerror}") from None


def warn(problems: Iterable[Problem]) -> None:
    """Print problems that do not stop the command on standard error, which never decides a command's outcome."""
    if not sys.stderr:
        return  # it was closed by whoever started the command
    with contextlib.suppress(OSError):
        for problem in problems:
            print(problem, file=sys.stderr)

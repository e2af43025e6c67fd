"""Errors that a person can fix, and the findings of lint.

    ConnectorError
    ├─ DefinitionError   the definition's author must act; carries every Problem
    ├─ ConfigError       the customer must act: connection file, mapping, missing secret
    ├─ CallError         the vendor did not do what a call asked for
    ├─ LoginError        nobody is signed in: declined, refused, or without an answer
    ├─ OutputError       what was made cannot be written: the disk is full, say
    └─ SourceError       the input cannot be read

What is expected to happen (an invalid record, a 429, an expired token) is an outcome, not an
exception.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One finding: where it is, what is wrong, and the fix.

    `code` is stable; the place is a file and a JSON pointer. `severity`: "error", or "warning" for
    what may be meant.
    """

    code: str
    file: str
    pointer: str
    message: str
    hint: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        place = f"{self.file}#{self.pointer}" if self.pointer else self.file
        mark = "warning: " if self.severity == "warning" else ""
        return f"{self.code} {place}: {mark}{self.message}" + (
            f"; {self.hint}" if self.hint else ""
        )


class ConnectorError(Exception):
    """The root of every error meant for a person.

    Its text says what is wrong, where, what is allowed and the fix.
    """


class ProblemsError(ConnectorError):
    """An error made of one or more problems, all of them found at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class DefinitionError(ProblemsError):
    """A destination's definition files are wrong."""


class ConfigError(ProblemsError):
    """A connection file, a case file or a secret it points to is wrong."""


class StateError(ConfigError):
    """What `--state` keeps of a run cannot be used."""


class LoginError(ConnectorError):
    """Nobody is signed in, or out; the message says why, and quotes no token and no code."""


class OutputError(ConnectorError):
    """What was made cannot be written: the fault of a disk, and no wrong use."""


class SourceError(ConnectorError):
    """The input cannot be read at all."""


class CallError(ConnectorError):
    """A call failed: `code` is a stable word, `status` that of the answer, None without one.

    The text quotes nothing of the answer but the vendor's own codes.
    """

    def __init__(self, call: str, code: str, reason: str, status: int | None = None) -> None:
        super().__init__(f"{call} failed ({code}): {reason}")
        self.call = call
        self.code = code
        self.reason = reason
        self.status = status


class SendError(Exception):
    """There is no answer; the message says why and quotes no path, query or body."""


class UnreachableError(SendError):
    """There is no answer, and nothing was sent: no connection was made, or there is no token."""


class StaleError(SendError):
    """A connection that was kept open turned out to be closed; it can be sent again at once."""


class FinalError(SendError):
    """There is no answer, and sending it again would not change that; `code` is a stable word."""

    code: str = "not_sent"


class HaltedError(FinalError):
    """All of the connection is stopped, with this code: nothing was sent."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class CutError(FinalError):
    """The run was ended at once, while this was in flight."""

    code = "interrupted"


class UntrustedError(FinalError):
    """The host did not prove to be the one that is meant: nothing was sent."""

    code = "untrusted_host"


class ForbiddenAddressError(FinalError):
    """The host is at an address that nothing is ever sent to: nothing was sent."""

    code = "forbidden_address"


class UnauthorizedError(Exception):
    """Nothing can be sent with these credentials; the message says why and quotes none of them."""


def nearest(word: str, known: Iterable[str], likely: Iterable[str] | None = None) -> str:
    """Return the hint `known: a, b, c; did you mean 'b'?` for an unknown word.

    `likely`: those that may be meant, by default all.
    """
    names = sorted(known)
    text = f"known: {', '.join(names)}" if names else "known: none"
    close = difflib.get_close_matches(word, names if likely is None else sorted(likely), 1)
    return f"{text}; did you mean '{close[0]}'?" if close else text

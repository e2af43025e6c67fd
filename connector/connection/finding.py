"""What the rules on a connection find."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from connector.errors import Problem


class Finding(NamedTuple):
    """A problem of the file that is checked."""

    code: str
    pointer: str
    message: str
    hint: str = ""

    def in_file(self, file: str) -> Problem:
        """Return the finding with its file."""
        return Problem(self.code, file, self.pointer, self.message, self.hint)


Findings = Iterator[Finding]

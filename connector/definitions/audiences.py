"""What a definition says of the audiences themselves, and of what `check` looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.definitions.fields import Source

#: The parameter of the calls `create` and `rename` that takes an audience's name.
NAME = "name"


@dataclass(frozen=True, slots=True)
class Names:
    """Which names an audience may have.

    `search` is the parameter of the call `list` that narrows it to names that begin with a text, or
    contain it; "" when there is none. `deleted` are the parameters with which `list` also shows
    deleted audiences, which keep their names; empty when they do not.
    """

    forbidden: str = ""
    longest: int | None = None
    unique: bool = False
    search: str = ""
    deleted: Mapping[str, Any] | None = None

    def problem(self, name: str) -> str:
        """Return why an audience cannot have this name, and what to do; "" when it can."""
        if not name.strip():
            return "the name is empty; choose one"
        if name != name.strip():
            return "the name begins or ends with a space; leave it out"
        if any(not one.isprintable() for one in name):
            return "the name has a control character, such as a line break; leave it out"
        found = sorted({one for one in name if one in self.forbidden})
        if found:
            return (
                f"the name has {' '.join(found)}; leave that out: "
                f"a name may have no {' '.join(self.forbidden)}"
            )
        if self.longest is not None and len(name) > self.longest:
            return (
                f"the name has {len(name)} characters; "
                f"shorten it: allowed are at most {self.longest}"
            )
        return ""


@dataclass(frozen=True, slots=True)
class AudienceKind:
    """One kind of audience: the calls that list, get, create, rename and delete it, by these words.

    `parameter` is the parameter of actions and calls that takes its id. With `only`, an account has
    at most one, and nobody names it. `do_not_reach`: nothing reaches the people that it has.
    """

    parameter: str
    title: str
    calls: Mapping[str, str]
    names: Names
    only: bool
    source: Source
    do_not_reach: bool = False


@dataclass(frozen=True, slots=True)
class Verification:
    """Something that `check` looks at: a call succeeds, and `require` holds for its answer.

    `require` is an expression over `rows` and `settings`, "" when it is enough that the call
    succeeds. `level` is error or warning, `reason` what to do when it does not hold.
    """

    title: str
    call: str
    given: Mapping[str, Any]
    require: str
    reason: str
    level: str
    source: Source

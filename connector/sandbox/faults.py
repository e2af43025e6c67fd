"""Faults: ways to fail, asked for with `--fail`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

# The statuses of `5xx`, in turn.
_SERVER_ERRORS = (500, 503, 502, 504)

_FAULT = re.compile(
    r"(?P<kind>5xx|[45][0-9]{2}|202|204|timeout|drop|applied-drop|html|counts|person"
    r"|slow(=(?P<seconds>[0-9]{1,4}(\.[0-9]{1,3})?))?)"
    r"(:(?P<times>[1-9][0-9]{0,8}))?"
)
_SLOW_SECONDS = 5.0


class Fault(NamedTuple):
    """A way to fail the next `times` requests.

    `kind` is one of

    * status: answer with `statuses`, in turn
    * timeout: no answer
    * drop: the connection closes
    * applied-drop: it closes after the request was applied
    * html: a gateway's page
    * counts: one person fewer is accepted than was sent, and nothing is applied
    * success: the request is applied and answered with `statuses`, in turn; 204 has no body
    * slow: the request is applied and answered after `seconds`
    * person: the first person of the request is refused from now on, and with them each request as
      a whole
    """

    kind: str
    statuses: tuple[int, ...] = ()
    times: int = 1
    seconds: float = 0.0

    @property
    def status(self) -> int | None:
        """The status to answer with, None for another kind of fault."""
        return self.statuses[0] if self.statuses else None


def parse_fault(text: str) -> Fault:
    """Read a fault such as `429:3`, `5xx:2`, `timeout`, `slow=2` or `counts`.

    Raise ValueError with the allowed forms.
    """
    match = _FAULT.fullmatch(text)
    if not match:
        forms = (
            "a status from 400 to 599, 5xx, timeout, drop, applied-drop, html, counts, 202, 204, "
            "slow or slow=SECONDS, person"
        )
        raise ValueError(
            f"unknown fault '{text}'; "
            f"allowed: {forms}, each with :N for the next N requests (429:3)"
        )

    kind = match["kind"]
    times = int(match["times"] or 1)
    if kind == "5xx":
        return Fault("status", _SERVER_ERRORS, times)
    if kind.isdigit():
        outcome = "success" if kind.startswith("2") else "status"
        return Fault(outcome, (int(kind),), times)
    if kind.startswith("slow"):
        return Fault("slow", (), times, float(match["seconds"] or _SLOW_SECONDS))
    return Fault(kind, (), times)


def one_by_one(faults: Sequence[Fault]) -> Iterator[Fault]:
    """Yield one fault for each request that has to fail, with one status at most."""
    for fault in faults:
        for turn in range(fault.times):
            if fault.statuses:
                status = fault.statuses[turn % len(fault.statuses)]
                yield Fault(fault.kind, (status,))
            else:
                yield Fault(fault.kind, seconds=fault.seconds)

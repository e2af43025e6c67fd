"""What becomes of a request, in words, by the vendor's answer."""

from __future__ import annotations

from connector.definitions.model import ResponseRule
from connector.definitions.statuses import STATUSES
from connector.guide.limit_words import span_words

# What becomes of a request by its status alone, for each `then` of a response rule.
_BY_STATUS = {
    "delivered": "{} counts as delivered",
    "stop": "{} stop",
    "bisect": "{} are halved and sent again until the records at fault are alone",
    "retry": "{} are sent again later",
}

_NAMED = {"group": "groups of records", "item": "records", "value": "identifiers"}


def then_words(rule: ResponseRule) -> str:
    """Return what a rule leads to."""
    if rule.then == "delivered":
        return _delivered(rule)
    if rule.then == "reject":
        return _rejected(rule)
    if rule.then == "retry":
        return _retried(rule)
    if rule.then == "bisect":
        return "Halved and sent again, until the records at fault are alone; these are rejected."
    if rule.scope == "account":
        return "Stopped: nothing more is sent to any audience; all records are left undelivered."
    return "Stopped: nothing more is sent to this audience; its records are left undelivered."


def _delivered(rule: ResponseRule) -> str:
    if not rule.each:
        return "Delivered."
    return f"Delivered, but {_named(rule)} are rejected{_later(rule)}."


def _rejected(rule: ResponseRule) -> str:
    if not rule.each:
        return "Rejected."
    return f"Rejects {_named(rule)}{_later(rule)}; the others are sent again."


def _named(rule: ResponseRule) -> str:
    return f"the {_NAMED[rule.by]} that it names"


def _later(rule: ResponseRule) -> str:
    return ", or sent again later where it says so" if rule.later else ""


def _retried(rule: ResponseRule) -> str:
    if rule.at or isinstance(rule.after, str):
        return "Sent again later, not before the time that it names."
    if rule.after is not None:
        return f"Sent again later, after {span_words(rule.after)} unless it says when."
    return "Sent again later."


def otherwise() -> str:
    """Return what becomes of a request whose response fits no rule."""
    clauses = []
    for then, statuses in STATUSES.items():
        names = [_status_name(status, then) for status in statuses]
        if then == "retry":
            names.append("a lost connection")
        *others, last = names
        joined = f"{', '.join(others)} and {last}" if others else last
        clauses.append(_BY_STATUS[then].format(joined))
    return f"An answer that fits no row: {'; '.join(clauses)}."


def _status_name(status: str, then: str) -> str:
    """Return a status; "other 5xx" when another outcome covers some of its class."""
    if status.endswith("xx"):
        for other, statuses in STATUSES.items():
            if other != then and any(one[0] == status[0] for one in statuses):
                return f"other {status}"
    return status

"""Response rules: from a response to exactly one outcome.

The rules of a definition are tried in order, then what HTTP itself says. A response that no rule
knows counts as delivered only by a status of 2xx.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from connector.definitions.model import ResponseRule
from connector.definitions.statuses import then_of
from connector.model import Bisect, Delivered, Outcome, Rejected, Response, Retry, Stop
from connector.pipeline.record_errors import (
    NAMES,
    RecordErrors,
    UnattributableError,
    vendor_words,
)
from connector.templating.data import ABSENT, ExpressionError
from connector.templating.expressions import Evaluate, compile_expression

#: Given a response, the number of records sent and the time: the outcome.
Classify = Callable[[Response, int, float], Outcome]

Scope = Mapping[str, Any]

# The longest wait that a Retry-After in seconds may ask for: a day.
_LONGEST_WAIT = 86_400


def compile_rules(rules: Sequence[ResponseRule]) -> Classify:
    """Compile a definition's rules. Raise ExpressionError for an invalid expression."""
    compiled = [_Rule(rule) for rule in rules]

    def classify(response: Response, sent: int, now: float) -> Outcome:
        scope = {
            "status": response.status,
            "headers": response.headers,
            "body": response.body,
            "sent": sent,
        }
        for rule in compiled:
            if rule.holds(scope):
                return rule.outcome(response, scope, now)
        return _by_status(response, now)

    return classify


class _Rule:
    """One rule of a definition, compiled."""

    def __init__(self, rule: ResponseRule) -> None:
        self._when = compile_expression(rule.when, NAMES)
        self._then = rule.then
        self._code = rule.code
        self._reason = rule.reason
        self._retry_at = _optional(rule.at)
        self._retry_after = rule.after
        self._record_errors: RecordErrors | None = None
        self._detail: Evaluate | None = None
        if not rule.each:
            self._detail = _optional(rule.detail)
        elif rule.then in ("delivered", "reject"):
            # `detail` then speaks of each entry.
            self._record_errors = RecordErrors(rule)

    def holds(self, scope: Scope) -> bool:
        try:
            return bool(self._when(scope))
        except ExpressionError:
            return False  # the response has another shape than the rule speaks of

    def outcome(self, response: Response, scope: Scope, now: float) -> Outcome:
        code = self._code or f"http_{response.status}"
        reason = self._reason or f"HTTP {response.status}"
        reason += vendor_words(self._detail, scope)

        if self._then == "retry":
            return Retry(reason, self._not_before(response, scope, now))
        if self._record_errors is None:
            return _outcome(self._then, code, reason)

        try:
            named = self._record_errors.find(scope)
        except UnattributableError as error:
            return Bisect(code, reason + error.words)
        if named.refused or named.later:
            return Rejected(code, reason, named)
        # A refusal that names nobody: halving finds the offender.
        return Delivered() if self._then == "delivered" else Bisect(code, reason)

    def _not_before(self, response: Response, scope: Scope, now: float) -> float | None:
        """Return when to retry: as the rule's `at` finds it, else Retry-After, else `after`."""
        moment = _moment(self._retry_at, scope) or _retry_after(response, now)
        if moment is None and self._retry_after is not None:
            return now + self._retry_after
        return moment


def _optional(expression: str) -> Evaluate | None:
    return compile_expression(expression, NAMES) if expression else None


def _outcome(then: str, code: str, reason: str) -> Outcome:
    """Return the outcome for the whole request; `then` is any but retry."""
    if then == "delivered":
        return Delivered()
    if then == "stop":
        return Stop(code, reason)
    if then == "bisect":
        return Bisect(code, reason)
    return Rejected(code, reason)


def _by_status(response: Response, now: float) -> Outcome:
    status = response.status
    then = then_of(str(status))
    code = f"http_{status}"
    reason = f"HTTP {status}"

    if then == "retry":
        return Retry(reason, _retry_after(response, now))
    if status == 401:
        code = "unauthorized"
        reason += ": the vendor does not accept the credentials"
    elif 300 <= status < 400:
        reason += ": redirects are not followed; base_url must be the final URL"
    return _outcome(then, code, reason)


def _moment(at: Evaluate | None, scope: Scope) -> float | None:
    """Return what a rule's `at` finds, as seconds since the epoch."""
    if at is None:
        return None
    try:
        value = at(scope)
        return None if value is ABSENT else float(value)
    except (ExpressionError, ValueError, TypeError, OverflowError):
        return None


def _retry_after(response: Response, now: float) -> float | None:
    """Return the moment of a Retry-After header, as seconds since the epoch.

    RFC 9110 allows seconds or a date. One that cannot be read counts as absent.
    """
    text = response.headers.get("retry-after", "").strip()
    try:
        if text.isascii() and text.isdigit():
            return now + min(int(text), _LONGEST_WAIT)

        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None

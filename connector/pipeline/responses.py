"""Response rules: from a response to exactly one outcome.

The rules of a definition are tried in order, then what HTTP itself says. A response that no rule
knows counts as delivered only by a status of 2xx. Only the vendor refuses people: a refusal that is
not its JSON is no refusal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from connector.definitions.model import ResponseRule
from connector.definitions.statuses import then_of
from connector.model import Bisect, Delivered, Outcome, Record, Rejected, Response, Retry, Stop
from connector.pipeline.record_errors import NAMES, RecordErrors, UnattributableError
from connector.pipeline.vendor_words import Answer, VendorWords
from connector.templating.data import ABSENT, ExpressionError
from connector.templating.expressions import Evaluate, compile_expression

Scope = Mapping[str, Any]

_BODY = re.compile(r"\bbody\b")

_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")

# What a response may ask to wait for, in seconds: a year. Longer is a mistake, or mischief.
_LONGEST_WAIT = 31_536_000


class Classify(Protocol):
    """Reads responses."""

    def __call__(
        self, response: Response, sent: int, now: float, records: Sequence[Record] = ()
    ) -> Outcome:
        """Return the outcome of a request with `sent` records.

        No word of the response is repeated that may quote one of `records`.
        """
        ...


def compile_rules(rules: Sequence[ResponseRule], words: VendorWords | None = None) -> Classify:
    """Compile a definition's rules; `words` decides what is repeated of the vendor's words.

    Raise ExpressionError for an invalid expression.
    """
    words = words or VendorWords()
    compiled = [_Rule(rule) for rule in rules]
    reads_body = any(map(_reads_body, rules))

    def classify(
        response: Response, sent: int, now: float, records: Sequence[Record] = ()
    ) -> Outcome:
        scope = {
            "status": response.status,
            "headers": response.headers,
            "body": response.body,
            "sent": sent,
        }
        answer = words.of_answer(records)
        outcome = _outcome_of(compiled, response, scope, now, answer)
        if reads_body and _is_foreign_refusal(response, outcome):
            reason = f"HTTP {response.status} without the vendor's JSON: something else answered"
            return Retry(reason, _retry_after(response, now))
        return outcome

    return classify


def _reads_body(rule: ResponseRule) -> bool:
    return bool(_BODY.search(f"{rule.when} {rule.each} {rule.detail}"))


def _is_foreign_refusal(response: Response, outcome: Outcome) -> bool:
    """Return whether something else than the vendor refused, such as a gateway with its page.

    A gateway may well say 413: that is about the size alone.
    """
    is_refusal = isinstance(outcome, Bisect | Rejected)
    return is_refusal and response.body is None and response.status != 413


def _outcome_of(
    rules: Sequence[_Rule], response: Response, scope: Scope, now: float, answer: Answer
) -> Outcome:
    for rule in rules:
        if rule.holds(scope):
            return rule.outcome(response, scope, now, answer)
    return _by_status(response, now)


class _Rule:
    """One rule of a definition, compiled."""

    def __init__(self, rule: ResponseRule) -> None:
        self._when = compile_expression(rule.when, NAMES)
        self._then = rule.then
        self._code = rule.code
        self._reason = rule.reason
        self._is_of_account = rule.scope == "account"
        self._retry_at = _optional(rule.at)
        after = rule.after
        self._retry_after = _optional(after) if isinstance(after, str) else None
        self._usual_wait = after if isinstance(after, float) else None
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

    def outcome(self, response: Response, scope: Scope, now: float, answer: Answer) -> Outcome:
        said = answer.said(self._detail, scope)
        code = self._code or f"http_{response.status}"
        reason = self._reason or f"HTTP {response.status}"
        as_said = reason + said.codes
        reason += said.text

        if self._then == "retry":
            moment = self._moment(response, scope, now)
            if moment is None and self._usual_wait is not None:
                return Retry(reason, now + self._usual_wait, named=False)
            return Retry(reason, moment)
        if self._then == "stop":
            return Stop(code, reason, account=self._is_of_account)
        if self._record_errors is None:
            return _outcome(self._then, code, reason, as_said)

        try:
            named = self._record_errors.find(scope, answer)
        except UnattributableError as error:
            return Bisect(code, reason + error.said.text, reason + error.said.codes)
        if named.refused or named.later:
            return Rejected(code, reason, named)
        # A refusal that names nobody: halving finds the offender.
        return Delivered() if self._then == "delivered" else Bisect(code, reason)

    def _moment(self, response: Response, scope: Scope, now: float) -> float | None:
        """Return the moment that a response names: in `at`, in `after`, or in Retry-After."""
        moment = _number(self._retry_at, scope)
        if moment is not None:
            return min(moment, now + _LONGEST_WAIT)

        seconds = _number(self._retry_after, scope)
        if seconds is not None:
            return now + min(seconds, _LONGEST_WAIT)
        return _retry_after(response, now)


def _optional(expression: str) -> Evaluate | None:
    return compile_expression(expression, NAMES) if expression else None


def _outcome(then: str, code: str, reason: str, said: str = "") -> Outcome:
    """Return the outcome for the whole request; `then` is any but retry."""
    if then == "delivered":
        return Delivered()
    if then == "stop":
        return Stop(code, reason)
    if then == "bisect":
        return Bisect(code, reason, said)
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


def _number(expression: Evaluate | None, scope: Scope) -> float | None:
    """Return the number that a rule's `at` or `after` finds, None when it finds none above 0.

    A vendor may write it as text, and seconds with their unit (`"34.5s"`).
    """
    if expression is None:
        return None
    try:
        value = expression(scope)
        if value is ABSENT:
            return None
        number = float(value.removesuffix("s") if isinstance(value, str) else value)
    except (ExpressionError, ValueError, TypeError, OverflowError):
        return None
    return number if number > 0 else None


def _retry_after(response: Response, now: float) -> float | None:
    """Return the moment of a Retry-After header, as seconds since the epoch.

    RFC 9110 allows whole seconds or a date; vendors also send parts of a second. What cannot be
    read counts as absent.
    """
    text = response.headers.get("retry-after", "").strip()
    try:
        if _SECONDS.fullmatch(text):
            return now + min(float(text), _LONGEST_WAIT)

        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None

"""Response rules: from an answer to exactly one outcome.

A definition's rules are tried in order, then what HTTP says. An answer that no rule knows is never "delivered".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from connector.definitions.model import ResponseRule
from connector.model import Bisect, Delivered, Outcome, Rejected, Response, Retry, Stop
from connector.pipeline.record_errors import NAMES, Entries, NobodyError, vendor_words
from connector.templating.expressions import ABSENT, Evaluate, ExpressionError, compile_expression

#: Given an answer and the number of records sent, the outcome.
Classify = Callable[[Response, int, float], Outcome]

_RETRY = frozenset({408, 425, 429, *range(500, 600)} - {501})
_BISECT = frozenset({400, 413, 422})


def compile_rules(rules: Sequence[ResponseRule]) -> Classify:
    """Compile a definition's rules. Raises ExpressionError for a rule that is no expression."""
    compiled = [(compile_expression(rule.when, NAMES), _compile_rule(rule)) for rule in rules]

    def classify(response: Response, sent: int, now: float) -> Outcome:
        scope = {
            "status": response.status,
            "headers": response.headers,
            "body": response.body,
            "sent": sent,
        }
        for when, then in compiled:
            if _holds(when, scope):
                return then(response, scope, now)
        return _by_status(response, now)

    return classify


def _holds(when: Evaluate, scope: Mapping[str, Any]) -> bool:
    try:
        return bool(when(scope))
    except ExpressionError:  # the answer has another shape than the rule speaks of
        return False


Then = Callable[[Response, Mapping[str, Any], float], Outcome]


def _compile_rule(rule: ResponseRule) -> Then:
    # with `each` the vendor's word is that of an entry
    detail = compile_expression(rule.detail, NAMES) if rule.detail and not rule.each else None
    make = _MAKERS[rule.then](rule)

    def then(response: Response, scope: Mapping[str, Any], now: float) -> Outcome:
        reason = rule.reason or f"HTTP {response.status}"
        if detail is not None:
            reason += vendor_words(detail, scope)
        return make(response, scope, now, reason)

    return then


Make = Callable[[Response, Mapping[str, Any], float, str], Outcome]


def _delivered(rule: ResponseRule) -> Make:
    if not rule.each:
        return lambda response, scope, now, reason: Delivered()
    entries = Entries(rule)

    def make(response: Response, scope: Mapping[str, Any], now: float, reason: str) -> Outcome:
        return _refused(rule, entries, response, scope, reason) or Delivered()

    return make


def _retry(rule: ResponseRule) -> Make:
    at = compile_expression(rule.at, NAMES) if rule.at else None
    after = rule.after

    def make(response: Response, scope: Mapping[str, Any], now: float, reason: str) -> Outcome:
        moment = _moment(at, scope) or _retry_after(response, now)
        return Retry(reason, now + after if moment is None and after is not None else moment)

    return make


def _reject(rule: ResponseRule) -> Make:
    entries = Entries(rule) if rule.each else None

    def make(response: Response, scope: Mapping[str, Any], now: float, reason: str) -> Outcome:
        code = rule.code or f"http_{response.status}"
        if entries is None:
            return Rejected(code, reason)
        return _refused(rule, entries, response, scope, reason) or Bisect(code, reason)

    return make


def _refused(
    rule: ResponseRule,
    entries: Entries,
    response: Response,
    scope: Mapping[str, Any],
    reason: str,
) -> Rejected | Bisect | None:
    """Return the refusal of those whom an answer names, None when it names nobody."""
    code = rule.code or f"http_{response.status}"
    try:
        named = entries.find(scope)
    except NobodyError as error:
        return Bisect(code, reason + error.words)
    return Rejected(code, reason, named) if named.refused or named.later else None


def _bisect(rule: ResponseRule) -> Make:
    return lambda response, scope, now, reason: Bisect(
        rule.code or f"http_{response.status}", reason
    )


def _stop(rule: ResponseRule) -> Make:
    return lambda response, scope, now, reason: Stop(rule.code or f"http_{response.status}", reason)


_MAKERS: dict[str, Callable[[ResponseRule], Make]] = {
    "delivered": _delivered,
    "retry": _retry,
    "reject": _reject,
    "bisect": _bisect,
    "stop": _stop,
}


def _by_status(response: Response, now: float) -> Outcome:
    status = response.status
    code, reason = f"http_{status}", f"HTTP {status}"
    if 200 <= status < 300:
        return Delivered()
    if status == 401:
        return Stop("unauthorized", "HTTP 401: the credentials were not accepted")
    if 300 <= status < 400:
        return Stop(
            code, f"HTTP {status}: redirects are refused; base_url has to be the final address"
        )
    if status in _BISECT:
        return Bisect(code, reason)
    if status in _RETRY or not 400 <= status < 500:
        return Retry(reason, _retry_after(response, now)) if status != 501 else Stop(code, reason)
    return Rejected(code, reason)


def _moment(at: Evaluate | None, scope: Mapping[str, Any]) -> float | None:
    """Return what a rule's `at` gives, as seconds since the epoch."""
    if at is None:
        return None
    try:
        value = at(scope)
        return float(value) if value is not ABSENT else None
    except (ExpressionError, ValueError, TypeError):
        return None


def _retry_after(response: Response, now: float) -> float | None:
    """Return the moment of a Retry-After header (RFC 9110: seconds or a date), as seconds since the epoch."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return now + min(int(text), 86_400)
    try:
        moment = parsedate_to_datetime(text) if text else None
        return (
            (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
            if moment
            else None
        )
    except ValueError:
        return None

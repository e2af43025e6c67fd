"""Runs one call: sends its requests, page by page, and returns rows.

What only reads is sent again as often as events are. What changes something is sent again only when
the vendor, or the network, says that nothing was done; otherwise nobody knows whether it was.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from connector._util import times
from connector.calls.answer import AnswerError, NextPage, Reader, Row
from connector.calls.request import ForeignLinkError, Requests
from connector.calls.values import check_settings, find_call, values_of
from connector.connection.model import Connection
from connector.definitions.model import Call
from connector.delivery.clock import Clock, SystemClock
from connector.delivery.courier import Transport
from connector.delivery.retry import RetryPolicy, waiting_line
from connector.errors import (
    CallError,
    FinalError,
    SendError,
    StaleError,
    UnauthorizedError,
    UnreachableError,
)
from connector.model import Delivered, Request, Response, Retry
from connector.pipeline.responses import compile_rules
from connector.templating.data import ExpressionError
from connector.templating.template import RenderError

_RATE_LIMITED = 429
_UNAUTHORIZED = "unauthorized"
_UNAVAILABLE = 503

#: Is given a line when a request has to wait for long.
Notify = Callable[[str], None]


class Page(NamedTuple):
    """A page of a call's result.

    `is_list` says whether the result is a list of rows, or one object; `number` counts from 1.
    """

    rows: list[Row]
    is_list: bool
    number: int


def run(
    connection: Connection,
    name: str,
    given: Mapping[str, Any],
    transport: Transport,
    *,
    clock: Clock | None = None,
    retries: int | None = None,
    notify: Notify | None = None,
) -> Iterator[Page]:
    """Yield the pages of a call's result; each is asked for when it is wanted.

    Raise ConfigError, at once, for an unknown call (C230), parameters that do not fit (C231), or a
    setting that is missing (C202).
    Iterating raises CallError.
    """
    call = find_call(connection.destination, name)
    check_settings(call, connection)
    params = values_of(call, given)
    caller = _Caller(call, connection, transport, clock or SystemClock(), retries, notify)
    return caller.pages(params)


def rows(
    connection: Connection,
    name: str,
    given: Mapping[str, Any],
    transport: Transport,
    *,
    clock: Clock | None = None,
    retries: int | None = None,
    notify: Notify | None = None,
) -> Iterator[Row]:
    """Yield the rows of all pages; a result that is no list is one row. Raise as `run` does."""
    pages = run(connection, name, given, transport, clock=clock, retries=retries, notify=notify)
    return (row for page in pages for row in page.rows)


class _Caller:
    """Sends the requests of one call."""

    def __init__(
        self,
        call: Call,
        connection: Connection,
        transport: Transport,
        clock: Clock,
        retries: int | None,
        notify: Notify | None,
    ) -> None:
        self._call = call
        self._connection = connection
        self._transport = transport
        self._clock = clock
        self._policy = RetryPolicy.of(connection.destination.retry, retries)
        self._notify = notify or (lambda line: None)
        self._classify = compile_rules(call.responses)

    def pages(self, params: Mapping[str, Any]) -> Iterator[Page]:
        """Yield the pages. Raise CallError."""
        call = self._call
        try:
            requests = Requests(call, self._connection, params)
            request = requests.page(NextPage(call, params).first())
        except (RenderError, ExpressionError, OSError) as error:
            raise CallError(call.id, "not_built", f"the request cannot be built: {error}") from None

        reader = Reader(call, params)
        next_page = NextPage(call, params)
        seen: set[str] = set()
        number = 0
        while True:
            number += 1
            seen.add(request.url)
            response = self._ask(request)
            try:
                found, is_list = reader.rows(response)
                after = next_page.after(reader.scope(response), len(found))
            except AnswerError as error:
                raise self._error("unexpected_answer", str(error), response) from None

            yield Page(found, is_list, number)
            if after is None:
                return
            request = self._following(requests, after, response)
            if request.url in seen:
                message = "the vendor names a page again that was read already; the rest is missing"
                raise self._error("pages_repeat", message, response)

    def _following(
        self, requests: Requests, after: dict[str, str] | str, response: Response
    ) -> Request:
        if not isinstance(after, str):
            return requests.page(after)
        try:
            return requests.linked(after)
        except ForeignLinkError:
            message = (
                "the answer's link to the next page has another scheme, host or port than "
                "base_url; nothing was sent there: a proxy at base_url has to rewrite such links, "
                "and without a proxy it is for the vendor to explain"
            )
            raise self._error("foreign_link", message, response) from None

    def _ask(self, request: Request) -> Response:
        """Return the answer to one request that the definition calls a success.

        Raise CallError.
        """
        started = self._clock.monotonic()
        retry = 0
        while True:
            response, outcome = self._attempt(request)
            if isinstance(outcome, Delivered) and response is not None:
                return response

            assert isinstance(outcome, Retry), "everything else was raised"
            now = self._clock.now()
            moment = outcome.not_before
            is_named = outcome.named and moment is not None and moment > now
            delay = self._policy.delay(retry, outcome, now, random.random)
            late = self._clock.monotonic() + delay > started + self._policy.deadline
            if late and is_named and moment is not None:
                until = times.from_epoch(moment)
                message = f"the vendor asks to wait until {until}: {outcome.reason}"
                raise self._error("come_back_later", message, response)
            # A wait that the vendor names uses up no retry, unless there are none at all.
            if late or not self._policy.allows(0 if is_named else retry):
                raise self._error("gave_up", outcome.reason, response)

            line = waiting_line(delay, outcome.reason)
            if line:
                self._notify(line)
            if not self._clock.sleep(delay):
                raise self._error("interrupted", "it was ended while it waited", response)
            if not is_named:
                retry += 1

    def _attempt(self, request: Request) -> tuple[Response | None, Delivered | Retry]:
        """Send once. Raise CallError for everything that is not worth sending again."""
        try:
            response = self._send(request)
        except UnauthorizedError as error:
            raise self._error(_UNAUTHORIZED, str(error), None) from None
        except FinalError as error:
            raise self._error(error.code, str(error), None) from None
        except UnreachableError as error:
            return None, Retry(str(error))
        except SendError as error:
            self._check_repeatable(str(error), None)
            return None, Retry(str(error))

        outcome = self._classify(response, 0, self._clock.now())
        if isinstance(outcome, Delivered):
            return response, outcome
        if isinstance(outcome, Retry):
            self._check_repeatable(outcome.reason, response)
            return response, outcome
        raise self._error(outcome.code, outcome.reason, response)

    def _send(self, request: Request) -> Response:
        try:
            return self._transport(request)
        except StaleError:
            # Only what may arrive twice is sent on a connection that was kept open.
            return self._transport(request)

    def _check_repeatable(self, reason: str, response: Response | None) -> None:
        """Raise CallError when nobody knows whether a change was made."""
        if self._call.reads or (response is not None and _was_refused(response)):
            return
        message = (
            f"whether it was done is not known, so it is not sent again: {reason}; "
            "look at what is there before you call it again"
        )
        raise self._error("outcome_unknown", message, response)

    def _error(self, code: str, reason: str, response: Response | None) -> CallError:
        advice = self._connection.sign_in_advice
        if advice and code == _UNAUTHORIZED:
            reason = f"{reason}; {advice}"
        return CallError(self._call.id, code, reason, response.status if response else None)


def _was_refused(response: Response) -> bool:
    """Return whether an answer says that the vendor did not begin."""
    if response.status == _RATE_LIMITED:
        return True
    return response.status == _UNAVAILABLE and "retry-after" in response.headers

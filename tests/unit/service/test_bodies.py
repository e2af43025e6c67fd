"""Bodies of posts within bounds of memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

from connector.service import app
from connector.service.problems import ProblemError


class Sent:
    """A request whose body comes in chunks."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)

    async def stream(self) -> AsyncIterator[bytes]:
        while self.chunks:
            yield self.chunks.pop(0)


def read(api: app.Api, sent: Sent) -> tuple[bytes | str, app.Body]:
    """Return the body, or the code of the problem."""
    body = app.Body(api, cast(Any, sent))
    try:
        return asyncio.run(body.read()), body
    except ProblemError as error:
        return error.problem.code, body


def test_bodies_are_held_until_they_are_released_and_refused_once_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "_HELD_BYTES", 10)
    api = app.Api(cast(Any, None), [], None)
    content, first = read(api, Sent(b"abcd", b"efgh"))
    assert (content, api.held) == (b"abcdefgh", 8)
    late = Sent(b"a", b"bcd", b"e", b"f")
    assert read(api, late)[0] == "busy"
    # a client that is still sending would not see the answer
    assert (late.chunks, api.held) == ([], 8)
    first.release()
    assert (read(api, Sent(b"a", b"bcd"))[0], api.held) == (b"abcd", 4)


def test_a_body_that_is_too_long_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_BODY_BYTES", 3)
    api = app.Api(cast(Any, None), [], None)
    long = Sent(b"ab", b"cd", b"ef")
    assert (read(api, long)[0], long.chunks, api.held) == ("too_large", [], 0)
    endless = Sent(*[b"abcd"] * 100)
    assert read(api, endless)[0] == "too_large"
    assert len(endless.chunks) > 90

"""Clients that are too many, too slow or never end: each is left, and the others are served."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.server import ServerState

from connector.service import clients

GET = b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n"
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Client]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers without a look at the body."""
    content = b"x" * (20_000_000 if scope["path"] == "/large" else 1)
    length = str(len(content)).encode()
    head = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]}
    await send(head)
    await send({"type": "http.response.body", "body": content})


def served(use: Callable[[Connect], Awaitable[None]]) -> None:
    """Run `use` with what connects to a server."""

    async def main() -> None:
        config = uvicorn.Config(
            app, log_config=None, lifespan="off", ws="none", timeout_keep_alive=1
        )
        config.load()
        state = ServerState()
        protocol = clients.bounded(AutoHTTPProtocol)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(20):
            await use(lambda: asyncio.open_connection("127.0.0.1", port))
        server.close()
        ends = time.monotonic() + 5
        while state.connections:
            assert time.monotonic() < ends
            await asyncio.sleep(0.01)

    asyncio.run(main())


async def rest(client: Client) -> bytes:
    """What comes until the connection is closed."""
    try:
        return await client[0].read()
    except ConnectionResetError:
        return b""
    finally:
        client[1].close()


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nX: ", GET + b"GET /"])
def test_a_head_that_does_not_end(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "HEAD_SECONDS", 0.2)

    async def use(connect: Connect) -> None:
        client = await connect()
        client[1].write(begun)
        assert (await rest(client)).count(b"200 OK") == begun.count(GET)

    served(use)


def test_a_head_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "HEAD_BYTES", 1000)

    async def use(connect: Connect) -> None:
        client = await connect()
        client[1].write(b"GET / HTTP/1.1\r\nX: " + b"x" * 2000)
        assert not await rest(client)

    served(use)


def test_an_answer_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "READ_SECONDS", 0.2)

    async def use(connect: Connect) -> None:
        slow = await connect()
        slow[1].write(GET.replace(b"small", b"large"))
        await asyncio.sleep(0.5)
        assert len(await rest(slow)) < 20_000_000

    served(use)


def test_requests_in_a_row_are_answered_unless_they_are_too_many() -> None:
    async def use(connect: Connect) -> None:
        client = await connect()
        client[1].write(
            GET * clients.PIPELINED + GET.replace(b"Host", b"Connection: close\r\nHost")
        )
        assert (await rest(client)).count(b"200 OK") == clients.PIPELINED + 1
        greedy = await connect()
        greedy[1].write(GET * 5_000)
        assert (await rest(greedy)).count(b"200 OK") <= 1

    served(use)


def test_the_rest_of_a_body_that_is_answered_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "VAIN_BYTES", 1_000_000)

    async def use(connect: Connect) -> None:
        client = await connect()
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        client[1].write(head % 900_000)
        assert await client[0].readuntil(b"x")
        client[1].write(b"b" * 900_000 + GET)
        assert (await client[0].readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        client[1].write(head % 2_000_000 + b"b" * 1_500_000)
        await rest(client)

    served(use)


def test_too_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients.BoundedClients, "most", clients.BoundedClients._open + 2)

    async def use(connect: Connect) -> None:
        first, second, third = [await connect() for _ in range(3)]
        assert not await rest(third)
        first[1].write(GET)
        assert (await first[0].readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        for client in (first, second):
            client[1].close()

    served(use)


def test_the_process_may_open_as_many_files_as_there_are_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(clients.BoundedClients, "most", 0)
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    # the limits as they are, what is asked for, and how many clients there can be
    table: list[tuple[tuple[int, int], list[tuple[int, int]], int]] = [
        ((1_024, 20_000), [(1_400, 20_000)], 1_000),
        ((1_024, resource.RLIM_INFINITY), [(1_400, resource.RLIM_INFINITY)], 1_000),
        ((1_024, 1_200), [(1_200, 1_200)], 800),
        ((256, 256), [(256, 256)], 1),
        ((20_000, 20_000), [], 1_000),
    ]
    for given, asked, most in table:
        limits.clear()
        monkeypatch.setattr(resource, "getrlimit", lambda _, given=given: given)
        clients.allow_connections()
        assert (limits, clients.BoundedClients.most) == (asked, most)

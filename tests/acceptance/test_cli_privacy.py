"""No plain text of a person leaves: not on the wire (but ids that are the customer's own), nor in any output."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connector.auth.base import Message
from tests.kit import ROOT
from tests.kit.cli import run
from tests.kit.http_vendor import Reply, Vendor, success

from .mixed_events import ENVIRONMENT, connection_yaml, generate

PLAIN = ("email", "mobile", "phone", "handle", "device")
NOT_TELLING = {
    "",
    "n/a",
    "unknown",
    "+",
    "@",
    "null",
    "none",
}  # spoilt values that are words of any text


@dataclass
class Left:
    """Everything that left the process, by channel, and the texts that must not be in it."""

    channels: dict[str, str]
    forbidden: set[str]
    own_ids: set[str]
    requests: int


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif value is not None and not isinstance(value, bool | dict):
        yield str(value)


def spellings(text: str) -> set[str]:
    """A value raw, trimmed, lower-cased, without @, and as a telephone number in its digits."""
    found = {
        text,
        text.strip(),
        text.strip().lower(),
        text.strip().removeprefix("@"),
        text.strip().lower().lstrip("@"),
    }
    digits = re.sub(r"\D", "", text)
    found |= {digits, f"+{digits}"} if re.fullmatch(r"[\s+()\-./\d]{8,}", text) else set()
    return {one for one in found if one.lower() not in NOT_TELLING and len(one) > 3}


def identifiers(events: list[dict[str, Any]], names: tuple[str, ...]) -> set[str]:
    return {
        one
        for event in events
        for name in names
        if isinstance(event.get("traits"), dict)
        for text in texts(event["traits"].get(name))
        for one in spellings(text)
    }


def fickle(seen: Message) -> Reply:
    """A vendor that refuses some requests, quoting what it got, and takes the others."""
    if sum(seen.body) % 5 == 0:
        return Reply(
            400,
            json.dumps({"errors": [{"code": "INVALID", "message": seen.body.decode()}]}).encode(),
        )
    return success(seen)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Left:
    folder = tmp_path_factory.mktemp("example")
    source = ROOT / "examples"
    events = [
        json.loads(line) for line in (source / "events.ndjson").read_text("utf-8").splitlines()
    ]
    return left(folder, source / "connection.yaml", source / "events.ndjson", events)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Left:
    folder = tmp_path_factory.mktemp("mixed")
    events = list(generate(300, 11))
    (folder / "connection.yaml").write_text(
        connection_yaml("http://127.0.0.1:1", limits="{records: 50}"), "utf-8"
    )
    spoilt = ["{'email': 'cut", json.dumps({"traits": {"email": {"value": "object@example.com"}}})]
    (folder / "events.ndjson").write_text("\n".join([*map(json.dumps, events), *spoilt]), "utf-8")
    return left(folder, folder / "connection.yaml", folder / "events.ndjson", events)


def left(folder: Path, made: Path, path: Path, events: list[dict[str, Any]]) -> Left:
    channels: dict[str, str] = {}
    with Vendor(fickle) as vendor:
        for form in ("text", "json"):
            options = (
                "--format",
                form,
                "--report",
                folder / form,
                "--progress",
                "--set",
                f"base_url={vendor.base_url}",
            )
            done = run("send", made, path, *options)
            channels |= {f"{form} out": done.out, f"{form} err": done.err}
            channels[f"{form} report"] = (folder / form).read_text("utf-8")
        shown = run("preview", made, path)
        channels |= {"preview": shown.text}
        wire = "\n".join(
            seen.url + "\n" + str(seen.headers) + seen.body.decode() for seen in vendor.seen
        )
        channels |= {"wire": wire}
    own_ids = identifiers(events, ("partner_id",))
    return Left(channels, identifiers(events, PLAIN) - own_ids, own_ids, len(vendor.seen))


def found(channel: str, texts: set[str]) -> list[str]:
    """Which of the texts a channel holds, as words: a number of four digits is part of many a digest."""
    words = set(re.findall(r"[\w@.+-]+", channel))
    words |= {word.strip("@.+-") for word in words}
    return [
        text
        for text in texts
        if text in words or (re.search(r"[^\w@.+-]", text) and text in channel)
    ]


@pytest.mark.parametrize("name", ["example", "mixed"])
def test_no_plain_text_on_any_channel(name: str, request: pytest.FixtureRequest) -> None:
    sent: Left = request.getfixturevalue(name)
    assert sent.requests >= 2
    assert len(sent.forbidden) > 10
    for channel, text in sent.channels.items():
        assert not found(text, sent.forbidden), channel
        assert "example.com" not in text, channel
        if channel not in ("wire", "preview"):
            assert not sent.own_ids or not found(text, sent.own_ids), channel


def test_an_id_of_the_customer_travels_as_it_is(mixed: Left) -> None:
    assert found(mixed.channels["wire"], mixed.own_ids)


@pytest.mark.parametrize("name", ["example", "mixed"])
def test_no_secret_on_any_channel(name: str, request: pytest.FixtureRequest) -> None:
    sent: Left = request.getfixturevalue(name)
    secrets = {*ENVIRONMENT.values(), "secret-consumer-secret", "secret-access-token-secret"}
    for channel, text in sent.channels.items():
        assert not any(secret in text for secret in secrets), channel
    assert "oauth_signature=" in sent.channels["wire"]

"""Connections that export, and what of them can be checked by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import connector
from connector.connection.model import Connection
from tests.kit.clock import FakeClock

#: The key that X's page prints, which is nobody's: base64 text of 32 bytes.
KEY = "BrQvOg+dACBUmKjRiNxZgJLh6zydjS0ZOv80FelTNzM="
SECRET_BYTES = base64.b64decode(KEY)

MATCH: dict[str, Any] = {
    "company": {"value": "Acme"},
    "email": {"from": "email"},
    "handle": {"from": "handle"},
    "partner_user_id": {"from": "id"},
}
TARGETING: dict[str, Any] = {
    "partner_id": {"value": "111"},
    "advertiser": {"value": "@adsapi"},
    "partner_user_id": {"from": "id"},
    "confidence": {"from": "score"},
    "segment": {"from": "label"},
}
PARTNER: dict[str, Any] = {"partner_id": {"value": "111"}, "partner_user_id": {"from": "id"}}


def keyed(text: str) -> str:
    """Return the digest that Python's own HMAC makes of a text."""
    return hmac.new(SECRET_BYTES, text.encode(), hashlib.sha256).hexdigest()


def exporting(folder: Path, **exports: Any) -> Connection:
    """Return a connection with these exports of X, whose key is in a file."""
    key = folder / "key"
    key.write_text(KEY + "\n", "utf-8")
    document = {
        "destination": "x_custom_audiences",
        "settings": {"account_id": "18ce54d4x5t"},
        "credentials": {"partner_key": {"file": str(key)}},
        "exports": exports,
    }
    return connector.make_connection(document)


def exported(
    connection: Connection, name: str, events: Iterable[dict[str, Any]]
) -> tuple[list[str], connector.Report]:
    """Return the lines that an export makes of events, and its report."""
    stream = io.BytesIO()
    report = connector.export(connection, name, list(events), into=stream, clock=FakeClock())
    text = stream.getvalue().decode()
    assert text == "" or text.endswith("\n")
    lines = text.split("\n")[:-1]
    assert report.counts.delivered == len(lines)
    assert report.counts.bytes == len(stream.getvalue())
    return lines, report

"""The mapping that is measured.

E-mail, phone and handle of NDJSON events become bodies of 1,000 users: here through
`add_user_multi` of the definition, in `by_hand` without the framework.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from connector.connection.load import Connection, load_connection
from connector.definitions.catalog import Catalog
from connector.delivery.clock import SystemClock
from connector.delivery.ledger import Ledger
from connector.delivery.run import batches
from connector.pipeline.pipeline import Pipeline
from connector.sources.files import open_source

CONNECTION = """\
destination: x_custom_audiences
settings: {account_id: 18ce54d4x5t}
credentials:
  consumer_key: {env: X_CONSUMER_KEY}
  consumer_secret: {env: X_CONSUMER_SECRET}
  access_token: {env: X_ACCESS_TOKEN}
  access_token_secret: {env: X_ACCESS_TOKEN_SECRET}
routes:
  - action: add_user_multi
    map:
      custom_audience_id: {value: 1nmth}
      email: {from: traits.email}
      phone_number: {from: traits.phone}
      handle: {from: traits.handle}
"""


def event(number: int) -> bytes:
    """Return one line: made-up people with the untidy spelling of real ones."""
    traits = {
        "email": f" User.{number}@Example.com ",
        "phone": f"+49151{number % 10**8:08d}",
        "handle": f"@Handle_{number}",
    }
    return orjson.dumps(
        {"message_id": f"m{number}", "type": "audience", "status": "entered", "traits": traits}
    )


def write_events(path: Path, count: int) -> None:
    """Write a file of events."""
    with path.open("wb") as file:
        for number in range(count):
            file.write(event(number) + b"\n")


def connection() -> Connection:
    """Return the connection of the measured mapping."""
    with TemporaryDirectory() as folder:
        return load_connection(write_connection(Path(folder)), Catalog())


def write_connection(folder: Path, more: str = "") -> Path:
    """Write the connection file, with further lines when given."""
    path = folder / "connection.yaml"
    path.write_text(CONNECTION + more, "utf-8")
    return path


def declarative(pipeline: Pipeline, path: Path) -> Iterator[bytes]:
    """Yield the bodies that the framework makes of a file."""
    with open_source(str(path)) as source:
        for batch in batches(pipeline, source, Ledger(), SystemClock()):
            yield batch.endpoint.build(batch, 0.0).body

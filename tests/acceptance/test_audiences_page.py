"""Every command of docs/audiences.md is run as it stands, in its order, and prints what the page says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.library import load_connection
from connector.sandbox.local import Sandbox
from tests.kit import ROOT
from tests.kit.cli import SECRETS, run
from tests.kit.clock import NOW

PAGE = (ROOT / "docs" / "audiences.md").read_text("utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ connector (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
VENDOR = "https://ads-api.x.com"

CONNECTION = """
destination: x_custom_audiences
settings: {account_id: 18ce54d4x5t}
credentials:
  consumer_key: {env: X_CONSUMER_KEY}
  consumer_secret: {env: X_CONSUMER_SECRET}
  access_token: {env: X_ACCESS_TOKEN}
  access_token_secret: {env: X_ACCESS_TOKEN_SECRET}
base_url: %s
routes:
  - name: loyal
    action: add_user_multi
    map:
      custom_audience_id: {value: 1nmth}
      email: {from: email}
"""


@pytest.fixture
def base_url(tmp_path: Path) -> Iterator[str]:
    """Yield the address of an empty account, to which the page's connection leads."""
    path = tmp_path / "connection.yaml"
    path.write_text(CONNECTION % VENDOR, "utf-8")
    secrets = {name.removeprefix("X_").lower(): secret for name, secret in SECRETS.items()}
    sandbox = Sandbox(load_connection(path), secrets=secrets, clock=lambda: NOW)
    with sandbox.serve() as server:
        path.write_text(CONNECTION % server.base_url, "utf-8")
        yield server.base_url


def test_the_page_prints_what_it_says(tmp_path: Path, base_url: str) -> None:
    commands = [found for block in BLOCKS for found in COMMAND.findall(block)]
    assert len(commands) == 10
    for command, output in commands:
        done = run(*shlex.split(command), folder=tmp_path)
        shown = done.text.replace(base_url, VENDOR)
        if "--format json" in command and not output:
            # What the page leaves out is an object all the same.
            assert done.json["id"], done.text
        else:
            assert shown == output, command

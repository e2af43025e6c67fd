"""The commands that the page names, and how they are run: in one folder and against one sandbox."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from connector.library import load_connection
from connector.sandbox.local import Sandbox
from connector.sandbox.server import SandboxServer
from tests.kit import browser
from tests.kit.cli import SECRETS, Done, call, environment
from tests.kit.exports import KEY
from tests.kit.service import Served

HERE = Path(__file__).parent
FILES = HERE / "files"
#: These speak to the account; `send` does as well, without --sandbox.
_SPEAKS = ("audiences", "call", "check", "login", "logout")
#: What a caller posts to the service.
_POSTED = "people.ndjson"


@dataclass(frozen=True)
class Command:
    """A command as the page shows it, and the status with which it ends."""

    run: str
    status: int = 0


@cache
def commands() -> Mapping[str, Command]:
    """Return the commands by their ids, in their order."""
    read: dict[str, Any] = yaml.safe_load((HERE / "commands.yaml").read_text("utf-8"))
    found = {}
    for own, said in read.items():
        document = {"run": said} if isinstance(said, str) else said
        found[own] = Command(**document)
    return found


class Place:
    """A folder with the files, and a sandbox, in which commands are run in their order."""

    def __init__(self, folder: Path) -> None:
        """Copy the files."""
        shutil.copytree(FILES, folder, dirs_exist_ok=True)
        secrets = {name.removeprefix("X_").lower(): secret for name, secret in SECRETS.items()}
        self.server = Sandbox(load_connection(folder / "add.yaml"), secrets=secrets).serve()
        self._folder = folder
        store = {"CONNECTOR_STORE": str(folder / "store"), "BROWSER": browser.command("yes")}
        self._variables = environment(X_PARTNER_KEY=KEY, **store)
        self._rest = list(commands())
        self._done: dict[str, Done] = {}
        self._service: Served | None = None

    def run(self, own: str) -> Done:
        """Return what a command printed; those before it are run as well."""
        while own not in self._done:
            following = self._rest.pop(0)
            arguments = _arguments(commands()[following].run, self.server)
            if arguments[0] == "serve":
                self._done[following] = self._serve(arguments)
                continue
            if arguments[0] == "flush" and self._service is not None:
                arguments += ["--url", self._service.url]
            self._done[following] = call(*arguments, env=self._variables, folder=self._folder)
        return self._done[own]

    def _serve(self, arguments: list[str]) -> Done:
        """Start the service, which goes on, and post to it; return what it has printed."""
        _, connection, *options = arguments
        own = [self._folder / text if text == "service" else text for text in options]
        base_url = f"base_url={self.server.base_url}"
        self._service = Served(self._folder / connection, *own, "--set", base_url)
        events = (self._folder / _POSTED).read_bytes()
        assert self._service.call("/v1/events", events).status == 202
        return Done(0, "", json.dumps(self._service.lines))

    def close(self) -> None:
        """End the service, if it was started."""
        if self._service is not None:
            assert self._service.stop() == 0


def _arguments(line: str, server: SandboxServer) -> list[str]:
    """Return the arguments of a command, which leads to the sandbox instead of the vendor."""
    program, *arguments = shlex.split(line)
    assert program == "connector"
    if arguments[0] in _SPEAKS or (arguments[0] == "send" and "--sandbox" not in arguments):
        arguments += ["--set", f"base_url={server.base_url}"]
    if arguments[0] in ("login", "logout"):
        arguments += ["--set", f"login_url={server.login_url}"]
    if arguments[0] == "login":
        arguments += ["--callback", f"http://127.0.0.1:{_free_port()}/"]
    return arguments


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])

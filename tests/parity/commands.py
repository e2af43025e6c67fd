"""The commands that the page names are run: in one folder, in their order, and against one sandbox."""

from __future__ import annotations

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

HERE = Path(__file__).parent
FILES = HERE / "files"
#: These speak to the account; `send` does as well, without --sandbox.
_SPEAKS = ("audiences", "call", "check", "login", "logout")


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


def run_all(folder: Path) -> dict[str, Done]:
    """Run every command in a folder; return what each printed."""
    shutil.copytree(FILES, folder, dirs_exist_ok=True)
    secrets = {name.removeprefix("X_").lower(): secret for name, secret in SECRETS.items()}
    sandbox = Sandbox(load_connection(folder / "add.yaml"), secrets=secrets)
    store = {"CONNECTOR_STORE": str(folder / "store"), "BROWSER": browser.command("yes")}
    variables = environment(X_PARTNER_KEY=KEY, **store)

    done = {}
    with sandbox.serve() as server:
        for own, command in commands().items():
            arguments = _arguments(command.run, server)
            done[own] = call(*arguments, env=variables, folder=folder)
    return done


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

"""The command line as its users run it, in processes of their own; connections, events and reports for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar

from tests.kit import ROOT
from tests.kit.warm import warm_python

COMMAND = [sys.executable, "-m", "connector"]
SECRETS = {
    "X_CONSUMER_KEY": "secret-consumer-key",
    "X_CONSUMER_SECRET": "secret-consumer-secret",
    "X_ACCESS_TOKEN": "secret-access-token",
    "X_ACCESS_TOKEN_SECRET": "secret-access-token-secret",
}
AUDIENCE = "1nmth"
T = TypeVar("T")
COUNTS = (
    *(
        "events",
        "records",
        "delivered",
        "superseded",
        "rejected",
        "undelivered",
        "skipped",
        "blank",
        "identifiers_dropped",
    ),
    *("requests", "bytes", "seconds"),
)
#: What `send --format json` prints, in this order.
MEMBERS = (
    *COUNTS,
    "interrupted",
    "reasons",
    "dropped",
    "fill",
    "audiences",
    "warnings",
    "run",
    "restarts",
    "resent",
)

PARAMETERS = {
    "custom_audience_id": "audience",
    "email": "email",
    "email_sha256": "email_sha256",
    "phone_number": "phone",
    "handle": "handle",
    "twitter_id": "twitter_id",
    "device_id": "device",
    "partner_user_id": "partner",
    "effective_at": "start",
    "expires_at": "end",
}


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def text(self) -> str:
        return self.out + self.err


def environment(**changes: str | None) -> dict[str, str]:
    """This process's variables with the secrets; None takes one away."""
    variables = {
        **os.environ,
        **SECRETS,
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
        "NO_COLOR": "",
        "TERM": "dumb",
    }
    variables.pop("NO_COLOR")
    return {
        name: text
        for name in {**variables, **changes}
        if (text := changes.get(name, variables.get(name))) is not None
    }


def call(
    *arguments: str | Path,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout: float = 60,
) -> Done:
    """Run a command to its end, with `env` for its variables. Whatever the mistake: never a traceback."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        status = warm_python().run(
            list(map(str, arguments)),
            streams=(given, out, err),
            env=env or environment(),
            folder=folder or Path.cwd(),
            timeout=timeout,
        )
        out.seek(0)
        err.seek(0)
        done = Done(status, out.read().decode(), err.read().decode())
    assert "Traceback" not in done.text, done.err
    return done


def run(
    *arguments: str | Path,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Done:
    """Call a command that has the secrets of X, and shows none of them."""
    done = call(*arguments, stdin=stdin, env=env, folder=folder)
    assert not any(secret in done.text for secret in SECRETS.values())
    assert done.status in (0, 1, 2)
    return done


def succeed(*arguments: str | Path, env: Mapping[str, str], folder: Path) -> str:
    """Call a command that succeeds, and return what it prints."""
    done = call(*arguments, env=env, folder=folder)
    assert done.status == 0, done.text
    return done.out


def at_once(works: Sequence[Callable[[], T]]) -> list[T]:
    """Do several things side by side: most of a command's time is its start."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda work: work(), works))


def start(*arguments: str | Path, stdin: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start a command by an interpreter of its own, and leave it running."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        bufsize=0,
    )


def connection(
    folder: Path, *, base_url: str = "", changes: str = "", actions: Iterable[str] = ()
) -> Path:
    """A connection with a route for each action, by default one that adds people; each takes the events of its `do`."""
    names = list(actions)
    lines = [
        "destination: x_custom_audiences",
        "settings: {account_id: 18ce54d4x5t}",
        "credentials:",
    ]
    lines += [f"  {name.removeprefix('X_').lower()}: {{env: {name}}}" for name in SECRETS]
    lines += [f"base_url: {base_url}"] if base_url else []
    lines += ["event_id: id", *([changes] if changes else []), "routes:"]
    for name in names or ["add_user_multi"]:
        lines += [f"  - name: {name}", f"    action: {name}"]
        lines += [f"    when: event.do == '{name}'"] if names else []
        lines += [
            "    map:",
            *(f"      {parameter}: {{from: {path}}}" for parameter, path in PARAMETERS.items()),
        ]
    path = folder / "connection.yaml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def person(number: int, **more: Any) -> dict[str, Any]:
    """An event about a person of their own."""
    return {
        "id": f"e{number}",
        "audience": AUDIENCE,
        "email": f"person{number}@example.com",
        **more,
    }


def ndjson(
    folder: Path, events: Iterable[dict[str, Any] | str], name: str = "events.ndjson"
) -> Path:
    """A file of events; a text is a line as it is."""
    path = folder / name
    path.write_text(
        "".join(f"{e if isinstance(e, str) else json.dumps(e)}\n" for e in events), "utf-8"
    )
    return path


def report_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a report about events that were not delivered; all lines are checked for their form."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line in lines:
        members = ["event", "route", "outcome", "code", "reason", "file", "line", "run"]
        if line["outcome"] == "dropped":
            members.insert(3, "parameter")
        assert list(line) == members
        assert line["outcome"] in ("rejected", "undelivered", "dropped")
        assert line["code"]
        assert line["reason"]
    return [line for line in lines if line["outcome"] != "dropped"]


def dropped_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a report about values that were dropped."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [line for line in lines if line["outcome"] == "dropped"]


def assert_adds_up(summary: dict[str, Any]) -> None:
    """Every record has exactly one outcome."""
    outcomes = ("delivered", "superseded", "rejected", "undelivered")
    assert summary["records"] == sum(summary[outcome] for outcome in outcomes)

"""What the witnesses share: a sandbox to visit, and the record of what a client saw there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

import connector
from connector.definitions.catalog import Catalog
from connector.sandbox.server import SandboxServer
from tests.kit import ROOT

#: `make witness` and `make witness-npm` set it: then a package that is missing is a failure.
REQUIRED = "WITNESSES"
#: Where `make witness-npm` installs.
NPM = ROOT / ".venv-npm"

#: A wire key and one value.
Identifier = tuple[str, str]
Kind = Literal["adds", "removes", "tries", "refused"]
#: The people of each audience, by name.
Held = dict[str, list[str]]


def needs(package: str, *modules: str, ignoring: str = "") -> None:
    """Import modules of a Python package; skip the file that asks when it is not installed.

    `ignoring` is how a warning begins that the package itself gives while it is imported.

    Raise ModuleNotFoundError where the witnesses are required.
    """
    with warnings.catch_warnings():
        if ignoring:
            warnings.filterwarnings("ignore", message=ignoring)
        try:
            for module in modules:
                import_module(module)
        except ModuleNotFoundError:
            if os.environ.get(REQUIRED) == "python":
                raise
            pytest.skip(f"needs {package}, from `make witness`", allow_module_level=True)


def needs_npm(package: str) -> None:
    """Skip the file that asks, unless node and an npm package are there.

    Raise FileNotFoundError instead where the witnesses are required.
    """
    if shutil.which("node") and (NPM / "node_modules" / package).is_dir():
        return
    reason = f"needs node and {package}, from `make witness-npm`"
    if os.environ.get(REQUIRED) == "npm":
        raise FileNotFoundError(reason)
    pytest.skip(reason, allow_module_level=True)


def npm_version(package: str) -> str:
    """Return the version of an npm package that is installed."""
    document = json.loads((NPM / "node_modules" / package / "package.json").read_text("utf-8"))
    return str(document["version"])


class NodeError(Exception):
    """What a client under node threw: the name of its type, and its members."""

    def __init__(self, thrown: Mapping[str, Any]) -> None:
        super().__init__(thrown["message"])
        self.name: str = thrown["name"]
        self.members: dict[str, Any] = thrown["members"]


@contextmanager
def node(client: str) -> Iterator[Callable[..., Any]]:
    """Give a function that calls `act` of npm/CLIENT.mjs, in one process that serves them all.

    The function raises NodeError for what the client throws.
    """
    folder = Path(__file__).with_name("npm")
    script = "\n".join((folder / f"{name}.mjs").read_text("utf-8") for name in (client, "loop"))
    # a script that is no file finds the packages of the working folder
    command = ["node", "--input-type=module", "--eval", script]
    with subprocess.Popen(
        command, cwd=NPM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        lines, answers = process.stdin, process.stdout

        def act(*arguments: Any) -> Any:
            print(json.dumps(arguments), file=lines, flush=True)
            said = json.loads(answers.readline())
            if "thrown" in said:
                raise NodeError(said["thrown"])
            return said["returned"]

        try:
            yield act
        finally:
            lines.close()


class RefusedError(Exception):
    """What a plain script makes of a status that is no success."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body


def call(method: str, url: str, body: Any = None, **headers: str) -> Any:
    """Send JSON, as a script without a library does, and return the body of the answer.

    Raise RefusedError for a status that is no success.
    """
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = Request(url, content, {"content-type": "application/json", **named}, method=method)
    try:
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except HTTPError as error:
        with error:
            raise RefusedError(error.code, json.load(error)) from None


def digest(text: str) -> str:
    """Return a text's SHA-256 in hexadecimal."""
    return sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Client:
    """Somebody else's program."""

    vendor: str
    name: str
    version: str
    language: str

    @property
    def cells(self) -> list[str]:
        """Return how the row begins that is about it."""
        return [self.vendor, self.name, self.version or "-"]

    @property
    def title(self) -> str:
        """Return the heading of what it saw."""
        version = f" {self.version}" if self.version else ""
        return f"{self.vendor}: {self.name}{version} ({self.language})"


@dataclass(frozen=True)
class Step:
    """One thing that a client did: what it said, and whom the sandbox held then."""

    kind: Kind
    name: str
    returned: Any
    error: Any
    held: Held


@dataclass
class Visit:
    """A client's visit to a sandbox.

    `people` are the identifiers of each, by name. `says` puts what the client returned, or the
    error that it raised, into words that are the same on every machine.
    """

    client: Client
    destination: str
    people: Mapping[str, set[Identifier]]
    says: Callable[[Any], str]
    steps: list[Step] = field(default_factory=list)
    #: What the sandbox expects, by the names of the credentials.
    secrets: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def server(self) -> Iterator[SandboxServer]:
        """Serve a new sandbox while the client is there."""
        self._sandbox = connector.Sandbox(Catalog().load(self.destination))
        self.secrets = self._sandbox.secrets
        with self._sandbox.serve() as server:
            yield server

    def adds(self, name: str, act: Callable[[], Any]) -> None:
        """Let the client add somebody."""
        self._take("adds", name, act)

    def removes(self, name: str, act: Callable[[], Any]) -> None:
        """Let the client remove somebody."""
        self._take("removes", name, act)

    def tries(self, name: str, act: Callable[[], Any]) -> None:
        """Let the client do what changes nothing."""
        self._take("tries", name, act)

    def is_refused(self, name: str, act: Callable[[], Any]) -> None:
        """Let the client do what the vendor refuses."""
        self._take("refused", name, act)

    def _take(self, kind: Kind, name: str, act: Callable[[], Any]) -> None:
        returned = error = None
        try:
            returned = act()
        except Exception as raised:  # noqa: BLE001 - each client has errors of its own
            error = raised
        self.steps.append(Step(kind, name, returned, error, self.held()))

    def held(self) -> Held:
        """Return whom the sandbox holds now; somebody with other identifiers is `?`."""
        names = {frozenset(identifiers): name for name, identifiers in self.people.items()}
        held = {}
        for holding in self._sandbox.holdings():
            people = []
            for person in self._sandbox.vendor.members(holding.path):
                people.append(names.get(person, "?"))
            if people:
                held[holding.path] = sorted(people)
        return held

    def step(self, name: str) -> Step:
        """Return the step of this name. Raise ValueError when there is none, or two."""
        [step] = [step for step in self.steps if step.name == name]
        return step


def assert_taken(visit: Visit, name: str, held: Held) -> Any:
    """Return what the client returned in a step, after which the sandbox has to hold these people.

    Raise the error that the client raised instead.
    """
    step = visit.step(name)
    if step.error is not None:
        raise step.error
    assert step.held == held
    return step.returned


def assert_refused(visit: Visit, name: str, kind: type[Exception]) -> Any:
    """Return the error of a step; it has to be of this kind, and nobody was added or removed."""
    step = visit.step(name)
    place = visit.steps.index(step)
    before = visit.steps[place - 1].held if place else {}
    assert step.held == before
    assert type(step.error) is kind, step.returned
    return step.error


def lines_of(visit: Visit) -> list[str]:
    """Return a visit as lines of Markdown."""
    lines = [f"## {visit.client.title}", ""]
    lines += ["| it | is told | people held then |", "|---|---|---|"]
    for step in visit.steps:
        told = visit.says(step.error if step.error is not None else step.returned)
        what = f"{'' if step.kind == 'refused' else step.kind + ' '}{step.name}"
        lines.append(f"| {what} | {told} | {_people(step.held)} |")
    return lines


def summary_of(visit: Visit) -> str:
    """Return a visit as one row of the table of all."""
    cells = visit.client.cells
    for kind in ("adds", "removes", "refused"):
        right = []
        before: Held = {}
        for step in visit.steps:
            if step.kind == kind:
                refused = step.error is not None
                right.append(refused if kind == "refused" else step.held != before)
            before = step.held
        cells.append(f"{sum(right)} of {len(right)}")
    cells.append(_people(visit.steps[-1].held))
    return row_of(*cells)


def row_of(*cells: object) -> str:
    """Return a row of a table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def _people(held: Held) -> str:
    if not held:
        return "nobody"
    if len(held) == 1:
        [people] = held.values()
        return ", ".join(people)
    parts = []
    for audience, people in held.items():
        parts.append(f"{audience}: {', '.join(people)}")
    return "; ".join(parts)

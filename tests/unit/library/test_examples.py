"""Every example of docs/library.md is run as it stands, and prints what the page says."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import connector
from tests.kit import ROOT

PAGE = (ROOT / "docs" / "library.md").read_text("utf-8")
EXAMPLES = re.findall(
    r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", PAGE, re.MULTILINE | re.DOTALL
)
PRINTING = [(code, output) for code, output in EXAMPLES if output]
SECRETS = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")


def example(word: str) -> str:
    """Return the one example that contains a word."""
    [code] = [code for code, _ in EXAMPLES if word in code]
    return code


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the files that the examples name."""
    for name in ("connection.yaml", "events.ndjson"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sandbox(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[connector.Sandbox]:
    """Let the folder's connection lead to a sandbox over HTTP."""
    for name in SECRETS:
        monkeypatch.setenv(f"X_{name.upper()}", f"sandbox-{name}")
    path = folder / "connection.yaml"
    sandbox = connector.Sandbox(connector.load_connection(path))
    with sandbox.serve() as server:
        text = f"base_url: {server.base_url}\n{path.read_text('utf-8')}"
        (folder / "dags").mkdir()
        for file in (path, folder / "dags" / "connection.yaml"):
            file.write_text(text, "utf-8")
        yield sandbox


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for what the examples take from Airflow."""

    def task(function: Any = None, **_: Any) -> Any:
        return function or (lambda decorated: decorated)

    secrets = {name: f"sandbox-{name}" for name in SECRETS}
    stored = SimpleNamespace(get=lambda _: SimpleNamespace(extra_dejson=secrets))
    sdk = ModuleType("airflow.sdk")
    sdk.__dict__.update(task=task, Connection=stored)
    monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "docs/library.md", "exec"), names)
    return names


def test_every_example_is_run_by_a_test() -> None:
    called = ("def send_audience(", "def send_audience_with_secrets(", "async def app(")
    tested = {code for code, _ in PRINTING} | set(map(example, called))
    assert {code for code, _ in EXAMPLES} == tested


@pytest.mark.parametrize(("code", "output"), PRINTING)
def test_an_example_prints_what_the_page_says(
    code: str, output: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(code)
    assert capsys.readouterr().out == output


@pytest.mark.usefixtures("airflow")
def test_the_airflow_task(sandbox: connector.Sandbox, folder: Path) -> None:
    send_audience = run(example("def send_audience("))["send_audience"]
    assert send_audience("events.ndjson")["delivered"] == 5
    lines = (folder / "events.ndjson.failed").read_text("utf-8").splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["dropped"]


@pytest.mark.usefixtures("airflow", "sandbox")
def test_the_airflow_task_fails_when_something_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_ACCESS_TOKEN", "expired")
    send_audience = run(example("def send_audience("))["send_audience"]
    with pytest.raises(RuntimeError, match="5 records were left undelivered"):
        send_audience("events.ndjson")


@pytest.mark.usefixtures("airflow")
def test_the_airflow_task_with_secrets(
    sandbox: connector.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.delenv(f"X_{name.upper()}")
    names = run(example("def send_audience_with_secrets("))
    assert names["send_audience_with_secrets"]("events.ndjson") == 5
    assert len(sandbox.holdings()) == 2


def test_the_web_handler(sandbox: connector.Sandbox) -> None:
    app = run(example("async def app("))["app"]
    events = [
        {"message_id": "m-1", "type": "audience", "status": "entered", "traits": {"email": "a@example.com"}},
        {"message_id": "m-2", "type": "audience", "status": "entered", "traits": {}},
    ]  # fmt: skip
    body = json.dumps(events).encode()
    messages = iter(
        [{"body": body[:20], "more_body": True}, {"body": body[20:], "more_body": False}]
    )
    answers: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", **next(messages)}

    async def send(message: dict[str, Any]) -> None:
        answers.append(message)

    asyncio.run(app({"type": "http"}, receive, send))
    assert answers[0]["status"] == 200
    answer = json.loads(answers[1]["body"])
    assert answer["delivered"] == 1
    assert [failure["event"] for failure in answer["failed"]] == ["m-2"]

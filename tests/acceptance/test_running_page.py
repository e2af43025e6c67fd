"""docs/running.md is true: its metrics, events, codes, statements and commands are those of the service."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer.core

from connector._util.state_folder import FolderLock
from connector.cli.app import app
from connector.delivery.outbox.keys import pack_keys
from connector.delivery.outbox.model import Bundle, Post, Status
from connector.delivery.outbox.sqlite import SqliteOutbox
from connector.delivery.worker.bundles import Bundles
from connector.library import load_connection
from connector.model import Event, Record
from connector.pipeline.pipeline import Pipeline
from tests.kit import ROOT
from tests.kit.cli import AUDIENCE, connection

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

PAGE = (ROOT / "docs" / "running.md").read_text("utf-8")
BUNDLE = Bundle("connection", "lane", "add", 1, pack_keys([1], b"12345678"), b"{}")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    text = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    [table, *_] = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    found = []
    for line in table.splitlines()[2:]:
        found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def names(text: str) -> list[str]:
    return re.findall(r"`(\w+)`", text)


def source(folder: str) -> str:
    text = ""
    for path in sorted((ROOT / "connector" / folder).rglob("*.py")):
        text += path.read_text("utf-8")
    return text


# Metrics --------------------------------------------------------------------------------------------------------------


def metrics() -> dict[str, set[str]]:
    """What `/metrics` has once everything was counted: labels by name."""
    from prometheus_client.parser import text_string_to_metric_families

    from connector.service.app import PATHS
    from connector.service.metrics import Metrics

    made = Metrics(lambda: Status(time.time(), {}), ["connection"], PATHS)
    made.answered("/v1/events", 202)
    made.taken({"accepted": 1, "skipped": 1, "rejected": 1})
    made.attempted("connection", "delivered")
    made.stopped("connection")
    found = {}
    for family in text_string_to_metric_families(made.text()[0].decode()):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                found[sample.name] = set(sample.labels)
    return found


def test_the_metrics_are_those_of_the_service() -> None:
    told = {names(name)[0]: set(names(labels)) for name, labels, _ in rows("What to watch")}
    assert told == metrics()


def test_each_expression_asks_for_metrics_and_labels_that_there_are() -> None:
    [text] = blocks("promql")
    expressions = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(expressions) == text.count("#") == 9
    known = metrics()
    outcomes = {}
    for name, _, words in rows("What to watch"):
        outcomes[names(name)[0]] = names(words)
    for expression in expressions:
        assert expression.count("(") == expression.count(")")
        for name, selector in re.findall(r"(connector_\w+)(?:\{(.*?)\})?", expression):
            for label, value in re.findall(r'(\w+)=~?"(.*?)"', selector):
                assert label in known[name]
                assert label != "outcome" or value in outcomes[name]
        for label in re.findall(r"by \((\w+)\)", expression):
            [name, *_] = re.findall(r"connector_\w+", expression)
            assert label in known[name]


def test_the_outcomes_are_those_that_are_counted() -> None:
    words = {names(name)[0]: names(text) for name, _, text in rows("What to watch")}
    assert len(words["connector_events_total"]) == 3
    for word in words["connector_events_total"]:
        assert f'"{word}":' in source("service")
    ledger = (ROOT / "connector" / "delivery" / "worker" / "ledger.py").read_text("utf-8")
    for word in words["connector_vendor_requests_total"]:
        assert f'"{word}"' in ledger


# Logs and codes -------------------------------------------------------------------------------------------------------


def test_the_events_are_those_that_are_logged() -> None:
    told = set()
    for events, levels, _ in rows("Logs"):
        each = [level.strip() for level in levels.split(",")]
        every = names(events)
        for number, event in enumerate(every):
            told.add((event, each[min(number, len(each) - 1)]))
    logged = set()
    for level, event in re.findall(r'log\.(info|warning|error)\(\s*"(\w+)"', source("service")):
        logged.add((event, level))
    assert told == logged


def test_the_codes_are_those_of_the_connector() -> None:
    text = source(".")
    codes = [names(code)[0] for code, *_ in rows("What to do when an audience is stopped")[:-1]]
    assert len(codes) == 7
    for code in codes + re.findall(r"`(other_\w+)`", PAGE):
        assert f'"{code}"' in text, code


# Commands -------------------------------------------------------------------------------------------------------------


def test_the_commands_are_of_the_command_line() -> None:
    group: Any = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    lines = []
    for block in blocks("sh"):
        lines += re.findall(
            r"^(?:.*[ /])?connector ((?:dead|flush|status) .*)$", block, re.MULTILINE
        )
    assert len(lines) == 6
    for line in lines:
        name, *arguments = line.split()
        command: Any = group.commands[name]
        if name == "dead":
            command = command.commands[arguments.pop(0)]
        command.make_context(name, arguments).close()


def test_a_copy_of_the_outbox_is_whole_and_somebodys_alone(tmp_path: Path) -> None:
    [script] = [block for block in blocks("sh") if "VACUUM" in block]
    mask, command = script.splitlines()
    _, _, statement = shlex.split(command)
    state, copy = tmp_path / "state", tmp_path / "copy"
    state.mkdir()
    copy.mkdir()
    lock = FolderLock(state)
    running = SqliteOutbox(state, lock)
    running.accept([Post([BUNDLE])])

    statement = statement.replace("/var/backups", str(copy))
    program = f"import sqlite3; sqlite3.connect('{state / 'outbox.db'}').execute(\"{statement}\")"
    line = f"{mask}; {shlex.join([sys.executable, '-c', program])}"
    subprocess.run(["/bin/sh", "-c", line], check=True)
    assert (copy / "outbox.db").stat().st_mode & 0o777 == 0o600
    running.accept([Post([BUNDLE])])

    restored = SqliteOutbox(copy, FolderLock(copy))
    assert restored.status().connections["connection"].pending == 1
    assert running.status().connections["connection"].pending == 2
    restored.close()
    running.close()
    lock.close()


def test_the_statements_for_postgresql() -> None:
    from tests.kit.outbox import postgres_url

    url = postgres_url()
    import psycopg

    from connector.delivery.outbox.postgres import PostgresOutbox

    own, other = blocks("sql")
    path = re.compile(r"//[^@/]*@?/[^?]*")
    with psycopg.connect(url, autocommit=True) as server:
        for statement in own.strip().splitlines():
            server.execute(statement.encode())
        outbox = PostgresOutbox(path.sub("//connector@/connector", url))
        outbox.accept([Post([BUNDLE])])
        outbox.close()
        with psycopg.connect(path.sub("//postgres@/connector", url), autocommit=True) as owner:
            for statement in other.strip().splitlines():
                owner.execute(statement.encode())

        outbox = PostgresOutbox(path.sub("//connector_service@/connector", url))
        outbox.accept([Post([BUNDLE])])
        [lease] = outbox.lease("worker", ["connection"], 10.0, 1)
        assert outbox.stop(lease, "gave_up", "", 0.0)
        assert outbox.status().connections["connection"].pending == 2
        outbox.close()
        server.execute("DROP DATABASE connector WITH (FORCE)")
        server.execute("DROP ROLE connector")
        server.execute("DROP ROLE connector_service")


# Sizes ----------------------------------------------------------------------------------------------------------------


MANY = {"phone": "+491512345", "handle": "h"}


@pytest.mark.parametrize(
    ("more", "size", "told"),
    [
        ({}, 1, "hashed email address takes some 600 bytes when it is posted alone"),
        ({}, 1_000, "and some 200 in a post of a thousand"),
        (MANY, 1, "one of three hashed identifiers some 1,050"),
        (MANY, 1_000, "hashed identifiers some 1,050 and some 520"),
    ],
    ids=["alone", "together", "three alone", "three together"],
)
def test_a_record_takes_no_more_bytes_than_told(
    tmp_path: Path, more: dict[str, str], size: int, told: str
) -> None:
    assert told in PAGE.replace("\n", " ")
    most = int(re.findall(r"some ([\d,]+)", told)[-1].replace(",", ""))
    made = load_connection(connection(tmp_path))
    bundles = Bundles("connection", made)
    events = []
    for number in range(2_000):
        person = {name: f"{text}{number:05}" for name, text in more.items()}
        email = f"person{number}@example.com"
        data = {"id": f"e{number}", "audience": AUDIENCE, "email": email, **person}
        events.append(Event(number + 1, json.loads(json.dumps(data))))
    records = Pipeline(made).prepare(events, time.time())
    records = [record for record in records if isinstance(record, Record)]
    assert len(records) == len(events)
    written = []
    for start in range(0, len(records), size):
        written += bundles.write(records[start : start + size])
    post = Post([one.bundle for one in written])

    before = file_size(tmp_path, Post(()))
    after = file_size(tmp_path, post)
    assert (after - before) / len(events) <= 1.1 * most


def file_size(folder: Path, post: Post) -> int:
    """Return the bytes of the outbox in a folder once it has a further post."""
    with closing(FolderLock(folder)) as lock, closing(SqliteOutbox(folder, lock)) as outbox:
        outbox.accept([post])
    return (folder / "outbox.db").stat().st_size


def test_what_is_on_disk_is_in_the_table() -> None:
    told = [file for row in rows("What is on disk") for file in re.findall(r"`([^`]+)`", row[0])]
    assert told == ["outbox.db", "outbox.db-wal", "outbox.db-shm", "lock", "audiences.json"]
    text = source(".")
    for file in ("outbox.db", "lock", "audiences.json"):
        assert f'"{file}"' in text
    assert sqlite3.sqlite_version_info >= (3, 27)  # VACUUM INTO

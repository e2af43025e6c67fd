"""`connector audiences` against the strict server, which knows nothing of the connector."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.cli.rows import rows_text
from tests.kit.cli import SECRETS, Done, connection, run, start

from .mixed_events import ACCOUNT_ID
from .strict_server import StrictServer

CREDENTIALS = {name.removeprefix("X_").lower(): secret for name, secret in SECRETS.items()}


class Account:
    """A connection to the server."""

    def __init__(self, file: Path, server: StrictServer) -> None:
        self.file = file
        self.server = server

    def run(self, command: str, *arguments: str) -> Done:
        return run("audiences", command, self.file, *arguments)

    def json(self, command: str, *arguments: str) -> Any:
        done = self.run(command, *arguments, "--format", "json")
        assert done.status == 0, done.text
        return done.json

    def create(self, name: str) -> str:
        return str(self.json("create", "--name", name)["id"])

    @property
    def changes(self) -> int:
        """How many requests changed something."""
        return sum(one.applied for one in self.server.requests)


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """Yield an account without audiences."""
    with StrictServer(CREDENTIALS, ACCOUNT_ID, set(), set()) as server:
        yield Account(connection(tmp_path, base_url=server.base_url), server)


def test_an_audience_is_created_listed_shown_renamed_and_deleted(account: Account) -> None:
    created = account.json("create", "description=Who bought", "--name", "Spring list")
    own = created["id"]
    assert (created["name"], created["description"]) == ("Spring list", "Who bought")

    [row] = account.json("list")
    assert {member: row[member] for member in ("id", "name", "size", "state")} == {
        "id": own,
        "name": "Spring list",
        "size": None,
        "state": "PROCESSING, TOO_SMALL",
    }
    assert list(row)[:4] == ["id", "name", "size", "state"]
    assert row["targetable"] is False
    assert row["reasons"] == ["PROCESSING", "TOO_SMALL"]
    assert account.json("show", own) == row

    assert account.json("rename", own, "--name", "Summer list")["name"] == "Summer list"
    assert [row["name"] for row in account.json("list")] == ["Summer list"]

    deleted = account.json("delete", own, "--yes")
    assert (deleted["id"], deleted["state"]) == (own, "deleted")
    assert account.json("list") == []
    assert [row["id"] for row in account.json("list", "--deleted")] == [own]
    assert account.json("list", "--deleted", "q=Autumn") == []


def test_people_read_tables_and_lines(account: Account) -> None:
    own = account.create("Spring list")
    heading, line = account.run("list").out.splitlines()
    assert heading.split()[:3] == ["id", "name", "state"]
    assert line.startswith(f"{own}  Spring list  PROCESSING, TOO_SMALL")
    assert f"id          {own}\nname        Spring list\n" in account.run("show", own).out


def test_columns_keep_their_order_whatever_is_deleted() -> None:
    rows = [
        {"id": "1", "name": "A", "size": None, "state": "READY", "note": None},
        {"id": "2", "name": "B", "size": 7, "state": "deleted", "note": None},
    ]
    heading = rows_text(rows, is_list=True).splitlines()[0]
    assert heading.split() == ["id", "name", "size", "state"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "a&b",
            "C234 name: the name has &; leave that out: a name may have no + & , % : ; @ / = ? $\n",
        ),
        (
            "x" * 256,
            "C234 name: the name has 256 characters; shorten it: allowed are at most 255\n",
        ),
        ("", "C234 name: the name is empty; choose one\n"),
    ],
)
def test_a_name_that_cannot_be_is_refused_before_anything_is_sent(
    account: Account, name: str, message: str
) -> None:
    done = account.run("create", "--name", name)
    assert (done.status, done.out, done.err) == (2, "", message)
    assert not account.server.requests


def test_a_taken_name_is_refused_before_anything_is_created(account: Account) -> None:
    own = account.create("Spring")
    account.server.requests.clear()
    done = account.run("create", "--name", "Spring")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "create_custom_audience failed (name_taken): there is a custom audience of that name "
        f"already, {own}; use it, or choose another name\n"
    )
    assert account.changes == 0


def test_a_name_that_a_deleted_audience_keeps_is_refused_with_a_free_one(account: Account) -> None:
    account.json("delete", account.create("Spring"), "--yes")
    account.server.requests.clear()
    done = account.run("create", "--name", "Spring")
    assert done.status == 1
    assert done.err == (
        "create_custom_audience failed (name_kept): a deleted custom audience keeps that name for "
        "good; choose another: 'Spring 2' is free\n"
    )
    assert account.changes == 0
    account.create("Spring 2")


def test_nothing_is_deleted_without_a_yes(account: Account) -> None:
    own = account.create("Spring")
    done = account.run("delete", own)
    assert done.status == 2
    assert done.err == ("C237 --yes: an audience is deleted for good; add --yes if that is meant\n")
    assert account.changes == 1


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("n", 1)])
def test_on_a_terminal_deleting_asks_first(account: Account, answer: str, left: int) -> None:
    own = account.create("Spring")
    terminal, theirs = pty.openpty()
    process = start("audiences", "delete", account.file, own, stdin=theirs)
    os.write(terminal, f"{answer}\n".encode())
    _, err = process.communicate(timeout=60)
    os.close(terminal)
    os.close(theirs)
    assert f"Delete {own} (Spring) for good?" in err.decode()
    assert process.returncode == left
    assert len(account.json("list")) == left


WITH_AN_ID = (["show"], ["delete", "--yes"], ["rename", "--name", "Z"])


@pytest.mark.parametrize("command", WITH_AN_ID)
def test_an_audience_that_is_not_there_is_said_to_be_not_there(
    account: Account, command: list[str]
) -> None:
    name, *options = command
    done = account.run(name, "1nmth", *options)
    assert done.status == 1
    assert "there is no custom audience '1nmth' in this account" in done.err
    assert f"; see 'connector audiences list {account.file}'" in done.err
    assert account.changes == 0


@pytest.mark.parametrize("command", WITH_AN_ID)
def test_a_name_for_an_id_is_said_to_be_one_with_its_id(
    account: Account, command: list[str]
) -> None:
    own = account.create("Winter list")
    name, *options = command
    done = account.run(name, "Winter list", *options)
    assert done.status == 1
    assert f"'Winter list' is the name of a custom audience; its id is {own}" in done.err
    assert account.changes == 1


def test_the_do_not_reach_list_is_a_kind_of_its_own(account: Account) -> None:
    kind = ("--kind", "do_not_reach_list_id")
    own = account.json("create", "description=Who objected", *kind)["id"]
    assert [row["id"] for row in account.json("list", *kind)] == [own]
    assert account.json("show", own, *kind)["name"] == "Do Not Reach List"

    again = account.run("create", *kind)
    assert again.status == 1
    assert f"the account has its Do Not Reach list already, {own}; use that one" in again.err
    named = account.run("create", "--name", "x", *kind)
    assert "C236 --name: nobody names a Do Not Reach list: an account has one" in named.err
    renamed = account.run("rename", own, "--name", "x", *kind)
    assert (
        "C235 do_not_reach_list_id: a Do Not Reach list cannot be renamed by a call" in renamed.err
    )
    assert account.changes == 1
    account.json("delete", own, "--yes", *kind)


def test_what_is_wrong_on_the_command_line_is_said_before_anything_is_sent(
    account: Account,
) -> None:
    missing = account.run("create")
    assert missing.status == 2
    assert missing.err == 'C236 --name: a custom audience needs a name; add --name "…"\n'
    unknown = account.run("list", "--kind", "custom_audience")
    assert "did you mean 'custom_audience_id'?" in unknown.err
    extra = account.run("create", "descripton=x", "--name", "Spring")
    assert "C231 create_custom_audience#/descripton: unknown parameter" in extra.err
    assert account.changes == 0

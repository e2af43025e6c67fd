"""`connector call`: tables and JSON, all pages, and what it says when the vendor does not do it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.library import load_connection
from connector.sandbox.local import Sandbox
from tests.kit.cli import SECRETS, Done, connection, run

CREDENTIALS = {name.removeprefix("X_").lower(): secret for name, secret in SECRETS.items()}


class Account:
    """A connection to a sandbox over HTTP."""

    def __init__(self, file: Path, sandbox: Sandbox) -> None:
        self.file = file
        self.sandbox = sandbox

    def call(self, *arguments: str) -> Done:
        return run("call", self.file, *arguments)

    def json(self, *arguments: str) -> Any:
        done = self.call(*arguments, "--format", "json")
        assert done.status == 0, done.text
        return done.json


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """Yield an account in the sandbox, and a connection to it."""
    sandbox = Sandbox(load_connection(connection(tmp_path)), secrets=CREDENTIALS)
    with sandbox.serve() as server:
        yield Account(connection(tmp_path, base_url=server.base_url), sandbox)


def test_one_object_is_lines_or_a_json_object(account: Account) -> None:
    created = account.json("create_custom_audience", "name=Spring list", "description=a=b, c")
    assert (created["name"], created["description"]) == ("Spring list", "a=b, c")

    done = account.call("get_custom_audience", f"custom_audience_id={created['id']}")
    assert done.status == 0
    assert f"id           {created['id']}\nname         Spring list\n" in done.out
    assert "size" not in done.out
    assert not done.err


def test_a_list_is_a_table_or_json_of_all_pages(account: Account) -> None:
    assert account.json("list_custom_audiences") == []
    assert account.call("list_custom_audiences").out == "nothing found\n"

    names = ["Autumn", "Spring", "Winter with a long name"]
    ids = [account.json("create_custom_audience", f"name={name}")["id"] for name in names]
    rows = account.json("list_custom_audiences", "count=1")
    assert [row["id"] for row in rows] == ids

    heading, *lines = account.call("list_custom_audiences").out.splitlines()
    assert heading.split()[:3] == ["id", "name", "targetable"]
    assert [line.split()[0] for line in lines] == ids
    assert all(
        line.index(name) == heading.index("name") for line, name in zip(lines, names, strict=True)
    )


def test_progress_is_on_standard_error_when_it_is_asked_for(account: Account) -> None:
    for name in ("A", "B"):
        account.json("create_custom_audience", f"name={name}")
    done = account.call("list_custom_audiences", "count=1", "--progress", "--format", "json")
    assert done.err == "page 1, 1 rows\npage 2, 2 rows\n"
    assert len(json.loads(done.out)) == 2


def test_a_refusal_of_the_vendor_has_the_status_1_and_says_what_to_do(account: Account) -> None:
    account.json("create_custom_audience", "name=Spring")
    taken = account.call("create_custom_audience", "name=Spring", "--format", "json")
    assert (taken.status, taken.out) == (1, "")
    assert taken.err == (
        "create_custom_audience failed (name_taken): X has an audience of that name already; list "
        "with with_deleted=true to see whether a deleted one keeps it (INVALID_PARAMETER)\n"
    )
    missing = account.call("delete_custom_audience", "custom_audience_id=1nmth")
    assert missing.status == 1
    assert "check the id, and whether it was deleted" in missing.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lst_custom_audiences"], "C230 lst_custom_audiences: unknown call"),
        (["add_user"], "'add_user' is an action"),
        (
            ["list_custom_audiences", "name=x"],
            "C231 list_custom_audiences#/name: unknown parameter",
        ),
        (["list_custom_audiences", "count=1001"], "count must be at most 1000"),
        (["get_custom_audience"], "'custom_audience_id' is required"),
        (["get_custom_audience", "custom_audience_id=NoId"], "custom_audience_id"),
        (["get_custom_audience", "1nmth"], "C232 NAME=VALUE: a parameter without a value"),
        (["list_custom_audiences", "q=a", "q=b"], "C232 NAME=VALUE: 'q' is given twice"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_said_before_anything_is_sent(
    account: Account, arguments: list[str], message: str
) -> None:
    seen: list[str] = []
    account.sandbox.vendor.log = seen.append
    done = account.call(*arguments)
    assert done.status == 2
    assert message in done.err
    assert not seen


def test_a_vendor_that_is_down_is_given_up_after_the_retries(tmp_path: Path) -> None:
    sandbox = Sandbox(load_connection(connection(tmp_path)), secrets=CREDENTIALS, faults=["503:2"])
    with sandbox.serve() as server:
        file = connection(tmp_path, base_url=server.base_url)
        done = run("call", file, "list_custom_audiences", "--retries", "1", "--progress")
    assert done.status == 1
    assert "list_custom_audiences failed (gave_up)" in done.err


def test_show_tells_of_calls() -> None:
    shown = run("show", "x_custom_audiences", "--format", "json").json
    assert shown["calls"]["list_custom_audiences"] == "List Custom Audiences"
    assert "\ncalls\n  authenticated_user_access " in run("show", "x_custom_audiences").out

    one = run("show", "x_custom_audiences.list_custom_audiences", "--format", "json").json
    assert one["call"] == "x_custom_audiences.list_custom_audiences"
    assert [parameter["name"] for parameter in one["parameters"]][:2] == [
        "q",
        "custom_audience_ids",
    ]
    text = run("show", "x_custom_audiences.create_custom_audience").out
    assert "request    POST https://ads-api.x.com/12/accounts/{account_id}/custom_audiences" in text
    assert "  error      when status == 404" in text

    unknown = run("show", "x_custom_audiences.list_custom_audience")
    assert "did you mean 'list_custom_audiences'" in unknown.err

"""`connector check` against the strict server: one line for each thing, with the way out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.cli import SECRETS, Done, connection, environment, run

from .mixed_events import ACCOUNT_ID
from .strict_server import Fault, StrictServer

CREDENTIALS = {name.removeprefix("X_").lower(): secret for name, secret in SECRETS.items()}


WARNING = (
    "warning  custom audience 1nmth     '1nmth', size not known yet, PROCESSING, TOO_SMALL; people "
    "can be sent all the same; it can be targeted once the vendor has processed enough of them"
)


class Account:
    """A connection to the server, whose audience is a constant."""

    def __init__(self, folder: Path, server: StrictServer) -> None:
        self.server = server
        self.file = connection(folder, base_url=server.base_url)
        self.use("{value: 1nmth}")

    def use(self, source: str) -> None:
        text = self.file.read_text("utf-8")
        line = next(line for line in text.splitlines() if "custom_audience_id" in line)
        text = text.replace(line, f"      custom_audience_id: {source}")
        self.file.write_text(text, "utf-8")

    def check(self, *arguments: str, **variables: str | None) -> Done:
        return run("check", self.file, *arguments, env=environment(**variables))

    def found(self, **variables: str | None) -> dict[str, Any]:
        """What was found by its name, and the status as `exit`."""
        done = self.check("--format", "json", **variables)
        return {**{one["name"]: one for one in done.json}, "exit": done.status}


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """Yield an account with one audience."""
    with StrictServer(CREDENTIALS, ACCOUNT_ID, {"1nmth"}, set()) as server:
        yield Account(tmp_path, server)


def test_a_connection_that_works_has_a_line_for_each_thing(account: Account) -> None:
    done = account.check()
    assert done.status == 0
    assert done.out.splitlines() == [
        f"ok       settings                  X Custom Audiences at {account.server.base_url}, 1 route",
        "ok       credentials               accepted",
        "ok       clock                     as the vendor's",
        "ok       permissions               as needed",
        WARNING,
    ]
    assert not any(one.applied for one in account.server.requests)


def test_json_has_the_same(account: Account) -> None:
    found = account.check("--format", "json").json
    assert [list(one) for one in found] == [["name", "status", "message", "fix"]] * 5
    assert [one["status"] for one in found] == ["ok", "ok", "ok", "ok", "warning"]


def test_an_audience_that_does_not_exist_is_an_error(account: Account) -> None:
    account.use("{value: 9zzzz}")
    found = account.found()
    assert found["exit"] == 1
    missing = found["custom audience 9zzzz"]
    assert missing["status"] == "error"
    assert missing["message"].startswith("does not exist in this account, or was deleted")
    assert f"'connector audiences list {account.file}'" in missing["fix"]
    assert f"'connector audiences create {account.file} --name NAME'" in missing["fix"]


def test_the_commands_that_it_names_are_those_of_the_kind_that_is_missing(account: Account) -> None:
    head = account.file.read_text("utf-8").partition("routes:")[0]
    mapped = "{do_not_reach_list_id: {value: 9zzzz}, email: {from: email}}"
    route = f"{{action: add_to_do_not_reach_list, map: {mapped}}}"
    account.file.write_text(f"{head}routes: [{route}]\n", "utf-8")

    fix = account.found()["Do Not Reach list 9zzzz"]["fix"]
    commands = re.findall("'connector (.+?)'", fix)
    assert len(commands) == 2
    for command in commands:
        done = run(*shlex.split(command))
        assert done.status == 0, done.text


def test_an_audience_that_cannot_be_changed_is_an_error(account: Account) -> None:
    account.server.audience("1nmth").writable = False
    found = account.found()
    assert found["exit"] == 1
    assert found["custom audience 1nmth"]["status"] == "error"
    assert "share it for writing" in found["custom audience 1nmth"]["fix"]


def test_a_user_who_may_not_change_audiences_is_an_error(account: Account) -> None:
    account.server.permissions[:] = ["CAMPAIGN_ANALYST"]
    found = account.found()
    assert found["exit"] == 1
    assert found["permissions"]["status"] == "error"
    assert "Partner Audience Manager" in found["permissions"]["fix"]


def test_wrong_credentials_are_an_error_and_audiences_are_not_asked_for(account: Account) -> None:
    found = account.found(X_ACCESS_TOKEN="wrong")
    assert found["exit"] == 1
    assert "refused the credentials" in found["credentials"]["message"]
    assert "check consumer key" in found["credentials"]["fix"]
    assert found["clock"]["status"] == "ok"
    assert found["audiences"]["status"] == "skipped"
    assert len(account.server.requests) == 1


def test_a_missing_credential_is_an_error_without_any_request(account: Account) -> None:
    found = account.found(X_ACCESS_TOKEN=None)
    assert found["exit"] == 1
    assert found["credentials"]["message"].startswith("credentials.access_token: the environment")
    assert not account.server.requests


def test_another_account_is_said_to_be_out_of_sight(account: Account) -> None:
    done = account.check("--set", "settings.account_id=other")
    assert done.status == 1
    assert "error    credentials               X does not" in done.out
    assert "check the account id" in done.out


def test_a_vendor_that_is_down_is_an_error_at_once(account: Account) -> None:
    account.server.faults = [Fault(503)]
    found = account.found()
    assert found["exit"] == 1
    assert found["credentials"]["status"] == "error"
    assert len(account.server.requests) == 1


def test_an_audience_from_the_events_is_skipped(account: Account) -> None:
    account.use("{from: audience}")
    found = account.found()
    assert found["exit"] == 0
    assert found["custom audience"] == {
        "name": "custom audience",
        "status": "skipped",
        "message": "route 'add_user_multi' takes it from each event",
        "fix": "",
    }


def test_a_broken_connection_is_an_error_of_the_file(account: Account) -> None:
    done = account.check("--set", "settings.account_id=NO")
    assert done.status == 2
    assert "account_id" in done.err

"""What is refused on the way to an audience, each with the message that says what to do, word for word.

Names that are taken or cannot be are in test_audience_commands.py, a wrong PIN and the token of a login that is revoked
in test_login.py, and what two processes do at the same moment in test_audience_races.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.library import load_connection
from connector.sandbox.local import Sandbox
from tests.kit.accounts import event
from tests.kit.cli import SECRETS, Done, connection, ndjson, report_lines, run
from tests.kit.http_vendor import Vendor, reply

CREDENTIALS = {name.removeprefix("X_").lower(): secret for name, secret in SECRETS.items()}
REVOKED = (
    "X takes this access token no more: it was revoked, or made anew; access_token and "
    "access_token_secret have to be new"
)


class Account:
    """A connection to a sandbox over HTTP."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.file = folder / "connection.yaml"
        self.sandbox = sandbox
        self.log: list[str] = []
        sandbox.vendor.log = self.log.append

    def change(self, old: str, new: str) -> None:
        """Change a line of the connection."""
        text = self.file.read_text("utf-8")
        assert old in text
        self.file.write_text(text.replace(old, new), "utf-8")

    def send(self, *options: str | Path) -> Done:
        """Send three people, each in a request of their own."""
        people = [{"id": who, "audience": "1nmth", **event(who)} for who in ("ann", "bob", "cy")]
        path = ndjson(self.folder, people)
        report = ("--report", self.folder / "report.ndjson")
        return run("send", self.file, path, "--format", "json", *report, *options)

    def report(self) -> list[tuple[str, str, str]]:
        lines = report_lines(self.folder / "report.ndjson")
        return [(line["event"], line["outcome"], line["code"]) for line in lines]

    def revoke(self) -> None:
        """Have the vendor take the token no more."""
        scheme = self.sandbox.vendor._verifier._scheme  # type: ignore[attr-defined]
        scheme.revoke(SECRETS["X_ACCESS_TOKEN"])


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    sandbox = Sandbox(load_connection(connection(tmp_path)), secrets=CREDENTIALS)
    with sandbox.serve() as server:
        connection(tmp_path, base_url=server.base_url, changes="limits: {records: 1}")
        yield Account(tmp_path, sandbox)


# --- another host ---


def test_the_link_to_a_page_of_another_host(tmp_path: Path) -> None:
    """The first page comes from a proxy, whose links lead to the vendor: nobody takes the token there."""
    document = {
        "destination": "snapchat_audiences",
        "settings": {
            "ad_account_id": "8adc3db7-8148-4fbf-999c-8d2266369d74",
            "authentication": "access_token",
        },
        "credentials": {"access_token": {"env": "X_ACCESS_TOKEN"}},
        "routes": [
            {
                "action": "add_user",
                "map": {"segment_id": {"value": "1"}, "email": {"from": "email"}},
            }
        ],
    }
    with Vendor() as other, Vendor() as vendor:
        page = {"segments": [], "paging": {"next_link": f"{other.base_url}/v1/next"}}
        vendor.answer = lambda seen: reply(200, {"request_status": "SUCCESS", **page})
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump({**document, "base_url": vendor.base_url}), "utf-8")
        done = run("audiences", "list", path)
        assert (done.status, done.out) == (1, "")
        assert done.err == (
            "list_segments failed (foreign_link): the answer's link to the next page has another "
            "scheme, host or port than base_url; nothing was sent there: a proxy at base_url has "
            "to rewrite such links, and without a proxy it is for the vendor to explain\n"
        )
        assert (len(vendor.seen), other.seen) == (1, [])


# --- secrets ---


def test_a_pasted_secret(account: Account) -> None:
    """It is neither shown nor sent."""
    account.change("{env: X_CONSUMER_SECRET}", SECRETS["X_CONSUMER_SECRET"])
    done = account.send()
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        f"C203 {account.file}#/credentials/consumer_secret: literal secret in the file; write "
        "{env: NAME}, {file: PATH} or {stored: NAME} instead, and rotate that secret\n"
    )
    assert account.log == []


# --- a token that is revoked, a vendor that is not there ---


def reasons(done: Done) -> list[str]:
    return [reason["reason"] for reason in done.json["reasons"]]


def test_a_token_that_is_revoked_in_the_middle_of_a_run(account: Account) -> None:
    """What was delivered stays and counts, the rest is in the report, and says which secrets."""

    def watch(line: str) -> None:
        if line.endswith("/users 200"):
            account.revoke()

    account.sandbox.vendor.log = watch
    done = account.send()
    assert (done.status, done.json["delivered"], done.json["undelivered"]) == (1, 1, 2)
    assert [holding.people for holding in account.sandbox.holdings()] == [1]
    assert sorted(account.report()) == [
        ("bob", "undelivered", "unauthorized"),
        ("cy", "undelivered", "unauthorized"),
    ]
    # whether both were on their way already or one of them waited
    assert set(reasons(done)) <= {REVOKED, f"its lane was stopped: {REVOKED}"}


def by_name(account: Account) -> None:
    """Let the route name its audience, which is there."""
    assert run("audiences", "create", account.file, "--name", "Spring list").status == 0
    account.change("{from: audience}", "{audience: Spring list}")


def test_a_token_that_was_revoked_before_audiences_are_looked_up(account: Account) -> None:
    by_name(account)
    account.revoke()
    done = account.send()
    assert (done.status, done.json["events"], done.json["undelivered"]) == (1, 3, 3)
    assert account.report() == [
        (who, "undelivered", "unauthorized") for who in ("ann", "bob", "cy")
    ]
    assert reasons(done) == [f"its audience is not known: {REVOKED}"]


def test_a_vendor_that_is_not_there_when_audiences_are_looked_up(account: Account) -> None:
    by_name(account)
    address: Any = yaml.safe_load(account.file.read_text("utf-8"))["base_url"]
    account.change(address, "http://127.0.0.1:1")
    done = account.send("--retries", "0")
    assert (done.status, done.json["events"], done.json["undelivered"]) == (1, 3, 3)
    assert account.report() == [(who, "undelivered", "gave_up") for who in ("ann", "bob", "cy")]
    [reason] = reasons(done)
    assert reason.startswith("its audience is not known: cannot connect")
